"""Files appear whole or not at all, whoever else writes them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lora_doctor.atomic_files import TEMPORARY, write_atomically


@pytest.mark.parametrize("durable", [True, False])
def test_a_write_replaces_all_or_nothing(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old", durable=durable)
    write_atomically(path, b"new and longer", durable=durable)
    assert path.read_bytes() == b"new and longer"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"folder"):
        write_atomically(tmp_path / "folder", b"x")
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "nowhere" / "file", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_several_writers_of_one_file_never_mix(tmp_path: Path) -> None:
    path, contents = tmp_path / "file", [bytes([65 + number]) * 200_000 for number in range(8)]
    with ThreadPoolExecutor(8) as writers:
        list(writers.map(lambda content: write_atomically(path, content, durable=False), contents * 5))
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_kill_left_behind_is_no_hindrance_and_is_known_by_its_name(tmp_path: Path) -> None:
    left = tmp_path / f"{TEMPORARY}file"
    left.write_bytes(b"half")
    write_atomically(tmp_path / "file", b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert left.read_bytes() == b"half"


def test_a_file_has_the_rights_that_any_new_file_has(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write_atomically(tmp_path / "file", b"")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode
