"""Files appear whole or not at all; a full disk is an environment failure."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from lora_doctor.atomic_files import write_atomically
from lora_doctor.errors import EnvironmentFailure, InputRefused, UsageError
from lora_doctor.run_storage import disk_errors, open_database


def test_a_file_beyond_the_size_limit_leaves_the_old_one(tmp_path: Path) -> None:
    """A real EFBIG, from the kernel."""
    path = tmp_path / "file"
    write_atomically(path, b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(EnvironmentFailure, match="no space left") as caught, disk_errors(tmp_path):
            write_atomically(path, bytes(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.exit_code == 5
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_device_is_an_environment_failure_that_says_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="run the same command again: it resumes"), disk_errors(tmp_path):
        Path("/dev/full").write_bytes(b"x")


def test_other_disk_errors_are_environment_failures_too(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="cannot be written: Is a directory"), disk_errors(tmp_path):
        tmp_path.write_bytes(b"")
    with pytest.raises(EnvironmentFailure, match="no space left"), disk_errors(tmp_path):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))


def test_a_database_keeps_every_commit_in_a_write_ahead_log(tmp_path: Path) -> None:
    database = open_database(tmp_path / "db")
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.execute("PRAGMA synchronous").fetchone() == (2,)
    database.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"no database at all" * 99)
    with pytest.raises(InputRefused, match="no sound run folder"), disk_errors(tmp_path):
        open_database(tmp_path / "db")


def test_a_database_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "db")
    database.execute("PRAGMA user_version = 99")
    database.close()
    before = (tmp_path / "db").read_bytes()
    with pytest.raises(UsageError, match="newer lora-doctor"):
        open_database(tmp_path / "db")
    assert (tmp_path / "db").read_bytes() == before


def test_a_database_that_is_only_read_is_read_as_it_is_and_no_file_is_made(tmp_path: Path) -> None:
    written = open_database(tmp_path / "db")
    written.execute("INSERT INTO documents VALUES ('looks', '1')")
    written.close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    database = open_database(tmp_path / "db", write=False)
    assert database.execute("SELECT json FROM documents").fetchall() == [("1",)]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.execute("DELETE FROM documents")
    database.close()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_a_killed_run_left_in_the_log_is_read_too(tmp_path: Path) -> None:
    code = "import os, sys; from pathlib import Path; from lora_doctor.run_storage import open_database; "
    code += "open_database(Path(sys.argv[1])).execute(\"INSERT INTO documents VALUES ('looks', '2')\"); os._exit(1)"
    subprocess.run([sys.executable, "-c", code, tmp_path / "db"], check=False)
    assert (tmp_path / "db-wal").stat().st_size > 0
    database = open_database(tmp_path / "db", write=False)
    assert database.execute("SELECT json FROM documents").fetchall() == [("2",)]
    database.close()


def test_a_database_that_never_held_anything_is_refused_to_a_reader(tmp_path: Path) -> None:
    (tmp_path / "db").touch()
    with pytest.raises(InputRefused, match="holds nothing yet"):
        open_database(tmp_path / "db", write=False)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_folder_that_may_not_be_written_is_told_with_the_option_that_names_another(number: int) -> None:
    with pytest.raises(EnvironmentFailure, match=r"Make it writable.*--out"), disk_errors(Path("run")):
        raise OSError(number, os.strerror(number))
