"""The whole chain on a bundled patient: real LoRA, real base model, real instruments, one result that everything is in.

Whether every patient gets the diagnosis it was made for is in `test_patients.py`.
"""

import tomllib
from pathlib import Path

import pytest

from lora_doctor.checkup import run_checkup
from lora_doctor.diagnosis import from_json
from lora_doctor.judgement import DIAGNOSIS, REPORT, judge_run
from lora_doctor.plugins import data_folder, find
from lora_doctor.rule_files import load_rules
from lora_doctor.settings import load_settings
from lora_doctor.types import Diagnosis

PATIENTS = sorted(path.parent for path in (data_folder("miniature") / "patients").glob("*/expected.toml"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Diagnosis]:
    """A check-up of the first patient with one replicate and few steps."""
    folder = tmp_path_factory.mktemp("run") / "checkup"
    overrides = {"out": str(folder), "matrix": {"replicates": 1, "most_replicates": 1}, "render": {"steps": 3}}
    return folder, run_checkup(load_settings(PATIENTS[0] / "lora.safetensors", overrides))


def test_expected_findings_name_rules_that_exist():
    rules = {rule.id for rule in load_rules(data_folder("rules"))}
    expected = [tomllib.loads((patient / "expected.toml").read_text()) for patient in PATIENTS]
    assert expected and all(e["first_finding"] in rules | {""} for e in expected)


def test_there_are_two_healthy_patients_and_one_for_each_row_of_the_table():
    expected = [tomllib.loads((patient / "expected.toml").read_text()) for patient in PATIENTS]
    assert sum(e["verdict"] == "SHIP" for e in expected) == 2
    assert len({e["first_finding"] for e in expected if e["verdict"] == "HOLD"}) == 6


@pytest.mark.miniature
def test_every_cell_is_rendered_and_none_is_silently_missing(run):
    _, diagnosis = run
    matrix = diagnosis.matrix
    planned = len(matrix["weights"]) * len(matrix["environments"]) * len(matrix["framings"]) * matrix["replicates"]
    assert len(diagnosis.cells) == planned == 90
    assert all(cell["image"] or cell["reason"] for cell in diagnosis.cells)


@pytest.mark.miniature
def test_the_matrix_has_trained_and_new_environments(run):
    _, diagnosis = run
    trained = [e["trained"] for e in diagnosis.matrix["environments"]]
    assert len(trained) >= 5 and trained.count(True) >= 2 and trained.count(False) >= 3


@pytest.mark.miniature
def test_every_metric_and_audit_speaks_and_absent_values_have_a_reason(run):
    _, diagnosis = run
    spoken = {m.name.split(".")[0] for m in diagnosis.measurements}
    assert {"identity", "attribute", "body", "outfit", "environment", "framing", "dose"} <= spoken
    assert {"dataset", "captions", "training", "spectrum", "spec"} <= spoken
    assert len(find("audits", needs="audit")) >= 6
    assert all(m.value is not None or m.reason for m in diagnosis.measurements)


@pytest.mark.miniature
def test_the_instruments_read_the_dataset_well_enough_to_measure(run):
    _, diagnosis = run
    gap = next(m for m in diagnosis.measurements if m.name == "identity.gap" and not m.where)
    assert gap.value is not None and gap.value > 0.3
    ratio = next(m for m in diagnosis.measurements if m.name == "dataset.identity_ratio")
    true = sum("close-up" in p.read_text() for p in (PATIENTS[0] / "dataset").glob("*.txt")) / 42
    assert ratio.value == pytest.approx(true, abs=0.03)


@pytest.mark.miniature
def test_the_weight_changes_the_picture_and_weight_zero_is_the_base_model(run):
    folder, diagnosis = run
    by_weight = {c["weight"]: (folder / c["image"]).read_bytes() for c in diagnosis.cells[::15] if c["image"]}
    assert len(set(by_weight.values())) == len(by_weight) == 6


@pytest.mark.miniature
def test_the_files_hold_what_was_returned_and_can_be_judged_again(run):
    folder, diagnosis = run
    assert from_json((folder / DIAGNOSIS).read_text("utf-8")) == diagnosis
    assert (folder / REPORT).stat().st_size > 50_000
    again = judge_run(folder)
    assert (again.verdict, again.findings, again.prescription) == (
        diagnosis.verdict, diagnosis.findings, diagnosis.prescription,
    )  # fmt: skip


@pytest.mark.miniature
def test_a_public_report_holds_no_caption_and_no_training_picture(run):
    folder, _ = run
    caption = (PATIENTS[0] / "dataset" / "00.txt").read_text().strip()
    for name in (DIAGNOSIS, REPORT):
        text = (folder / name).read_text("utf-8")
        assert caption not in text and str(PATIENTS[0]) not in text
