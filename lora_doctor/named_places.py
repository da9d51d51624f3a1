"""Where a relative name in a config may mean: one answer for the audit of a dataset and for the patch of its config.

Trainers look for relative names in the folder they were started in, which a config does not tell. Here they are looked
for beside the config, then in our own working folder, then in the folders around the config: sd-scripts, ai-toolkit,
OneTrainer and SimpleTuner keep their configs one to three folders below the one they are started in.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

ABOVE = 3
"""Folders around the config's own that are looked into."""


def places_of(name: str, config: Path) -> Iterator[Path]:
    """Where the name in `config` may mean, likeliest first; nowhere where it is blank."""
    if not name.strip():
        return
    if os.path.isabs(name):
        yield Path(name)
        return
    own = Path(os.path.abspath(config)).parent
    yield from (own / name, Path(name).absolute())
    yield from (above / name for above in own.parents[:ABOVE])


def found_folder(name: str, config: Path) -> Path | None:
    """The folder that the name in `config` means; None where there is none."""
    return next((place for place in places_of(name, config) if _is(os.path.isdir, place)), None)


def found_file(name: str, config: Path) -> Path | None:
    """The file that the name in `config` means; None where there is none."""
    return next((place for place in places_of(name, config) if _is(os.path.isfile, place)), None)


def moved_place(name: str, config: Path, moved: Mapping[Path, Path]) -> Path | None:
    """Where the folder goes that `config` names, absolute; None = the name holds wherever the config goes.

    `moved`: old -> new place. A folder that stays is told too where its name is relative: the config may go elsewhere.
    """
    new_places = {real(old): new for old, new in moved.items()}
    for place in places_of(name, config):
        new = new_places.get(real(place))
        if new is None and not _is(os.path.isdir, place):
            continue
        new = Path(os.path.abspath(place if new is None else new))
        return None if os.path.isabs(name) and new == Path(os.path.normpath(name)) else new
    return None


def real(path: Path) -> str:
    """One name for each folder, however it is written: absolute, without `..` and links."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # a name too long, or with a NUL
        return os.path.abspath(path)


def _is(kind: Callable[[Path], bool], place: Path) -> bool:
    try:
        return kind(place)
    except (OSError, ValueError):  # a name too long, or with half a surrogate pair
        return False
