"""A folder that a retraining is written to: what in it is ours may be written again, anything else is never touched.

What we wrote is listed in a hidden file beside it, not in the copied dataset: some trainers open whatever lies there.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from lora_doctor.errors import UsageError
from lora_doctor.named_places import real

LIST = ".lora-doctor-retrain.json"
"""Name of the list: file -> the hashes of all texts that were written there; the copied dataset -> nothing."""
DATASET = "dataset"
_ELSEWHERE = "Write to a folder of its own."


def refuse(folder: Path, texts: Iterable[str], sources: Iterable[Path], *, copies: bool) -> None:
    """Raises UsageError where writing to `folder` would touch what is not ours.

    `texts`: names of the files to be written; `sources`: folders of pictures; `copies`: whether a dataset is written.
    """
    copy, listed = folder / DATASET, _listed(folder)
    for source in sources:
        one, other = real(copy), real(source)
        if _holds(one, other) or _holds(other, one):
            what = f"the copied dataset would be {copy}, which is, holds or lies in {source}, a folder of the dataset."
            raise UsageError(what, path=folder, advice=_ELSEWHERE)
    if copies and os.path.lexists(copy) and (DATASET not in listed or copy.is_symlink() or not copy.is_dir()):
        raise UsageError(f"holds a {DATASET!r} that lora-doctor did not write.", path=folder, advice=_ELSEWHERE)
    for name in texts:
        path = folder / name
        ours = path.is_file() and not path.is_symlink() and _hash(path) in listed.get(name, ())
        if os.path.lexists(path) and not ours:
            raise UsageError(f"holds a {name!r} that lora-doctor did not write so.", path=folder, advice=_ELSEWHERE)


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A new folder below `folder`, which is made too; both are gone after an error, only the new one without it."""
    made = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
    folder.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=".lora-doctor-", dir=folder))
    try:
        yield stage
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        for each in made:
            if not any(each.iterdir()):
                each.rmdir()
        raise
    shutil.rmtree(stage, ignore_errors=True)


def put(folder: Path, stage: Path, texts: Mapping[str, str], *, copies: bool) -> None:
    """Write `texts` and move the dataset that is in `stage`; both are listed as ours first, lest a stop loses them."""
    listed = _listed(folder)
    for name, text in texts.items():
        listed[name] = list(dict.fromkeys([*listed.get(name, []), sha256(text.encode("utf-8")).hexdigest()]))
    if copies:
        listed.setdefault(DATASET, [])
    (stage / LIST).write_text(json.dumps(listed, indent=1), "utf-8")
    (stage / LIST).replace(folder / LIST)
    if copies:
        if (folder / DATASET).exists():
            (folder / DATASET).rename(stage / "old")
        (stage / DATASET).rename(folder / DATASET)
    for name, text in texts.items():
        (stage / "text").write_bytes(text.encode("utf-8"))
        (stage / "text").replace(folder / name)


def _holds(outer: str, inner: str) -> bool:
    return inner == outer or inner.startswith(outer.rstrip(os.sep) + os.sep)


def _hash(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def _listed(folder: Path) -> dict[str, list[str]]:
    """The list; empty where there is none, or it is not one."""
    try:
        found = json.loads((folder / LIST).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    return {name: [str(each) for each in hashes] for name, hashes in entries if isinstance(hashes, list)}
