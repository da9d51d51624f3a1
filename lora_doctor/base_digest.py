"""Hashes of base models."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from lora_doctor.atomic_files import write_atomically

_CHUNK = 1 << 24
_PARTS = (".safetensors", ".json", ".txt")
"""What of a folder makes the model: weights, configs, vocabularies."""
_KEPT, _HEX = ".digest", 64


def base_digest(source: Any, *, kept_in: Path | None = None) -> str:
    """What a base model is, wherever it lies: the hub's commit, else a SHA-256 of all that it is made of.

    `source` is a BaseSource. A folder's own is `folder_digest`; a checkpoint's includes the folder of its configs.
    `kept_in`: a folder in which digests of files that have not changed since are found, and kept; None = made anew, a
    second for every gigabyte or two.
    """
    if source.commit:
        return str(source.commit)
    kept = None if kept_in is None else kept_in / f"{_state_of(source)[:40]}{_KEPT}"
    if kept is not None:
        with suppress(OSError, UnicodeDecodeError):
            if len(known := kept.read_text("ascii")) == _HEX:
                return known
    found = _content_of(source)
    if kept is not None:
        with suppress(OSError):
            kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(kept, found.encode("ascii"), durable=False)  # several processes may share the folder
    return found


def _content_of(source: Any) -> str:
    if source.kind != "file":
        return folder_digest(source.path)
    parts = [file_digest(source.path), folder_digest(source.config) if source.config else ""]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _state_of(source: Any) -> str:
    """Names, sizes, times and inodes: a changed file cannot keep all of them."""
    total = hashlib.sha256(source.kind.encode())
    for root in (source.path, source.config):
        if root is None:
            continue
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file():
                state = path.stat()
                told = (str(path.resolve()), state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
                total.update(repr(told).encode("utf-8", "backslashreplace"))
    return total.hexdigest()


def folder_digest(folder: Path) -> str:
    """SHA-256 of the names and contents of a diffusers folder's files, 64 hexadecimal digits; notes do not count."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in _PARTS and path.is_file():
            total.update(path.relative_to(folder).as_posix().encode())
            total.update(bytes.fromhex(file_digest(path)))
    return total.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits; read piece by piece, a second for every gigabyte or two."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            total.update(chunk)
    return total.hexdigest()
