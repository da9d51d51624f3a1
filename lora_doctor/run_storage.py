"""Where a run folder meets the disk: one lock, one database, files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import socket
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from lora_doctor.errors import EnvironmentFailure, FolderBusy, InputRefused, UsageError

FORMAT = 1
"""`user_version` of the database."""
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_RESUME = "Free some space and run the same command again: it resumes."
_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (name TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cells (key TEXT PRIMARY KEY, position INTEGER, json TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS renders (key TEXT PRIMARY KEY, sha256 TEXT, reason TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS readings (
    kind TEXT, key TEXT, json TEXT NOT NULL, arrays BLOB NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
"""


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns what a full or failing disk raises into EnvironmentFailure, naming `folder`."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise EnvironmentFailure("no space left on the disk.", path=folder, advice=_RESUME) from error
        advice = "Mend that and run the same command again: it resumes."
        raise EnvironmentFailure(f"cannot be written: {error.strerror}.", path=folder, advice=advice) from error
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
            advice = "Delete the folder, or choose another one."
            raise InputRefused(f"is no sound run folder: {error}.", path=folder, advice=advice) from error
        # SQLite reports a file-size limit and a full shared-memory file as a failed write.
        full = name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR")
        what = f"no space left on the disk, or it fails ({error})." if full else f"cannot be written: {error}."
        raise EnvironmentFailure(what, path=folder, advice=_RESUME) from error


def open_database(path: Path) -> sqlite3.Connection:
    """The run's database, made when it is not there: write-ahead log, every commit on the disk, autocommit.

    Raises sqlite3.Error, and UsageError for a database of a newer lora-doctor.
    """
    database = sqlite3.connect(path, isolation_level=None, timeout=5)
    try:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version > FORMAT:
            raise UsageError("was made by a newer lora-doctor.", path=path.parent, advice="Use that one.")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        if version < FORMAT:
            database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")
    except BaseException:
        database.close()
        raise
    return database


# ---------------------------------------------------------------- the lock

_held: weakref.WeakSet[FileIO] = weakref.WeakSet()


def lock(path: Path) -> FileIO:
    """Holds the lock file at `path` until it is closed or this process ends, in whatever way.

    Raises FolderBusy, naming the holder, when another process (or this one, twice) has it, and OSError.
    """
    try:
        import fcntl
    except ImportError:
        advice = "Run lora-doctor on Linux, macOS or WSL."
        raise EnvironmentFailure("this system has no file locks of the kind needed.", advice=advice) from None
    file = FileIO(path, "a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = " ".join(ascii(file.read(200).decode(errors="replace"))[1:-1].split()) or "another process"
        file.close()
        raise FolderBusy(f"is in use by {holder}.", path=path.parent, advice="Wait for it, or stop it.") from None
    except BaseException:
        file.close()
        raise
    with suppress(OSError):  # the holder's name is a courtesy, a full disk must not stand in its way
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
    _held.add(file)
    return file


def _forget_locks() -> None:
    """In a forked child: a worker that outlives a killed parent must not keep the parent's lock."""
    for file in _held:
        file.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)
