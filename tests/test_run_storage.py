"""Files appear whole or not at all; one process holds a lock; a full disk is an environment failure."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from lora_doctor.atomic_files import write_atomically
from lora_doctor.errors import EnvironmentFailure, FolderBusy, InputRefused, UsageError
from lora_doctor.run_storage import disk_errors, lock, open_database

HOLD = "import sys, time; from pathlib import Path; from lora_doctor.run_storage import lock; "


def holder(path: Path, then: str = "print('held', flush=True); time.sleep(60)") -> subprocess.Popen[str]:
    """Another process that holds the lock and has said so."""
    code = f"{HOLD}held = lock(Path(sys.argv[1])); {then}"
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_living_process_holds_the_lock_and_is_named(tmp_path: Path) -> None:
    process = holder(tmp_path / "lock")
    try:
        with pytest.raises(FolderBusy, match=f"in use by process {process.pid} on") as caught:
            lock(tmp_path / "lock")
        assert caught.value.exit_code == 6
    finally:
        process.kill()
        process.wait()


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    process = holder(tmp_path / "lock")
    process.send_signal(signal.SIGKILL)
    process.wait()
    lock(tmp_path / "lock").close()


def test_a_forked_worker_that_outlives_its_parent_holds_nothing(tmp_path: Path) -> None:
    fork = "import os; os.fork() or print(f'held\\n{os.getpid()}', flush=True); time.sleep(60)"
    process = holder(tmp_path / "lock", fork)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        process.send_signal(signal.SIGKILL)
        process.wait()
        os.kill(child, 0)  # it lives
        lock(tmp_path / "lock").close()
    finally:
        os.kill(child, signal.SIGKILL)


def test_one_process_cannot_take_a_lock_twice(tmp_path: Path) -> None:
    with lock(tmp_path / "lock"), pytest.raises(FolderBusy):
        lock(tmp_path / "lock")
    lock(tmp_path / "lock").close()


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
