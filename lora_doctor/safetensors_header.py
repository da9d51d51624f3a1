"""The header of a safetensors file, read strictly: what is odd is refused, nothing is ever unpickled.

Stricter than the safetensors library where two readers could disagree (duplicate names, extra fields) and where a small
file could cost gigabytes. Format: https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lora_doctor.errors import InputRefused
from lora_doctor.file_magic import SNIFFED, ZIP_TAIL, ends_like_zip, other_format
from lora_doctor.header_json import Limits, Unsound, entry_fields, split_header
from lora_doctor.header_json import shown as shown
from lora_doctor.regular_file import FileIdentity, identity_of, opened, read_at, require_same
from lora_doctor.regular_file import check_regular_file as check_regular_file

MAX_DIMENSIONS = 5
MAX_DIMENSION = 2**24
DTYPE_BITS: Mapping[str, int] = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "C64": 64,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F8_E8M0": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
    "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8,
}  # fmt: skip
"""Every type safetensors 0.8 stores -> bits of one number."""

_GET_AGAIN = "Save or download it again."


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorEntry:
    """Where one tensor lies in the file."""

    dtype: str
    """One of `DTYPE_BITS`."""
    shape: tuple[int, ...]
    start: int
    """Byte offset in the file."""
    stop: int
    """Byte offset in the file, exclusive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """A header that was found sound."""

    tensors: Mapping[str, TensorEntry]
    """In file order; together they cover the file from `begin` to its last byte, without hole or overlap."""
    metadata: Mapping[str, str]
    size: int
    """Bytes of the whole file."""
    begin: int
    """Byte offset at which the tensors start."""
    sha256: str
    """Of the bytes before `begin`, in hexadecimal."""
    identity: FileIdentity | None = None
    """The file it was read from; None when it was parsed from bytes."""


def read_header(path: Path, limits: Limits | None = None) -> Header:
    """Reads and checks the header of the safetensors file at `path`, without touching its tensors.

    Raises InputRefused, naming what is wrong: not a regular file, another format (by its first bytes), an absurd or
    truncated header, tensors that do not fill the file exactly, or a zip archive at its end.
    """
    limits = limits or Limits()
    with opened(path) as descriptor:
        identity = identity_of(descriptor)
        try:
            length = header_length(read_at(descriptor, 0, SNIFFED), identity.size, limits)
            header = parse_header(read_at(descriptor, 0, 8 + length), identity.size, limits)
        except InputRefused as error:
            raise InputRefused(error.what, path=path, advice=error.advice) from None
        if ends_like_zip(read_at(descriptor, max(0, header.size - ZIP_TAIL), ZIP_TAIL)):
            what = "is safetensors and a zip archive at once: programs would disagree on what it holds."
            raise InputRefused(what, path=path, advice=_GET_AGAIN)
        require_same(path, descriptor, identity)
    return replace(header, identity=identity)


def header_length(start: bytes, size: int, limits: Limits | None = None) -> int:
    """Bytes of JSON that follow the first 8 of a file of `size` bytes, from its first 264 bytes, or all. Pure.

    Raises InputRefused, without a path, saying what the file is instead, or why that length cannot be true.
    """
    limits = limits or Limits()
    length = int.from_bytes(start[:8], "little")
    if 2 <= length <= min(size - 8, limits.header) and start[8:9] == b"{":
        return length
    if size == 0:
        raise InputRefused("is empty.", advice=_GET_AGAIN)
    if start.startswith(b"version https://git-lfs"):
        raise InputRefused("is a Git LFS pointer, not the file itself.", advice="Run `git lfs pull`.")
    if what := other_format(start):
        advice = "Give the .safetensors file the trainer saved."
        raise InputRefused(f"is {what}, not safetensors; it was not opened.", advice=advice)
    raise _refusal(_wrong_length(length, size, limits))


def parse_header(head: bytes, size: int, limits: Limits | None = None) -> Header:
    """The header of a file of `size` bytes; `head` is its length in 8 bytes and the JSON, and what follows is ignored.

    Pure. Raises InputRefused, without a path, naming what is wrong.
    """
    limits = limits or Limits()
    begin = 8 + header_length(head[:SNIFFED], size, limits)
    try:
        if len(head) < begin:
            raise Unsound("it shrank while it was read")
        metadata, entries = split_header(memoryview(head)[8:begin], limits)
        tensors = {name: _check_entry(name, text, begin) for name, text in entries.items()}
        ordered = dict(sorted(tensors.items(), key=lambda item: item[1].start))
        _check_cover(ordered, begin, size)
    except Unsound as error:
        raise _refusal(str(error)) from None
    sha256 = hashlib.sha256(memoryview(head)[:begin]).hexdigest()
    return Header(tensors=ordered, metadata=metadata, size=size, begin=begin, sha256=sha256)


def _refusal(what: str) -> InputRefused:
    return InputRefused(f"is not a sound safetensors file: {what}.", advice=_GET_AGAIN)


def _wrong_length(length: int, size: int, limits: Limits) -> str:
    if size < 10:
        return f"it is only {size} bytes long"
    if length < 2 or length + 8 > size:
        return f"it promises a header of {length} bytes, but the file has {size}"
    if length > limits.header:
        return f"its header is {length} bytes long, more than the {limits.header} allowed"
    return "its header does not begin with {"


def _whole(value: Any, most: int) -> bool:
    return type(value) is int and 0 <= value <= most


def _check_entry(name: str, text: str, begin: int) -> TensorEntry:
    """One tensor's entry from its JSON; `begin` is the file offset at which the tensors start."""
    dtype, shape, offsets = entry_fields(name, text)
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise Unsound(f"tensor {shown(name)} has the unknown dtype {shown(str(dtype))}")
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
        raise Unsound(f"the shape of tensor {shown(name)} is not a list of at most {MAX_DIMENSIONS} numbers")
    if not all(_whole(side, MAX_DIMENSION) and side > 0 for side in shape):
        raise Unsound(f"the shape of tensor {shown(name)} has a side that is not between 1 and {MAX_DIMENSION}")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(_whole(offset, 2**62) for offset in offsets):
        raise Unsound(f"the offsets of tensor {shown(name)} are not two numbers")
    size, rest = divmod(math.prod(shape) * DTYPE_BITS[dtype], 8)
    if rest:
        raise Unsound(f"tensor {shown(name)} does not fill whole bytes")
    if offsets[1] - offsets[0] != size:
        raise Unsound(f"tensor {shown(name)} needs {size} bytes and is given {offsets[1] - offsets[0]}")
    return TensorEntry(dtype=dtype, shape=tuple(shape), start=begin + offsets[0], stop=begin + offsets[1])


def _check_cover(ordered: Mapping[str, TensorEntry], begin: int, size: int) -> None:
    """The tensors must follow each other from `begin` to the end of the file, without hole, overlap or rest."""
    at = begin
    for name, entry in ordered.items():
        if entry.start != at:
            fault = "overlaps the one before it" if entry.start < at else "has a hole before it"
            raise Unsound(f"tensor {shown(name)} {fault}")
        at = entry.stop
    if at > size:
        raise Unsound(f"it is truncated: its header promises {at} bytes and the file has {size}")
    if at < size:
        raise Unsound(f"{size - at} bytes follow its last tensor")
