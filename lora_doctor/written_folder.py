"""A folder that is written to: what in it is ours may be written again, anything else is never touched.

What we wrote is listed, with its hashes, in a hidden file beside it, not in the folder of pictures or captions: some
trainers open whatever lies there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import file_digest, sha256
from pathlib import Path

from lora_doctor.errors import UsageError
from lora_doctor.named_places import real

LIST = ".lora-doctor-written.json"
"""Name of the list: file, as its place below the folder -> the hashes of all that was written there."""
STAGE = ".lora-doctor-stage-"
"""How the name of the folder begins in which all is made before it is moved to its place."""
DATASET = "dataset"
_ELSEWHERE = "Write to a folder of its own."
_CACHE_FOLDERS = ("_latent_cache", "_t_e_cache", "_clip_vision_cache")
_CACHES = re.compile(
    r".*\.npz|\.aitk_size\.json|metadata_cache\.json|aspect_ratio_bucket_(indices|metadata)_.*\.json|\.DS_Store|Thumbs\.db"
)
"""What sd-scripts, ai-toolkit and SimpleTuner leave beside the pictures they train on, and file managers anywhere."""


def refuse_sources(place: Path, sources: Iterable[Path]) -> None:
    """Raises UsageError where `place`, the copied dataset to be written, is, holds or lies in a folder of pictures."""
    for source in sources:
        one, other = real(place), real(source)
        if holds(one, other) or holds(other, one):
            what = f"the copied dataset would be {place}, which is, holds or lies in {source}, a folder of the dataset."
            raise UsageError(what, path=place.parent, advice=_ELSEWHERE)


def refuse(folder: Path, texts: Iterable[str], tree: str | None) -> None:
    """Raises UsageError, naming the file, where writing to `folder` would lose what is not ours, or was changed since.

    `texts`: names of the files to be written; `tree`: name of the folder of files, None where none is written.
    """
    listed = _listed(folder)
    if tree is not None and os.path.lexists(folder / tree):
        _refuse_tree(folder, tree, listed)
    for name in texts:
        path = folder / name
        ours = path.is_file() and not path.is_symlink() and _hash(path) in listed.get(name, ())
        if os.path.lexists(path) and not ours:
            raise UsageError(f"holds a {name!r} that lora-doctor did not write so.", path=folder, advice=_ELSEWHERE)


def _refuse_tree(folder: Path, tree: str, listed: Mapping[str, Collection[str]]) -> None:
    """Raises UsageError where the folder `tree` holds anything but what was written there, and trainers' caches."""
    place, known = folder / tree, any(name.startswith(f"{tree}/") for name in listed)
    if place.is_symlink() or not place.is_dir() or (not known and any(place.iterdir())):
        raise UsageError(f"holds a {tree!r} that lora-doctor did not write.", path=folder, advice=_ELSEWHERE)
    for path in files_below(place):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or name not in listed:
            what = f"holds {name!r}, which lora-doctor did not write, in a folder that it would write anew."
        elif _hash(path) not in listed[name]:
            what = f"holds {name!r}, which was changed since lora-doctor wrote it."
        else:
            continue
        raise UsageError(what, path=folder, advice="Write to another folder, or move that file away.")


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A new folder below `folder`, which is made too; both are gone after an error, only the new one without it.

    What a killed call left of its own goes first; two calls at once into one folder are not meant to be.
    """
    made = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{STAGE}*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
    stage = Path(tempfile.mkdtemp(prefix=STAGE, dir=folder))
    try:
        yield stage
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        for each in made:
            if not any(each.iterdir()):
                each.rmdir()
        raise
    shutil.rmtree(stage, ignore_errors=True)


def put(folder: Path, stage: Path, texts: Mapping[str, bytes], tree: str | None) -> None:
    """Write `texts`, and the folder `tree` that is in `stage`, to `folder`.

    What is written is listed as ours first, lest a stop loses it. Raises UsageError as `refuse` does: making what is
    in `stage` took its time.
    """
    refuse(folder, texts, tree)
    listed = _listed(folder)
    written = {name: sha256(text).hexdigest() for name, text in texts.items()}
    if tree is not None:
        written |= {path.relative_to(stage).as_posix(): _hash(path) for path in files_below(stage / tree)}
    for name, digest in written.items():
        listed[name] = list(dict.fromkeys([*listed.get(name, []), digest]))
    (stage / LIST).write_text(json.dumps(listed, indent=1), "utf-8")
    (stage / LIST).replace(folder / LIST)
    if tree is not None:
        if (folder / tree).exists():
            (folder / tree).rename(stage / f"{LIST}.old")
        (stage / tree).rename(folder / tree)
    for name, text in texts.items():
        (stage / "text").write_bytes(text)
        (stage / "text").replace(folder / name)


def files_below(folder: Path) -> Iterator[Path]:
    """Every file and link below `folder`, at any depth and in order, but what trainers keep there for themselves."""
    for here, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(here, name))]
        folders[:] = sorted(name for name in folders if name not in (*links, *_CACHE_FOLDERS))
        pictures = {Path(name).stem for name in names if not name.endswith(".safetensors")}
        for name in sorted([*names, *links]):
            if not _CACHES.fullmatch(name) and not _is_latent(name, pictures):
                yield Path(here, name)


def digest_of(folder: Path) -> str:
    """A hash of the names and contents of `files_below` the folder; of no files where there is none."""
    told = [[path.relative_to(folder).as_posix(), _hash(path)] for path in files_below(folder)]
    return sha256(json.dumps(told).encode()).hexdigest()


def is_written(folder: Path) -> bool:
    """Whether something was written there before."""
    return (folder / LIST).is_file()


def holds(outer: str, inner: str) -> bool:
    """Whether the folder `outer` is `inner`, or holds it; both as `named_places.real` names them."""
    return inner == outer or inner.startswith(outer.rstrip(os.sep) + os.sep)


def _is_latent(name: str, pictures: Collection[str]) -> bool:
    """Whether it is musubi-tuner's cache of a picture beside it: `a_0512x0512_flux.safetensors` of `a.png`."""
    parts = name.split("_") if name.endswith(".safetensors") else []
    return any("_".join(parts[:end]) in pictures for end in range(1, len(parts)))


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _listed(folder: Path) -> dict[str, list[str]]:
    """The list; empty where there is none, or it is not one."""
    try:
        found = json.loads((folder / LIST).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    return {name: [str(each) for each in hashes] for name, hashes in entries if isinstance(hashes, list)}
