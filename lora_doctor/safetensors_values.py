"""The tensors of a safetensors file as float32 NumPy arrays, BF16 and F8 included, which NumPy has no types for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_doctor.errors import InputRefused
from lora_doctor.regular_file import FileIdentity, changed, opened, read_at, require_same
from lora_doctor.safetensors_header import TensorEntry

if TYPE_CHECKING:
    import numpy as np

INTEGERS: Mapping[str, str] = {
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1",
    "BOOL": "<u1",
}  # fmt: skip
"""dtype in the file -> NumPy's, for those that cannot hold NaN and no LoRA factor has."""
_FLOATS: Mapping[str, str] = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
READABLE = frozenset({*INTEGERS, *_FLOATS, "BF16", "F8_E5M2", "F8_E4M3"})
"""The dtypes `read_tensor` decodes; the rest of safetensors' (F4, F6, scaled or complex numbers) is refused."""


def read_tensor(path: Path, entry: TensorEntry, identity: FileIdentity | None = None) -> np.ndarray[Any, Any]:
    """One tensor as float32, in its own shape.

    Raises InputRefused for a dtype that is not in `READABLE`, and when the file is shorter than its header says, or
    not the one of `identity`, which `read_header` has put into the header.
    """
    import numpy as np

    if entry.dtype not in READABLE:
        what = f"stores a tensor as {entry.dtype}, which lora-doctor does not decode."
        raise InputRefused(what, path=path, advice="Save it as F16 or BF16.")
    with opened(path) as descriptor:
        require_same(path, descriptor, identity)
        raw = read_at(descriptor, entry.start, entry.stop - entry.start)
    if len(raw) < entry.stop - entry.start:
        raise changed(path)
    if entry.dtype == "BF16":
        flat = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
    elif entry.dtype == "F8_E5M2":
        flat = (np.frombuffer(raw, "u1").astype("<u2") << 8).view("<f2").astype("<f4")
    elif entry.dtype == "F8_E4M3":
        flat = np.array(_e4m3_values(), "<f4")[np.frombuffer(raw, "u1")]
    else:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite in float32 is refused by name
            flat = np.frombuffer(raw, {**_FLOATS, **INTEGERS}[entry.dtype]).astype("<f4")
    return flat.reshape(entry.shape)


@lru_cache(maxsize=1)
def _e4m3_values() -> tuple[float, ...]:
    """The 256 values of E4M3FN: 4 exponent bits, bias 7, 3 mantissa bits, no infinity (arXiv:2209.05433, table 1)."""

    def value(byte: int) -> float:
        exponent, mantissa = byte >> 3 & 15, byte & 7
        if byte & 0x7F == 0x7F:
            return math.nan
        size = mantissa / 8 * 2.0**-6 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7)
        return -size if byte & 0x80 else size

    return tuple(value(byte) for byte in range(256))
