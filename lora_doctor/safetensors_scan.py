"""A safetensors file read once from end to end, in chunks: its SHA-256, and how many numbers are NaN or infinite.

Infinity and NaN are told by the bits of the stored numbers, without converting any: 200 MB take a fraction of a second.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lora_doctor.errors import InputRefused
from lora_doctor.regular_file import changed, opened, read_at, require_same
from lora_doctor.safetensors_header import Header, TensorEntry, shown

if TYPE_CHECKING:
    import numpy as np

CHUNK = 2**20
"""Bytes read at a time, a multiple of every number's size: more than that falls out of the processor's cache."""
_LEAST: Mapping[str, tuple[str, int, int]] = {
    "F64": ("<u8", 0x7FFF_FFFF_FFFF_FFFF, 0x47EF_FFFF_F000_0000),
    "F32": ("<u4", 0x7F80_0000, 0x7F80_0000),
    "C64": ("<u4", 0x7F80_0000, 0x7F80_0000),
    "F16": ("<u2", 0x7C00, 0x7C00),
    "BF16": ("<u2", 0x7F80, 0x7F80),
    "F8_E5M2": ("<u1", 0x7C, 0x7C),
    "F8_E4M3": ("<u1", 0x7F, 0x7F),
}
"""dtype -> the bits of a number as an integer, a mask, and the least masked integer that is not finite. For F64 that is
the least double that rounds to infinity as a float32, half a step beyond the largest: all are read as float32."""
_NAN_BYTE: Mapping[str, int] = {"F8_E8M0": 0xFF, "F8_E4M3FNUZ": 0x80, "F8_E5M2FNUZ": 0x80}
"""dtype -> its only byte that is no number (OCP MX 1.0, 5.4.1; arXiv:2206.02915)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """What one reading of a whole file found."""

    sha256: str
    """Of the whole file, in hexadecimal; of the same bytes that were counted."""
    non_finite: Mapping[str, int]
    """Tensor name -> how many of its numbers are NaN or infinite, where there are any; in file order."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole numbers of one tensor, at most `CHUNK` bytes."""

    name: str
    dtype: str
    start: int
    """Byte offset in the file."""
    stop: int
    """Byte offset in the file, exclusive."""


def scan(path: Path, header: Header) -> Scan:
    """Reads the file that `header` was read from once, hashing in a second thread; some 4 MiB of memory.

    Raises InputRefused when the file is not the one of `header` (another file, size or time, or another header), has
    become shorter, or changes meanwhile, and for a BOOL that is neither 0 nor 1.
    """
    digest = hashlib.sha256()
    counts: Counter[str] = Counter()
    with opened(path) as descriptor, ThreadPoolExecutor(1) as pool:
        require_same(path, descriptor, header.identity)
        digest.update(_read(path, descriptor, 0, header.begin))
        if digest.hexdigest() != header.sha256:
            raise changed(path)
        hashed: Future[None] | None = None
        for pieces in chunks(header.tensors):
            raw = _read(path, descriptor, pieces[0].start, pieces[-1].stop)
            if hashed:
                hashed.result()
            hashed = pool.submit(digest.update, raw)
            counts.update(_counts(path, raw, pieces))
        require_same(path, descriptor, header.identity)
    return Scan(sha256=digest.hexdigest(), non_finite=MappingProxyType(dict(counts)))


def require_unchanged(path: Path, sha256: str) -> None:
    """Raises InputRefused unless the file at `path` has this SHA-256, in hexadecimal: the last look, after all work."""
    digest = hashlib.sha256()
    with opened(path) as descriptor:
        at = 0
        while raw := read_at(descriptor, at, CHUNK):
            digest.update(raw)
            at += len(raw)
    if digest.hexdigest() != sha256:
        raise changed(path)


def chunks(tensors: Mapping[str, TensorEntry], most: int = CHUNK) -> Iterator[tuple[Piece, ...]]:
    """Tensors in file order that follow each other, cut into runs of pieces of at most `most` bytes a run. Pure."""
    run: list[Piece] = []
    for piece in _pieces(tensors, most):
        if run and piece.stop - run[0].start > most:
            yield tuple(run)
            run = []
        run.append(piece)
    if run:
        yield tuple(run)


def _pieces(tensors: Mapping[str, TensorEntry], most: int) -> Iterator[Piece]:
    for name, entry in tensors.items():
        for start in range(entry.start, entry.stop, most):
            yield Piece(name, entry.dtype, start, min(start + most, entry.stop))


def _read(path: Path, descriptor: int, start: int, stop: int) -> bytes:
    raw = read_at(descriptor, start, stop - start)
    if len(raw) < stop - start:
        raise changed(path)
    return raw


def _counts(path: Path, raw: bytes, pieces: Iterable[Piece]) -> dict[str, int]:
    """How many numbers of each piece are not finite, where there are any; `raw` begins where the first piece does."""
    found: dict[str, int] = {}
    begin = None
    for piece in pieces:
        begin = piece.start if begin is None else begin
        part = memoryview(raw)[piece.start - begin : piece.stop - begin]
        if piece.dtype == "BOOL" and bytes(part).strip(b"\0\1"):
            what = f"tensor {shown(piece.name)} is BOOL and holds something other than 0 and 1."
            raise InputRefused(what, path=path, advice="Save it again from the trainer.")
        if count := _count(part, piece.dtype):
            found[piece.name] = count
    return found


def _count(part: memoryview, dtype: str) -> int:
    """How many of the numbers in `part` are not finite; 0 for a dtype that has none such."""
    import numpy as np

    if dtype in _NAN_BYTE:
        return bytes(part).count(_NAN_BYTE[dtype])
    if dtype not in _LEAST:
        return 0
    kind, mask, least = _LEAST[dtype]
    bits: np.ndarray[Any, Any] = np.frombuffer(part, kind)
    masked = bits & bits.dtype.type(mask)
    return int(np.count_nonzero(masked >= least)) if masked.max() >= least else 0
