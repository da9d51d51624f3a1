"""Every bundled patient gets the diagnosis it was made for, at full length; what it does not get yet is listed here.

Those not in `ALWAYS` are marked slow: `python -m pytest -m slow`, four to six minutes each on one core.
A patient in `NOT_YET` must fail: whoever cures one takes it off the list.
"""

import random
import tomllib
from pathlib import Path

import pytest

from benchmarks.patients import differences
from fixtures.miniature.build.datasets import scenes
from fixtures.miniature.build.recipes import PATIENTS, RECIPES
from fixtures.miniature.world.character import Character
from lora_doctor.checkup import run_checkup
from lora_doctor.plugins import data_folder
from lora_doctor.retrain_prepare import prepare
from lora_doctor.settings import load_settings

NOT_YET: dict[str, str] = {}
"""Patient -> what it gets instead."""

ALWAYS = ("misa", "yuki")
"""One that is held, and a healthy one."""


def patients():
    for path in sorted((data_folder("miniature") / "patients").glob("*/expected.toml")):
        name = path.parent.name
        marks = [pytest.mark.xfail(reason=NOT_YET[name], strict=True)] if name in NOT_YET else []
        marks += [] if name in ALWAYS else [pytest.mark.slow]
        yield pytest.param(path.parent, id=name, marks=marks)


@pytest.mark.miniature
@pytest.mark.parametrize("patient", patients())
def test_a_patient_gets_the_diagnosis_it_was_made_for(patient: Path, tmp_path: Path):
    expected = tomllib.loads((patient / "expected.toml").read_text("utf-8"))
    diagnosis = run_checkup(load_settings(patient / "lora.safetensors", {"out": str(tmp_path / "run")}))
    assert differences(diagnosis, expected) == []
    if "left_out" in expected:
        plan = prepare(tmp_path / "run", patient / "training.toml")
        assert sorted(path.stem for path in plan.left_out) == drawn_with_other_hair(patient.name)


def drawn_with_other_hair(name: str) -> list[str]:
    """The pictures of a patient that its recipe drew with another hair colour than the character's."""
    recipe, seed = PATIENTS[name]
    drawn = scenes(Character.from_seed(seed), RECIPES[recipe], random.Random(f"dataset-{seed}"))
    own = Character.from_seed(seed).hair_colour
    return [f"{i:02d}" for i, scene in enumerate(drawn) if scene.character.hair_colour != own]
