"""The smallest effects are read from the rules folder, and a file that makes no sense is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lora_doctor.errors import UsageError
from lora_doctor.plugins import data_folder
from lora_doctor.smallest_effects import FILE, SmallestEffects, load_smallest_effects

SOUND = {field.name: 0.1 for field in dataclasses.fields(SmallestEffects)}


def write(folder: Path, **values: object) -> Path:
    (folder / FILE).write_text("\n".join(f"{key} = {value}" for key, value in values.items()))
    return folder


def test_the_built_in_ones_cover_every_quantity() -> None:
    effects = load_smallest_effects(data_folder("rules"))
    assert all(0 < effects.of(name) < 1 for name in SOUND)
    assert effects.of("attribute:hair_colour") == effects.attribute


@pytest.mark.parametrize("value", ["0", "-0.1", "nan", "inf", '"much"'])
def test_an_effect_that_is_no_effect_is_refused_by_name(tmp_path: Path, value: str) -> None:
    with pytest.raises(UsageError, match="identity"):
        load_smallest_effects(write(tmp_path, **{**SOUND, "identity": value}))


def test_a_misspelt_key_a_missing_key_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no_faces"):
        load_smallest_effects(write(tmp_path, **SOUND, no_faces=0.1))
    with pytest.raises(UsageError, match="framing"):
        load_smallest_effects(write(tmp_path, **{k: v for k, v in SOUND.items() if k != "framing"}))
    with pytest.raises(UsageError, match="TOML"):
        load_smallest_effects(tmp_path / "nowhere")
