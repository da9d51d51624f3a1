"""Where a run folder meets the disk: one database, files that appear whole or not at all."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lora_doctor.errors import EnvironmentFailure, InputRefused, UsageError

FORMAT = 1
"""`user_version` of the database."""
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_RESUME = "Free some space and run the same command again: it resumes."
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_DENIED_ADVICE = "Make it writable; `check` and `audit` take another folder with --out."
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
        denied = error.errno in _DENIED
        advice = _DENIED_ADVICE if denied else "Mend that and run the same command again: it resumes."
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


def open_database(path: Path, *, write: bool = True) -> sqlite3.Connection:
    """The run's database, made when it is not there: write-ahead log, every commit on the disk, autocommit.

    Without `write` it can be read alone, and no file is made or changed. Raises sqlite3.Error, UsageError for a
    database of a newer lora-doctor, and, without `write`, InputRefused for one that was never finished.
    """
    database = sqlite3.connect(path if write else _to_read(path), uri=not write, isolation_level=None, timeout=5)
    try:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version > FORMAT:
            raise UsageError("was made by a newer lora-doctor.", path=path.parent, advice="Use that one.")
        if not write:
            if version < FORMAT:
                raise InputRefused("holds nothing yet.", path=path.parent, advice="Run `lora-doctor check` to its end.")
            return database
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        if version < FORMAT:
            database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")
    except BaseException:
        database.close()
        raise
    return database


def _to_read(path: Path) -> str:
    """The address to read at. Without a log beside it, which a killed run leaves, nothing about the file will change:
    told so, SQLite makes no files of its own, and reads where none can be made."""
    log = path.with_name(f"{path.name}-wal")
    still = not log.exists() or log.stat().st_size == 0
    return f"{path.resolve().as_uri()}?mode=ro{'&immutable=1' if still else ''}"
