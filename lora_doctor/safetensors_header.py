"""The header of a safetensors file, read strictly: what is odd is refused, nothing is ever unpickled.

Stricter than the safetensors library where two readers could disagree (duplicate names, extra fields) and where a small
file could cost gigabytes. Format: https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import codecs
import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from lora_doctor.errors import InputRefused

MAX_HEADER = 8 * 2**20
"""Bytes. A LoRA's header has some 100 bytes a tensor; the library would spend 8 seconds on one of 93 MB."""
MAX_TENSORS = 20_000
MAX_NAME = 512
"""Bytes of one tensor name."""
MAX_DIMENSIONS = 5
MAX_DIMENSION = 2**24
DTYPE_BYTES: Mapping[str, int] = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive (a pickled .pt checkpoint, perhaps)"),
    (b"PK\x05\x06", "a zip archive"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"GGUF", "a GGUF model"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"\x89HDF", "an HDF5 file"),
)
_SAFETENSORS_ADVICE = "Give the .safetensors file the trainer saved."
_GET_AGAIN = "Save or download it again."


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorEntry:
    """Where one tensor lies in the file."""

    dtype: str
    """One of `DTYPE_BYTES`."""
    shape: tuple[int, ...]
    start: int
    """Byte offset in the file."""
    stop: int
    """Byte offset in the file, exclusive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """A header that was found sound."""

    tensors: Mapping[str, TensorEntry]
    """In file order; together they cover the file to its last byte, without hole or overlap."""
    metadata: Mapping[str, str]
    size: int
    """Bytes of the whole file."""


class _Unsound(Exception):
    """What is wrong with the header, in a few words."""


def check_regular_file(path: Path) -> int:
    """Bytes in the file at `path`; raises InputRefused when there is none, or it is a folder, pipe or device."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputRefused("no such file.", path=path, advice="Check the name.") from None
    except (OSError, ValueError) as error:
        raise InputRefused(f"cannot be read: {error}.", path=path) from None
    if not stat.S_ISREG(status.st_mode):
        raise InputRefused("is not a regular file.", path=path, advice=_SAFETENSORS_ADVICE)
    return status.st_size


def read_header(path: Path) -> Header:
    """Reads and checks the header of the safetensors file at `path`, without touching its tensors.

    Raises InputRefused, naming what is wrong: not a regular file, another format (by its first bytes), an absurd or
    truncated header, or tensors that do not fill the file exactly.
    """
    size = check_regular_file(path)
    try:
        with path.open("rb") as file:
            start = file.read(264)
            length = int.from_bytes(start[:8], "little")
            if size < 10 or length + 8 > size or start[8:9] != b"{":
                _refuse_other_format(path, start, size, length)
            if length > MAX_HEADER:
                raise _Unsound(f"its header is {length} bytes long, more than the {MAX_HEADER} allowed")
            return _parse(_read_exactly(file, 8, length), size)
    except OSError as error:
        raise InputRefused(f"cannot be read: {error.strerror}.", path=path) from None
    except _Unsound as error:
        raise InputRefused(f"is not a sound safetensors file: {error}.", path=path, advice=_GET_AGAIN) from None


def _read_exactly(file: IO[bytes], offset: int, length: int) -> bytes:
    file.seek(offset)
    data = file.read(length)
    if len(data) < length:
        raise _Unsound("it shrank while it was read")
    return data


def _refuse_other_format(path: Path, start: bytes, size: int, length: int) -> NoReturn:
    """Says what the file is instead, as far as its first bytes tell."""
    if size == 0:
        raise InputRefused("is empty.", path=path, advice=_GET_AGAIN)
    if start.startswith(b"version https://git-lfs"):
        raise InputRefused("is a Git LFS pointer, not the file itself.", path=path, advice="Run `git lfs pull`.")
    for magic, what in _MAGIC:
        if start.startswith(magic):
            raise InputRefused(f"is {what}, not safetensors; it was not opened.", path=path, advice=_SAFETENSORS_ADVICE)
    if start[257:262] == b"ustar":
        raise InputRefused("is a tar archive, not safetensors.", path=path, advice=_SAFETENSORS_ADVICE)
    if _is_text(start):
        raise InputRefused("is text, not safetensors.", path=path, advice=_SAFETENSORS_ADVICE)
    if size < 10:
        raise _Unsound(f"it is only {size} bytes long")
    if length + 8 > size:
        raise _Unsound(f"it promises a header of {length} bytes, but the file has {size}")
    raise _Unsound("its header does not begin with {")


