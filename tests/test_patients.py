"""Every bundled patient gets the diagnosis it was made for, at full length; what it does not get yet is listed here.

A patient in `NOT_YET` must fail: whoever cures one takes it off the list.
"""

import tomllib
from pathlib import Path

import pytest

from benchmarks.patients import differences
from lora_doctor.checkup import run_checkup
from lora_doctor.plugins import data_folder
from lora_doctor.settings import load_settings

NOT_YET: dict[str, str] = {}
"""Patient -> what it gets instead."""


def patients():
    for path in sorted((data_folder("miniature") / "patients").glob("*/expected.toml")):
        name = path.parent.name
        marks = [pytest.mark.xfail(reason=NOT_YET[name], strict=True)] if name in NOT_YET else []
        yield pytest.param(path.parent, id=name, marks=marks)


@pytest.mark.miniature
@pytest.mark.parametrize("patient", patients())
def test_a_patient_gets_the_diagnosis_it_was_made_for(patient: Path, tmp_path: Path):
    expected = tomllib.loads((patient / "expected.toml").read_text("utf-8"))
    diagnosis = run_checkup(load_settings(patient / "lora.safetensors", {"out": str(tmp_path / "run")}))
    assert differences(diagnosis, expected) == []
