"""The whole, on the bundled patients: each gets the verdict, the first finding and the prescription it was made for."""

import tomllib
from pathlib import Path

import pytest

from lora_doctor.checkup import DIAGNOSIS, REPORT, run_checkup
from lora_doctor.diagnosis import from_json
from lora_doctor.plugins import data_folder
from lora_doctor.settings import load_settings

PATIENTS = sorted(path.parent for path in (data_folder("miniature") / "patients").glob("*/expected.toml"))


def test_there_are_two_healthy_patients_and_one_for_each_row_of_the_table():
    expected = [tomllib.loads((p / "expected.toml").read_text()) for p in PATIENTS]
    assert sum(e["verdict"] == "SHIP" for e in expected) == 2
    assert len({e["first_finding"] for e in expected if e["verdict"] == "HOLD"}) == 6


@pytest.mark.miniature
@pytest.mark.parametrize("patient", PATIENTS, ids=lambda path: path.name)
def test_the_patient_gets_its_diagnosis(patient: Path, tmp_path: Path):
    expected = tomllib.loads((patient / "expected.toml").read_text())
    settings = load_settings(patient / "lora.safetensors", {"out": str(tmp_path / "run")})
    diagnosis = run_checkup(settings)
    confirmed = [f.rule for f in diagnosis.findings if f.state == "confirmed"]
    assert diagnosis.verdict.outcome == expected["verdict"], diagnosis.verdict.sentence
    assert confirmed[:1] == ([expected["first_finding"]] if expected["first_finding"] else []), confirmed
    if expected["prescribed"]:
        change = next(c for c in diagnosis.prescription.changes if c.field == expected["prescribed"])
        if "at_least" in expected:
            assert expected["at_least"] <= change.after <= expected["at_most"]
    assert from_json((tmp_path / "run" / DIAGNOSIS).read_text("utf-8")) == diagnosis
    assert (tmp_path / "run" / REPORT).stat().st_size > 50_000
