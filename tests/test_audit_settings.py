"""What is typed after `audit`, and what lora-doctor.toml adds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lora_doctor.audit_settings import read_settings
from lora_doctor.dataset_audit import AuditSettings
from lora_doctor.errors import UsageError
from lora_doctor.types import IDENTITY_EMPHASIS

NOTHING: dict[str, Any] = {
    "trigger": None, "spec": (), "roles": (), "resolution": None, "out": None, "device": "cpu", "folder": None,
    "private": False,
}  # fmt: skip


def read(dataset: Path, **given: Any) -> AuditSettings:
    return read_settings(dataset, **{**NOTHING, **given})


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "yuki").mkdir()
    return tmp_path / "yuki"


def test_the_run_folder_lies_beside_the_dataset(dataset: Path) -> None:
    assert read(dataset).out == dataset.with_name("yuki-audit")
    config = dataset / "dataset.toml"
    config.write_text("")
    assert read(config).out == dataset / "dataset-audit"
    assert read(dataset, out=Path("elsewhere")).out == Path("elsewhere")


@pytest.mark.parametrize(("given", "name"), [(".", "yuki"), ("..", "characters"), ("../yuki", "yuki"), ("", "yuki")])
def test_a_folder_given_by_dots_has_the_name_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, name: str
) -> None:
    (tmp_path / "characters" / "yuki").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "characters" / "yuki")
    settings = read(Path(given))
    assert settings.dataset.resolve().name == name
    assert settings.out.resolve() == settings.dataset.resolve().parent / f"{name}-audit"


def test_a_trigger_has_no_space_around_it(dataset: Path) -> None:
    assert read(dataset, trigger=" ohwx woman ").trigger == "ohwx woman"
    assert read(dataset, trigger=" ").trigger is None


def test_spec_and_roles_are_names_and_values(dataset: Path) -> None:
    settings = read(dataset, spec=("hair_colour=white_hair",), roles=("faces/*=identity-emphasis", "a=b=in-context"))
    assert settings.spec == {"hair_colour": "white_hair"}
    assert settings.roles == {"faces/*": IDENTITY_EMPHASIS, "a=b": "in-context"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"spec": ("white_hair",)}, "--spec 'white_hair' is not NAME=VALUE"),
        ({"spec": ("=white_hair",)}, "is not NAME=VALUE"),
        ({"roles": ("faces/*=closeup",)}, "'closeup' is no role"),
    ],
)
def test_what_cannot_be_understood_is_refused(dataset: Path, given: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says.replace("*", r"\*")):
        read(dataset, **given)


@pytest.mark.parametrize("place", ["yuki", "."])
def test_a_settings_file_in_or_beside_the_dataset_is_read(dataset: Path, place: str) -> None:
    text = 'trigger = "yuki_nk"\n[character.spec]\nhair_colour = "white_hair"\n'
    text += '[instruments]\nclip = "ViT-B-32/openai"\n'
    (dataset.parent / place / "lora-doctor.toml").write_text(text)
    settings = read(dataset)
    assert settings.trigger == "yuki_nk"
    assert settings.spec == {"hair_colour": "white_hair"}
    assert settings.instruments.clip == "ViT-B-32/openai"
    assert read(dataset, trigger="other").trigger == "other"
    assert read(dataset, spec=("skin=tan",)).spec == {"skin": "tan"}


def test_a_misspelt_key_of_the_settings_file_is_named(dataset: Path) -> None:
    (dataset / "lora-doctor.toml").write_text('triger = "yuki_nk"\n')
    with pytest.raises(UsageError, match="Did you mean `trigger`"):
        read(dataset)
