"""Plug-ins are found by file name, data by folder name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lora_doctor
from lora_doctor import plugins
from lora_doctor.errors import EnvironmentFailure

FOLDERS = ("audits", "engines", "exports", "extractors", "metrics", "trainers")


@pytest.fixture
def beans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A sub-package `lora_doctor.beans` with three files, as a user's own would be."""
    folder = tmp_path / "beans"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "runner.py").write_text("def measure(study): return [study]\n")
    (folder / "broad.py").write_text("def other(): ...\nmeasure = 3\n")
    (folder / "_private.py").write_text("raise RuntimeError('never imported')\n")
    monkeypatch.setattr(lora_doctor, "__path__", [*lora_doctor.__path__, str(tmp_path)])
    yield folder
    for name in [name for name in sys.modules if name.startswith("lora_doctor.beans")]:
        del sys.modules[name]


def test_a_file_is_a_plugin_by_its_name_and_private_ones_are_not(beans: Path) -> None:
    assert list(plugins.find("beans")) == ["broad", "runner"]


def test_a_module_without_the_needed_function_is_no_plugin(beans: Path) -> None:
    found = plugins.find("beans", needs="measure")
    assert list(found) == ["runner"]
    assert found["runner"].measure(1) == [1]


def test_a_new_file_is_found_without_any_list_being_edited(beans: Path) -> None:
    (beans / "dwarf.py").write_text("def measure(study): return []\n")
    assert list(plugins.find("beans", needs="measure")) == ["dwarf", "runner"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_sub_package_can_be_searched(folder: str) -> None:
    files = {path.stem for path in (plugins.PACKAGE / folder).glob("*.py")}
    assert set(plugins.find(folder)) == {name for name in files if not name.startswith("_")}


def test_the_local_engine_is_found() -> None:
    assert "local" in plugins.find("engines", needs="map")


def test_data_is_taken_from_the_installed_package_before_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "PACKAGE", tmp_path / "lora_doctor")
    (tmp_path / "rules").mkdir()
    (tmp_path / "fixtures" / "miniature").mkdir(parents=True)
    assert plugins.data_folder("rules") == tmp_path / "rules"
    assert plugins.data_folder("miniature") == tmp_path / "fixtures" / "miniature"
    (tmp_path / "lora_doctor" / "rules").mkdir(parents=True)
    assert plugins.data_folder("rules") == tmp_path / "lora_doctor" / "rules"
    with pytest.raises(EnvironmentFailure, match="lacks its reports folder"):
        plugins.data_folder("reports")