def _is_text(start: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return all(character >= " " or character in "\t\n\r\f" for character in text)


def _parse(raw: bytes, size: int) -> Header:
    """The header from its JSON; `size` is that of the whole file. Raises _Unsound."""
    try:
        fields = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise _Unsound(f"its header is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise _Unsound("its header is nested too deeply") from None
    except ValueError as error:
        raise _Unsound(f"its header is not JSON ({error})") from None
    metadata = _check_metadata(fields.pop("__metadata__", {}))
    if not fields:
        raise _Unsound("it holds no tensors")
    if len(fields) > MAX_TENSORS:
        raise _Unsound(f"it lists {len(fields)} tensors, more than the {MAX_TENSORS} allowed")
    begin = 8 + len(raw)
    tensors = {_check_name(name): _check_entry(name, entry, begin) for name, entry in fields.items()}
    ordered = dict(sorted(tensors.items(), key=lambda item: item[1].start))
    _check_cover(ordered, begin, size)
    return Header(tensors=ordered, metadata=metadata, size=size)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, unless a name comes twice: readers disagree on which one counts."""
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise _Unsound(f"{shown(name)} is in its header twice")
        result[name] = value
    return result


def _no_constant(text: str) -> NoReturn:
    raise _Unsound(f"its header holds {text}")


def shown(name: str) -> str:
    """`name` quoted for a message: control and non-ASCII characters escaped, at most 80 characters."""
    text = ascii(name)
    return text if len(text) <= 80 else f"{text[:76]}...{text[0]}"


def _check_metadata(metadata: Any) -> dict[str, str]:
    if not isinstance(metadata, dict):
        raise _Unsound("its __metadata__ is not an object")
    for key, value in metadata.items():
        if not isinstance(value, str):
            raise _Unsound(f"metadata {shown(key)} is not a string")
        if _has_surrogate(key) or _has_surrogate(value):
            raise _Unsound(f"metadata {shown(key)} is not valid Unicode")
    return metadata


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _check_name(name: str) -> str:
    if not name or not name.isprintable():
        raise _Unsound(f"tensor name {shown(name)} is empty or has characters that do not print")
    if len(name.encode()) > MAX_NAME:
        raise _Unsound(f"tensor name {shown(name)} is longer than {MAX_NAME} bytes")
    return name


def _whole(value: Any, most: int) -> bool:
    return type(value) is int and 0 <= value <= most


def _check_entry(name: str, entry: Any, begin: int) -> TensorEntry:
    """One tensor's entry; `begin` is the file offset at which the tensors start."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _Unsound(f"the entry of tensor {shown(name)} is not {{dtype, shape, data_offsets}}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BYTES:
        raise _Unsound(f"tensor {shown(name)} has the unknown dtype {shown(str(dtype))}")
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
        raise _Unsound(f"the shape of tensor {shown(name)} is not a list of at most {MAX_DIMENSIONS} numbers")
    if not all(_whole(side, MAX_DIMENSION) and side > 0 for side in shape):
        raise _Unsound(f"the shape of tensor {shown(name)} has a side that is not between 1 and {MAX_DIMENSION}")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(_whole(offset, 2**62) for offset in offsets):
        raise _Unsound(f"the offsets of tensor {shown(name)} are not two numbers")
    size = DTYPE_BYTES[dtype]
    for side in shape:
        size *= side
    if offsets[1] - offsets[0] != size:
        raise _Unsound(f"tensor {shown(name)} needs {size} bytes and is given {offsets[1] - offsets[0]}")
    return TensorEntry(dtype=dtype, shape=tuple(shape), start=begin + offsets[0], stop=begin + offsets[1])


def _check_cover(ordered: Mapping[str, TensorEntry], begin: int, size: int) -> None:
    """The tensors must follow each other from `begin` to the end of the file, without hole, overlap or rest."""
    at = begin
    for name, entry in ordered.items():
        if entry.start != at:
            fault = "overlaps the one before it" if entry.start < at else "has a hole before it"
            raise _Unsound(f"tensor {shown(name)} {fault}")
        at = entry.stop
    if at > size:
        raise _Unsound(f"it is truncated: its header promises {at} bytes and the file has {size}")
    if at < size:
        raise _Unsound(f"{size - at} bytes follow its last tensor")
