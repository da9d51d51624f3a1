"""Walking and reading stay inside the dataset, within their limits, and never wait."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from lora_doctor import dataset_tree
from lora_doctor.dataset_tree import Bounds, bounds_of, check_folder, files_below, read_inside
from lora_doctor.errors import InputRefused


def write(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def listed(folder: Path, recursive: bool = True) -> tuple[list[str], list[InputRefused]]:
    refused: list[InputRefused] = []
    return files_below(folder, recursive=recursive, refuse=refused.append), refused


def test_names_come_sorted_as_paths_without_what_desktops_leave_behind(tmp_path: Path) -> None:
    for name in ("b.png", "a/z.png", "a.png", ".hidden/c.png", "._d.png", "__MACOSX/e.png", "a/.f", "B.txt"):
        write(tmp_path / name)
    assert listed(tmp_path) == (["B.txt", "a/z.png", "a.png", "b.png"], [])
    assert listed(tmp_path, recursive=False)[0] == ["B.txt", "a.png", "b.png"]


def test_links_to_folders_are_told_only_where_folders_are_entered(tmp_path: Path) -> None:
    (tmp_path / "more").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    names, refused = listed(tmp_path)
    assert names == ["gone"]
    assert [str(error.path) for error in refused] == [str(tmp_path / "more")]
    assert listed(tmp_path, recursive=False) == (["gone"], [])


def test_folders_are_entered_to_the_limit_and_not_beyond(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_tree, "MAX_DEPTH", 2)
    for name in ("a.png", "1/b.png", "1/2/c.png", "1/2/3/d.png"):
        write(tmp_path / name)
    names, refused = listed(tmp_path)
    assert sorted(names) == ["1/2/c.png", "1/b.png", "a.png"]
    assert [Path(error.path or "").name for error in refused] == ["3"]


def test_more_entries_than_can_be_held_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_tree, "MAX_FILES", 5)
    for number in range(5):
        write(tmp_path / f"{number}.png")
    assert len(listed(tmp_path)[0]) == 5
    write(tmp_path / "more" / "5.png")
    with pytest.raises(InputRefused, match="more than 5 files"):
        listed(tmp_path)


def test_bounds_hold_what_is_below_and_not_what_is_called_alike() -> None:
    bounds = Bounds(roots=("/data/yuki",))
    assert bounds.hold("/data/yuki")
    assert bounds.hold("/data/yuki/a.png")
    assert not bounds.hold("/data/yuki2/a.png")
    assert not bounds.hold("/data")
    assert Bounds(roots=("/",)).hold("/etc/passwd")


def test_a_folder_holds_only_what_is_below_it_and_a_config_names_what_it_likes(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    for folder in (root, other):
        folder.mkdir()
    (root / "10_x").symlink_to(other)
    for folder in (root / "10_x", root / ".." / "other", other):
        with pytest.raises(InputRefused, match="outside the dataset"):
            check_folder(folder, bounds_of(root, [root, folder]))
    config = write(root / "config.toml")
    check_folder(root / "10_x", bounds_of(config, [root / "10_x"]))


def test_the_dataset_itself_may_be_a_link(tmp_path: Path) -> None:
    write(tmp_path / "real" / "a.png", b"here")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    bounds = bounds_of(tmp_path / "link", [tmp_path / "link"])
    check_folder(tmp_path / "link", bounds)
    assert read_inside(tmp_path / "link" / "a.png", bounds, limit=9, kind="picture") == b"here"


def test_a_file_is_read_to_its_limit_and_refused_beyond_it(tmp_path: Path) -> None:
    bounds = bounds_of(tmp_path, [tmp_path])
    path = write(tmp_path / "a", b"12345")
    assert read_inside(path, bounds, limit=5, kind="caption") == b"12345"
    with pytest.raises(InputRefused, match="is a caption of 5 bytes, more than the 4"):
        read_inside(path, bounds, limit=4, kind="caption")


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="no file here reports a size of zero and has content"
)
def test_a_file_that_hides_its_size_is_bounded_as_well() -> None:
    bounds = bounds_of(Path("/proc"), [Path("/proc")])
    path = Path("/proc/self/status")
    real = Path(f"/proc/{os.getpid()}/status")
    assert real.stat().st_size == 0
    with pytest.raises(InputRefused, match="more than the 20"):
        read_inside(path, bounds, limit=20, kind="caption")


def test_a_file_that_turns_into_a_pipe_before_it_is_opened_does_not_hold_us_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.png")
    really = os.open

    def swapped(name: str, flags: int) -> int:
        path.unlink()
        os.mkfifo(path)
        return really(name, flags)

    said: list[str] = []

    def read() -> None:
        try:
            read_inside(path, bounds_of(tmp_path, [tmp_path]), limit=9, kind="picture")
        except InputRefused as error:
            said.append(error.what)

    monkeypatch.setattr(os, "open", swapped)
    waiting = threading.Thread(target=read, daemon=True)
    waiting.start()
    waiting.join(timeout=10)
    assert said == ["is not a regular file."]


def test_a_file_that_turns_into_a_link_before_it_is_opened_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = write(tmp_path / "secret", b"not yours")
    path = write(tmp_path / "data" / "a.png")
    really = os.open

    def swapped(name: str, flags: int) -> int:
        path.unlink()
        path.symlink_to(secret)
        return really(name, flags)

    bounds = bounds_of(tmp_path / "data", [tmp_path / "data"])
    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(InputRefused, match="cannot be read"):
        read_inside(path, bounds, limit=99, kind="picture")


@pytest.mark.parametrize(
    "name", ["nul\0.png", "half\ud800.png", "x" * 5000 + ".png", "gone.png", "../a.png", "/etc/passwd"]
)
def test_a_name_that_leads_nowhere_or_out_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data"
    write(tmp_path / "a.png")
    folder.mkdir()
    with pytest.raises(InputRefused) as caught:
        read_inside(folder / name, bounds_of(folder, [folder]), limit=99, kind="picture")
    assert caught.value.what.isprintable()
