"""Files that appear whole or not at all, whoever else writes them and whenever it is killed."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

TEMPORARY = ".tmp-"
"""How the name of a file begins that is not whole yet; one that a kill left behind may be deleted."""


def write_atomically(path: Path, content: bytes, *, durable: bool = True) -> None:
    """`path` holds `content`, or is untouched, also where several processes write it: temporary file, rename.

    `durable`: it outlasts a power cut too (fsync of file and folder); not needed of what can be made again. Raises
    OSError.
    """
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(4)}-{path.name}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync(path.parent)


def _sync(path: Path) -> None:
    """The folder's names are on the disk."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows opens no folder, and keeps its names by a log of its own
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
