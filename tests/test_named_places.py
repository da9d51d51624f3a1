"""What a name in a config means, for the audit of a dataset and for the patch of its config alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_doctor.layouts.places import file_named, folder_named
from lora_doctor.named_places import found_file, found_folder, moved_place
from lora_doctor.trainers.folders import Folder
from lora_doctor.trainers.places import Place, kept_file, moved_folder
from lora_doctor.types import DatasetImage


@pytest.mark.parametrize("place", ["own", "working", "above"])
def test_a_relative_name_means_the_same_to_both(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    config, working = tmp_path / "trainer" / "configs" / "mine" / "c.toml", tmp_path / "working"
    working.mkdir()
    config.parent.mkdir(parents=True)
    monkeypatch.chdir(working)
    root = {"own": config.parent, "working": working, "above": tmp_path / "trainer"}[place]
    (root / "data" / "sub").mkdir(parents=True)
    (root / "data.json").write_text("{}")
    folder = folder_named("data", config, "folder")
    assert folder == found_folder("data", config) == root / "data"
    assert file_named("data.json", config, "file", (".json",)) == found_file("data.json", config) == root / "data.json"
    assert kept_file("data.json", config) == root / "data.json"
    assert moved_folder("data", config, {root / "data": Path("/new/data")}) == Path("/new/data")
    assert moved_folder("data/../data/", config, {root / "data": Path("/new/data")}) == Path("/new/data")
    picture = DatasetImage(path=root / "data" / "sub" / "a.png", sha256="", width=8, height=8, caption=None)
    inside = Folder(Place(config, ("repeats",)), Path("data"), 1.0, below=True)
    assert inside.holds(picture)
    assert not Folder(inside.place, Path("data"), 1.0).holds(picture)
    assert not Folder(inside.place, Path("dat"), 1.0, below=True).holds(picture)


def test_the_folder_beside_the_config_comes_before_one_further_up(tmp_path: Path) -> None:
    config = tmp_path / "configs" / "c.toml"
    for folder in (tmp_path / "data", tmp_path / "configs" / "data"):
        folder.mkdir(parents=True)
    assert moved_place("data", config, {tmp_path / "data": Path("/new")}) == tmp_path / "configs" / "data"


def test_a_link_to_a_folder_that_moves_moves_with_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data", target_is_directory=True)
    assert moved_place(str(tmp_path / "link"), tmp_path / "c.toml", {tmp_path / "data": Path("/new")}) == Path("/new")


def test_names_that_hold_anywhere_or_nowhere_stay(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    (tmp_path / "data").mkdir()
    for name in (str(tmp_path / "data"), str(tmp_path / "none"), "none", "", " ", "a\0b", "x" * 5000):
        assert moved_place(name, config, {}) is None
    for odd in (None, 3, ["data"]):
        assert moved_folder(odd, config, {}) is None and kept_file(odd, config) is None
