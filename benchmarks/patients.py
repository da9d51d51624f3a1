"""Does each bundled patient get the diagnosis it was made for?

    python -m benchmarks.patients [--work build/patients] [--processes 2]

Prints expected and found verdict, first confirmed finding and prescription for every patient; exits 1 when one differs.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from benchmarks.jobs import run_jobs
from benchmarks.tables import number
from lora_doctor.checkup import run_checkup
from lora_doctor.plugins import data_folder
from lora_doctor.settings import load_settings
from lora_doctor.types import Diagnosis


def differences(diagnosis: Diagnosis, expected: dict[str, object]) -> list[str]:
    """What is not as expected, in words."""
    confirmed = diagnosis.confirmed
    wrong = []
    if diagnosis.verdict.outcome != expected["verdict"]:
        wrong.append(f"verdict {diagnosis.verdict.outcome}")
    if (confirmed[0] if confirmed else "") != expected["first_finding"]:
        wrong.append(f"first finding {confirmed[0] if confirmed else 'none'}")
    if expected["prescribed"]:
        after = [c.after for c in diagnosis.prescription.changes if c.field == expected["prescribed"]]
        low, high = expected.get("at_least"), expected.get("at_most")
        if not after or (low is not None and not low <= after[0] <= high):
            wrong.append(f"{expected['prescribed']} -> {after[0] if after else 'not changed'}")
    left_out = [each.attribute for each in diagnosis.prescription.left_out]
    if (wanted := expected.get("left_out", "")) and wanted not in left_out:
        wrong.append(f"pictures with another {wanted} stay in")
    added = [fix.get("add_tokens") for fix in diagnosis.prescription.captions]
    if (wanted := expected.get("recaptioned")) and wanted not in added:
        wrong.append(f"captions without the {wanted}")
    return wrong


@dataclass(frozen=True)
class Job:
    """One patient to check."""

    patient: Path
    out: Path


def diagnose(job: Job) -> Diagnosis:
    """The diagnosis; what an earlier call left in the run folder is used."""
    print(job.patient.name, file=sys.stderr, flush=True)
    return run_checkup(load_settings(job.patient / "lora.safetensors", {"out": str(job.out)}))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("build/patients"))
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    print("| patient | expected | verdict | confirmed | suspected | identity (ship) | |")
    print("|---|---|---|---|---|---|---|")
    patients = sorted(path.parent for path in (data_folder("miniature") / "patients").glob("*/expected.toml"))
    jobs, missed = [Job(patient, asked.work / patient.name) for patient in patients], 0
    for job, diagnosis in zip(jobs, run_jobs(diagnose, jobs, asked.processes), strict=True):
        expected = tomllib.loads((job.patient / "expected.toml").read_text("utf-8"))
        wrong = differences(diagnosis, expected)
        missed += bool(wrong)
        suspected = ", ".join(f.rule for f in diagnosis.findings if f.state == "suspected") or "-"
        wanted = f"{expected['verdict']} {expected['first_finding']}".strip()
        print(
            f"| {job.patient.name} | {wanted} | {diagnosis.verdict.outcome} | {', '.join(diagnosis.confirmed) or '-'} "
            f"| {suspected} | {number(diagnosis, 'identity.score', weight='ship')} "
            f"| {'; '.join(wrong) or 'as expected'} |",
            flush=True,
        )
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
