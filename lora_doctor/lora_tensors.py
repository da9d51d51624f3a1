"""The tensors of a LoRA that was read: module by module as NumPy arrays, and only of a file that is sound."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_doctor.errors import InputRefused
from lora_doctor.header_json import Limits
from lora_doctor.safetensors_header import Header, check_regular_file, read_header, shown
from lora_doctor.safetensors_values import read_tensor
from lora_doctor.types import LoraFile, LoraModule

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_SAVE_AGAIN = "Save it again from the trainer, or choose an earlier checkpoint."


def require_sound(lora: LoraFile) -> None:
    """Raises InputRefused, naming how many and the first, unless every tensor of the file is understood and fits."""
    if lora.non_finite:
        what = (
            f"{len(lora.non_finite)} of its tensors hold NaN or infinity ({shown(next(iter(lora.non_finite)))} first)."
        )
        raise InputRefused(what, path=lora.path, advice=_SAVE_AGAIN)
    if lora.faults:
        more = f" (and {len(lora.faults) - 1} more)" if len(lora.faults) > 1 else ""
        raise InputRefused(f"{lora.faults[0]}{more}.", path=lora.path, advice=_SAVE_AGAIN)
    if count := len(lora.unknown_keys):
        known = len({module.name for module in lora.modules})
        what = f"holds {count} tensor{'s' * (count > 1)} of unknown meaning beside its {known} modules"
        advice = "Rendering without them would show another LoRA; convert the file to a known layout."
        raise InputRefused(f"{what} ({shown(lora.unknown_keys[0])} first).", path=lora.path, advice=advice)


def read_parts(lora: LoraFile, module: LoraModule) -> dict[str, Array]:
    """The tensors of one module as float32, part -> array in the file's shape.

    Raises InputRefused when the file has changed since it was read.
    """
    header = _header(lora.path)
    tensors = header.tensors
    if not set(module.keys.values()) <= tensors.keys():
        raise InputRefused("has changed since it was read.", path=lora.path, advice="Run the command again.")
    return {part: read_tensor(lora.path, tensors[key], header.identity) for part, key in module.keys.items()}


def _header(path: Path) -> Header:
    check_regular_file(path)
    status = path.stat()
    return _header_of(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _header_of(path: Path, size: int, modified: int) -> Header:
    """Cached, because `read_parts` is called once a module; size and time tell a file that was replaced.

    Whether a header of that size is wanted was settled when the file was first read.
    """
    return read_header(path, Limits(header=sys.maxsize))
