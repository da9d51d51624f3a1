"""One process writes and others wait; any number read together; a lock goes with its holder, whatever became of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lora_doctor.errors import FolderBusy
from lora_doctor.run_lock import lock, share

HOLD = "import sys, time; from pathlib import Path; from lora_doctor.run_lock import lock; "


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


def test_readers_share_and_whoever_writes_waits_for_them(tmp_path: Path) -> None:
    assert share(tmp_path / "lock") is None and list(tmp_path.iterdir()) == []
    lock(tmp_path / "lock").close()
    before = (tmp_path / "lock").read_bytes()
    one, other = share(tmp_path / "lock"), share(tmp_path / "lock")
    assert one is not None and other is not None
    for reader in (one, other):
        with pytest.raises(FolderBusy, match="in use by another lora-doctor that reads it"):
            lock(tmp_path / "lock")
        reader.close()
    assert (tmp_path / "lock").read_bytes() == before
    with lock(tmp_path / "lock"), pytest.raises(FolderBusy, match=f"in use by process {os.getpid()} on"):
        share(tmp_path / "lock")


WINDOWS = """
import errno, fcntl, os, sys, types
from pathlib import Path

def locking(descriptor, mode, size):
    assert os.lseek(descriptor, 0, os.SEEK_CUR) > 200, "nobody could read who holds it"
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OSError(errno.EACCES, "as Windows says it") from None

sys.modules["fcntl"] = None
sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
from lora_doctor.errors import FolderBusy
from lora_doctor.run_lock import lock, share
path = Path(sys.argv[1])
with lock(path):
    for way in (lock, share):
        try:
            way(path)
        except FolderBusy as error:
            print(error)
lock(path).close()
print(share(path).closed)
"""


def test_where_there_is_no_fcntl_windows_own_locks_serve(tmp_path: Path) -> None:
    """A lock of this system stands in for Windows': there is no other here."""
    command = [sys.executable, "-c", WINDOWS, tmp_path / "lock"]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    first, second, closed = told.stdout.splitlines()
    assert "is in use by process" in first and first == second and closed == "False"
