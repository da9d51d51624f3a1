"""What a check-up measured is kept in a small file, and judged by the rules of today as the run itself would be."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.cure import Job as Trial
from benchmarks.cure import kept_trials
from benchmarks.detection import FAULTS, Job, is_healthy, kept_jobs, outcome
from benchmarks.kept import RESULTS, keep, kept_names, pictures, recall
from fixtures.miniature.build.recipes import RECIPES
from lora_doctor.judgement import judge_run
from tests.make_finished_run import make_finished_run
from tests.test_verdict import healthy, number, replaced

NOT_FOUND = ["closeup-only-209", "closeup-only-230", "no-closeups-231", "hair-flip-240"]
"""What the fault did to these is another thing than what was planted, or too little of it to be beyond doubt."""
NOT_EVEN_SUSPECTED = [
    "no-closeups-231", "undrawn-build-425", "undrawn-build-436", "one-light-828",
]  # fmt: skip
"""231 is held because no close-up comes (framing-lock), and the face holds in what comes instead. And LoRAs that
brought the build which their base model does not draw: as measured, there is nothing to find."""
FIRST_BESIDE = 800
NOT_EXPLAINED = [
    "two-faces-895", "copies-806", "copies-826", "few-pictures-827", "one-light-828", "one-outfit-809",
    "one-outfit-829",
]  # fmt: skip
"""Of the faults beside the article's, from character 801 on: those whose first finding is not what was planted, or
whose first cause is none that was."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_finished_run(tmp_path / "run", replaced(healthy(), number("body.deficit", 0.7, 0.1)))


def test_a_kept_check_up_is_judged_as_its_run_is(run: Path, tmp_path: Path) -> None:
    keep(run, tmp_path / "kept" / "yuki.json.gz")
    own, kept = judge_run(run, write=False), recall(tmp_path / "kept" / "yuki.json.gz")
    assert kept.verdict == own.verdict and kept.prescription == own.prescription
    assert [replace(f, cells=()) for f in own.findings] == list(kept.findings)
    assert kept.measurements == own.measurements and kept.not_evaluated == own.not_evaluated


def test_what_is_kept_names_no_picture_and_counts_them(run: Path, tmp_path: Path) -> None:
    keep(run, file := tmp_path / "yuki.json.gz")
    held = json.loads(gzip.decompress(file.read_bytes()))
    assert held["facts"]["cells"] == held["facts"]["arms"] == []
    own = judge_run(run, write=False)
    assert pictures(file) == (len(own.cells), len(own.arms)) and len(own.cells) > 0


def test_the_same_measurements_are_the_same_bytes(run: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        keep(run, tmp_path / f"{name}.json.gz")
    assert (tmp_path / "one.json.gz").read_bytes() == (tmp_path / "two.json.gz").read_bytes()
    assert kept_names(tmp_path) == ["one", "two"]


def test_results_hold_no_path_of_a_machine() -> None:
    for file in RESULTS.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        text = (gzip.decompress(content) if file.suffix == ".gz" else content).decode("utf-8")
        assert not any(word in text for word in ("/home/", "/root/", "/work/", "/tmp/", "C:\\")), file


def test_every_kept_lora_is_one_of_the_table_and_can_be_judged() -> None:
    jobs = kept_jobs(Job.results)
    assert [job.kept for job in jobs if not job.kept.is_file()] == []
    told = [outcome(job, recall(job.kept)) for job in jobs]
    assert {one.verdict for one in told} <= {"SHIP", "HOLD", "INCONCLUSIVE"}
    # A fault that is found must not be lost by a change of rules that nobody looked at: see the tables in
    # fixtures/miniature/README.md, made by `python -m benchmarks.detection --kept`.
    ill = [one for one in told if not is_healthy(one.job.fault)]
    findings = {one.job.name: (*one.confirmed, *one.suspected) for one in ill}
    assert [one.job.name for one in ill if one.job.fault in RECIPES and not one.found] == NOT_FOUND
    assert [name for name, seen in findings.items() if not _signs(name) & set(seen)] == NOT_EVEN_SUSPECTED
    assert [one.job.name for one in ill if one.job.seed >= FIRST_BESIDE and not one.explained] == NOT_EXPLAINED


def _signs(name: str) -> set[str]:
    """The rules that speak of what was planted."""
    recipe = FAULTS[name.rpartition("-")[0]]
    return {recipe.finding, *recipe.as_good}


def test_of_twelve_healthy_loras_one_symptom_is_confirmed_at_most() -> None:
    """New characters, chosen with their recipe before any was trained."""
    told = [outcome(job, recall(job.kept)) for job in kept_jobs(Job.results) if job.fault == "plenty"]
    assert len(told) == 12 and sum(len(one.confirmed) for one in told) <= 1


def test_every_kept_trial_is_read_and_has_its_name() -> None:
    trials = kept_trials(Trial.results)
    assert len(trials) >= 64 and {one.fault for one in trials} <= set(RECIPES)
    for one in trials:
        assert (Trial.results / f"{one.patient}.{one.arm}-{one.seed}.json").is_file()
