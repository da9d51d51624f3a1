"""Files are read by position, and what is no file, or no longer the same one, is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lora_doctor.errors import InputRefused
from lora_doctor.regular_file import check_regular_file, identity_of, opened, read_at, require_same, seek_and_read

TEXT = bytes(range(100))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "x").write_bytes(TEXT)
    return tmp_path / "x"


def test_the_size_is_told(path: Path) -> None:
    assert check_regular_file(path) == 100


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, says in (
        (tmp_path / "none", "no such file"),
        (tmp_path / "pipe" / "below", "no such file"),
        (tmp_path, "not a regular file"),
        (tmp_path / "pipe", "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
        (tmp_path / ("n" * 300), "cannot be read"),
    ):
        with pytest.raises(InputRefused, match=says), opened(path):
            pass


def test_a_file_that_becomes_a_pipe_before_it_is_opened_is_refused_without_waiting(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = os.open

    def late(name: Path, flags: int) -> int:
        path.unlink()
        os.mkfifo(path)
        return opening(name, flags)

    monkeypatch.setattr(os, "open", late)
    with pytest.raises(InputRefused, match="has changed"), opened(path):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(path: Path) -> None:
    path.chmod(0)
    with pytest.raises(InputRefused, match="cannot be read"), opened(path):
        pass


def test_the_descriptor_is_closed_whatever_happens(path: Path) -> None:
    with pytest.raises(KeyError), opened(path) as descriptor:
        raise KeyError
    with pytest.raises(OSError):
        os.fstat(descriptor)


@pytest.mark.parametrize(("offset", "length"), [(0, 100), (3, 5), (0, 0), (99, 1)])
def test_bytes_are_read_where_they_lie(path: Path, offset: int, length: int) -> None:
    with opened(path) as descriptor:
        assert read_at(descriptor, offset, length) == TEXT[offset : offset + length]
        assert seek_and_read(descriptor, length, offset) == TEXT[offset : offset + length]


def test_past_the_end_there_are_fewer_bytes(path: Path) -> None:
    with opened(path) as descriptor:
        assert read_at(descriptor, 98, 10) == TEXT[98:]
        assert read_at(descriptor, 200, 10) == b""


def test_a_system_that_reads_less_than_asked_is_asked_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = os.pread
    monkeypatch.setattr(os, "pread", lambda descriptor, length, offset: reading(descriptor, min(length, 7), offset))
    with opened(path) as descriptor:
        assert read_at(descriptor, 10, 50) == TEXT[10:60]


def test_a_system_without_pread_reads_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pread")
    with opened(path) as descriptor:
        assert read_at(descriptor, 10, 50) == TEXT[10:60]


def test_a_file_that_is_written_to_or_replaced_is_another_one(path: Path) -> None:
    with opened(path) as descriptor:
        identity = identity_of(descriptor)
        require_same(path, descriptor, identity)
        require_same(path, descriptor, None)
        os.utime(path, ns=(0, identity.modified + 1))
        with pytest.raises(InputRefused, match="has changed"):
            require_same(path, descriptor, identity)
    copy = path.with_name("copy")
    copy.write_bytes(TEXT)
    os.utime(copy, ns=(0, identity.modified))
    copy.replace(path)
    with opened(path) as descriptor, pytest.raises(InputRefused, match="has changed"):
        require_same(path, descriptor, identity)
