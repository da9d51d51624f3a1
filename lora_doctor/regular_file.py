"""A regular file, read by position from an open descriptor, and known again when it was replaced or written to.

Never mapped into memory: a mapped file that another process shortens ends the reader without an exception.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lora_doctor.errors import InputRefused


@dataclass(frozen=True, kw_only=True, slots=True)
class FileIdentity:
    """What tells a file that was replaced or written to from the one that was opened before."""

    device: int
    inode: int
    size: int
    """Bytes."""
    modified: int
    """Nanoseconds, in ticks of some milliseconds: only the SHA-256 proves that nothing changed."""


def check_regular_file(path: Path) -> int:
    """Bytes in the file at `path`; raises InputRefused when there is none, or it is a folder, pipe or device."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputRefused("no such file.", path=path, advice="Check the name.") from None
    except (OSError, ValueError) as error:
        raise InputRefused(f"cannot be read: {error}.", path=path) from None
    if not stat.S_ISREG(status.st_mode):
        advice = "Give the .safetensors file the trainer saved."
        raise InputRefused("is not a regular file.", path=path, advice=advice)
    return status.st_size


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor of the regular file at `path`, to read from; raises InputRefused, also for what fails in the block.

    Opened without blocking: the file may have become a pipe since it was looked at.
    """
    check_regular_file(path)
    flags = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NONBLOCK", "O_BINARY"))
    try:
        descriptor = os.open(path, flags)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise changed(path)
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        raise InputRefused(f"cannot be read: {error.strerror}.", path=path) from None


def identity_of(descriptor: int) -> FileIdentity:
    """The identity of an open file."""
    status = os.fstat(descriptor)
    return FileIdentity(device=status.st_dev, inode=status.st_ino, size=status.st_size, modified=status.st_mtime_ns)


def require_same(path: Path, descriptor: int, identity: FileIdentity | None) -> None:
    """Raises InputRefused when the open file, at `path`, is not the one of `identity`; None is not compared."""
    if identity is not None and identity_of(descriptor) != identity:
        raise changed(path)


def changed(path: Path) -> InputRefused:
    """The error for a file that is not the one that was read before."""
    return InputRefused("has changed since it was read.", path=path, advice="Run the command again.")


def read_at(descriptor: int, offset: int, length: int) -> bytes:
    """`length` bytes from byte `offset`; fewer only where the file ends before."""
    read = os.pread if hasattr(os, "pread") else seek_and_read
    data = read(descriptor, length, offset)
    while 0 < len(data) < length and (more := read(descriptor, length - len(data), offset + len(data))):
        data += more
    return data


def seek_and_read(descriptor: int, length: int, offset: int) -> bytes:
    """What `os.pread` does, for systems without it; not for two threads on one descriptor."""
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, length)
