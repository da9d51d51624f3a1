"""What was trained in a folder: noted when it starts and when it has ended, so that no other is taken for it.

Nothing is trained over a LoRA that is not noted, or noted of another training: it may be the only copy there is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from lora_doctor.atomic_files import write_atomically
from lora_doctor.errors import LoraDoctorError, UsageError
from lora_doctor.lora_file import read_lora
from lora_doctor.lora_tensors import require_sound
from lora_doctor.types import LoraFile

NOTE = ".lora-doctor-training.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """What tells one training from another."""

    contents: str
    """Digest of what is trained with and on, see `contents_of`."""
    command: str
    """Digest of what is started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Note:
    training: Training
    lora: Path | None
    """None = it has not ended."""
    sha256: str


def contents_of(texts: Mapping[str, bytes], trained_on: str) -> str:
    """The digest of a config's files (name -> contents) and of its pictures and captions, which have one already."""
    told = [trained_on, *([name, sha256(text).hexdigest()] for name, text in sorted(texts.items()))]
    return sha256(json.dumps(told).encode()).hexdigest()


def training_of(command: Sequence[str], contents: str) -> Training:
    """The training that `command` starts with those contents."""
    return Training(contents=contents, command=sha256(json.dumps(list(command)).encode()).hexdigest())


def note_start(folder: Path, training: Training) -> None:
    """Note that it starts in `folder`."""
    _write(folder, asdict(training))


def note_end(folder: Path, training: Training, lora: LoraFile) -> None:
    """Note that it has ended with that LoRA."""
    _write(folder, asdict(training) | {"lora": str(lora.path), "sha256": lora.sha256})


def finished(folder: Path, training: Training) -> Path | None:
    """The LoRA of a training that is noted in `folder` as ended, if it is that one and the file is what it was."""
    note = _read(folder)
    if note is None or note.training != training or note.lora is None:
        return None
    try:
        lora = read_lora(note.lora)
        require_sound(lora)
    except LoraDoctorError:
        return None
    return lora.path if lora.sha256 == note.sha256 else None


def is_noted(folder: Path) -> bool:
    """Whether lora-doctor has trained, or begun to train, in `folder`."""
    return _read(folder) is not None


def refuse_other(folder: Path, made: Iterable[Path], contents: str, command: str | None = None) -> None:
    """Raises UsageError where a training in `folder` would be written over a LoRA that it did not make itself.

    `made`: the LoRAs that lie where the new one is to be; the rest as in `Training`, `command` None = any.
    """
    note = _read(folder)
    for path in made:
        advice = "Train in another folder (--write DIR)."
        if note is None:
            what = "which lora-doctor did not train, where the new LoRA is to be."
        elif note.training.contents != contents or command not in (None, note.training.command):
            what = "which was trained with another config, dataset or command."
        elif path == note.lora and sha256(path.read_bytes()).hexdigest() != note.sha256:
            what, advice = "which was changed since it was trained.", f"{advice[:-1]}, or move that file away."
        else:
            continue
        raise UsageError(f"holds {os.path.relpath(path, folder)!r}, {what}", path=folder, advice=advice)


def _write(folder: Path, told: Mapping[str, str]) -> None:
    write_atomically(folder / NOTE, json.dumps(told).encode())


def _read(folder: Path) -> _Note | None:
    """The note; None where there is none, or it is not one."""
    try:
        told = json.loads((folder / NOTE).read_text("utf-8"))
        lora = Path(told["lora"]) if "lora" in told else None
        training = Training(contents=told["contents"], command=told["command"])
        return _Note(training=training, lora=lora, sha256=told.get("sha256", ""))
    except (OSError, ValueError, KeyError, TypeError):
        return None
