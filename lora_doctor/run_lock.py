"""The lock file of a run folder: one process that writes there, or any number that only read; gone with its holder."""

from __future__ import annotations

import errno
import os
import socket
import weakref
from contextlib import suppress
from io import FileIO
from pathlib import Path

from lora_doctor.errors import EnvironmentFailure, FolderBusy

_FAR = 2**30
"""Windows lets nobody read a byte that is locked: this one lies beyond the holder's name."""
_held: weakref.WeakSet[FileIO] = weakref.WeakSet()


def lock(path: Path) -> FileIO:
    """Holds the lock file at `path` alone until it is closed or this process ends, in whatever way.

    Raises FolderBusy, naming the holder, when another process (or this one, twice) has it, and OSError.
    """
    file = FileIO(path, "a+")
    try:
        if not _taken(file, alone=True):
            raise FolderBusy(f"is in use by {_holder(file)}.", path=path.parent, advice="Wait for it, or stop it.")
    except BaseException:
        file.close()
        raise
    with suppress(OSError):  # the holder's name is a courtesy, a full disk must not stand in its way
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
    _held.add(file)
    return file


def share(path: Path) -> FileIO | None:
    """Holds the lock file at `path` together with others that only read; nothing is written, so none is made.

    None where there is none, or where the disk has no locks. Raises FolderBusy when a process holds it alone. On
    Windows, whose C library knows no shared locks, a second reader is refused as well.
    """
    try:
        file = FileIO(path, "r")
    except OSError:
        return None
    try:
        if not _taken(file, alone=False):
            raise FolderBusy(f"is in use by {_holder(file)}.", path=path.parent, advice="Wait for it, or stop it.")
    except OSError:
        file.close()
        return None
    except BaseException:
        file.close()
        raise
    _held.add(file)
    return file


def _taken(file: FileIO, *, alone: bool) -> bool:
    """Whether the lock could be had; OSError where the disk has none, EnvironmentFailure where the system has none."""
    try:
        import fcntl
    except ImportError:
        return _taken_on_windows(file)
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _taken_on_windows(file: FileIO) -> bool:
    try:
        import msvcrt
    except ImportError:
        advice = "Run lora-doctor on Linux, macOS or Windows."
        raise EnvironmentFailure("this system has no file locks.", advice=advice) from None
    file.seek(_FAR)
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]  # Windows alone has them
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True


def _holder(file: FileIO) -> str:
    """Who has the lock: readers leave no name, and the one that stands there may be of a process long gone."""
    with suppress(OSError, EnvironmentFailure):
        if _taken(file, alone=False):
            return "another lora-doctor that reads it"
    file.seek(0)
    return " ".join(ascii(file.read(200).decode(errors="replace"))[1:-1].split()) or "another process"


def _forget_locks() -> None:
    """In a forked child: a worker that outlives a killed parent must not keep the parent's lock."""
    for file in _held:
        file.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)
