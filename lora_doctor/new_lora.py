"""The LoRA that a trainer has written: proven to be new, whole and a LoRA before anybody looks at its pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from lora_doctor.errors import EnvironmentFailure, InputRefused
from lora_doctor.lora_file import holds_lora, read_lora
from lora_doctor.lora_tensors import require_sound
from lora_doctor.safetensors_header import TensorEntry, read_header
from lora_doctor.types import LoraFile

State = Mapping[Path, tuple[int, int]]
"""File -> its time of change in nanoseconds and its size in bytes."""


def files_in(folder: Path) -> State:
    """Every safetensors file below the folder, at any depth; links are not followed. Empty where there is no folder."""
    found = {}
    for path in sorted(folder.rglob("*.safetensors")) if folder.is_dir() else ():
        if path.is_file() and not path.is_symlink():
            stat = path.stat()
            found[path] = (stat.st_mtime_ns, stat.st_size)
    return found


def new_lora(output: Path, before: State, old: str, log: Path, model: Path | None = None) -> LoraFile:
    """The latest of the files below `output` that were not there `before`, or not as they are now.

    `old`: the sha256 of the LoRA that is trained again, `model` its file, whose tensors count, whatever is recorded
    beside them now (sd-scripts writes the time); `log` is named where it may tell more. Files of a training's
    middle are older than its last one; embeddings that it writes after that are passed over. Raises EnvironmentFailure
    where there is no new file or the new one is the old one over again, InputRefused where it is no sound LoRA (half
    written, for one).
    """
    new = {path: state for path, state in files_in(output).items() if before.get(path) != state}
    if not new:
        there = f"{len(before)} safetensors files there are as they were" if before else "no safetensors file is there"
        raise EnvironmentFailure(f"the trainer ended well and wrote no new LoRA: {there}.", path=output,
                                 advice=f"See what it said in {log}; let it write to {{output}}.")  # fmt: skip
    latest = sorted(new, key=lambda one: (new[one], str(one)), reverse=True)
    path = next(filter(_may_be_lora, latest), latest[0])
    try:
        lora = read_lora(path)
        require_sound(lora)
    except InputRefused as error:
        raise InputRefused(f"is what the trainer wrote: {error.what}", path=path, advice=f"See {log}.") from None
    if lora.sha256 == old:
        raise EnvironmentFailure("is the old LoRA, byte by byte.", path=path,
                                 advice=f"See in {log} whether the trainer trained at all.")  # fmt: skip
    if model is not None and _same_tensors(model, path):
        raise EnvironmentFailure("holds the tensors of the old LoRA, every one as it was.", path=path,
                                 advice=f"See in {log} whether the trainer trained at all.")  # fmt: skip
    return lora


def _same_tensors(one: Path, other: Path) -> bool:
    """Whether two files hold the same tensors under the same names; what is recorded beside them does not count."""
    try:
        first, second = read_header(one), read_header(other)
        kinds = ({name: (entry.dtype, entry.shape) for name, entry in each.tensors.items()} for each in (first, second))
        if next(kinds) != next(kinds):
            return False
        with one.open("rb") as left, other.open("rb") as right:
            return all(
                _bytes(left, entry) == _bytes(right, second.tensors[name]) for name, entry in first.tensors.items()
            )
    except (OSError, InputRefused):  # the old one may be gone, or have been no LoRA that can be read
        return False


def _bytes(file: BinaryIO, entry: TensorEntry) -> bytes:
    file.seek(entry.start)
    return file.read(entry.stop - entry.start)


def _may_be_lora(path: Path) -> bool:
    """Whether a whole file holds one; of a damaged file that is not known."""
    try:
        return holds_lora(path)
    except InputRefused:
        return True
