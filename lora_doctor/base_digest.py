"""Hashes of base models."""

from __future__ import annotations

import hashlib
from pathlib import Path

_CHUNK = 1 << 24
_PARTS = (".safetensors", ".json", ".txt")
"""What of a folder makes the model: weights, configs, vocabularies."""


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
