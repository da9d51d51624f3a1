"""Folders and files that a config names: where they are, or the refusal that names them.

Trainers look for relative names in the folder they were started in, which a config does not tell. Here they are looked
for beside the config, then in our own working folder, then in the folders around the config: sd-scripts, ai-toolkit,
OneTrainer and SimpleTuner keep their configs one to three folders below the one they are started in.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from lora_doctor.errors import UsageError
from lora_doctor.layouts.config_text import is_ours_to_open

ABOVE = 3
"""Folders around the config's own that are looked into."""
RELATIVE = (
    "Some names in the config are relative: the trainer looks for them in the folder it is started in, lora-doctor "
    "beside the config, in its working folder and in the folders around the config."
)
"""A note for a config with such names."""


def folder_named(name: str, config: Path, key: str) -> Path:
    """The folder that `config` names under `key`. Raises UsageError when there is none."""
    for place in _places(name, config):
        if _is(os.path.isdir, place):
            return place
    what = f"{key} names {name!r}, and there is no such folder."
    raise UsageError(what, path=config, advice="Correct it, or give the folder of the pictures itself.")


def file_named(name: str, config: Path, key: str, endings: tuple[str, ...]) -> Path:
    """The file that `config` names under `key`, with one of `endings`. Raises UsageError when there is none."""
    if not is_ours_to_open(Path(name), endings):
        what = f"{key} names {name!r}, which does not end in {' or '.join(endings)}."
        raise UsageError(what, path=config, advice="Correct it.")
    for place in _places(name, config):
        if _is(os.path.isfile, place):
            return place
    raise UsageError(f"{key} names {name!r}, and there is no such file.", path=config, advice="Correct it.")


def is_relative(name: str | None) -> bool:
    """Whether a name is a relative one."""
    return bool(name) and not os.path.isabs(name or "")


def _places(name: str, config: Path) -> Iterator[Path]:
    """Where the name may mean, likeliest first."""
    if not name.strip():
        return
    if os.path.isabs(name):
        yield Path(name)
        return
    own = Path(os.path.abspath(config)).parent
    yield from (own / name, Path(name).absolute())
    yield from (above / name for above in own.parents[:ABOVE])


def _is(kind: Callable[[Path], bool], place: Path) -> bool:
    try:
        return kind(place)
    except (OSError, ValueError):  # a name too long, or with half a surrogate pair
        return False
