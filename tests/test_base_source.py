"""What `--base` names: folders, files and hub ids are told apart, and each is called by a name fit to be recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_doctor.base_models import base_family, load_pipeline, resolve_base
from lora_doctor.errors import InputRefused
from tests.tiny_pipeline import tiny_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("models") / "my base")


def test_a_folder_is_called_by_its_own_name_without_its_path(folder: Path) -> None:
    source = resolve_base(str(folder))
    assert (source.kind, source.name, source.commit) == ("folder", "my base", None)
    assert str(folder.parent) not in source.name


def test_a_resolved_base_loads_as_what_it_was_resolved_from(folder: Path) -> None:
    source = resolve_base(folder)
    assert load_pipeline(source, "cpu").unet.config == load_pipeline(folder, "cpu").unet.config
    assert base_family(source.path) == "unknown"


def test_a_folder_named_like_a_hub_id_is_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parent / "owner").mkdir(exist_ok=True)
    target = folder.parent / "owner" / "name"
    if not target.exists():
        tiny_folder(target)
    monkeypatch.chdir(folder.parent)
    assert resolve_base("owner/name").kind == "folder"


@pytest.mark.parametrize(
    "base",
    [Path("no/where"), "./models", "/no/such/folder", "miniature", "a/b/c", "models/x.safetensors", "m/x.ckpt"],
)
def test_what_is_not_there_is_refused_with_what_would_do(base: Path | str) -> None:
    with pytest.raises(InputRefused, match=r"no such base model folder or file.*owner/name@revision"):
        resolve_base(base)


@pytest.mark.parametrize("base", ["some one/a model!", "owner/name@../x", "owner/name@"])
def test_what_looks_like_a_hub_id_and_is_none_is_refused(base: str) -> None:
    with pytest.raises(InputRefused, match="neither a folder nor a hub id"):
        resolve_base(base)
