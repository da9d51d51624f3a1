"""Are planted faults found on characters that no rule was fitted on?

    python -m benchmarks.detection --work build/detection [--rounds 6] [--faults closeup-only low-rank] [--processes 2]

In every round each fault gets a new character: draw the dataset, train the LoRA with the fault, check it, note what
came first. Resumable: finished LoRAs and check-ups are kept in `--work`. Prints one table, whatever it says.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.jobs import run_jobs
from fixtures.miniature.build.patients import build_patient
from fixtures.miniature.build.recipes import RECIPES
from lora_doctor.checkup import run_checkup
from lora_doctor.errors import LoraDoctorError
from lora_doctor.plugins import data_folder
from lora_doctor.settings import load_settings
from lora_doctor.types import Diagnosis

FIRST_SEED = 201
"""Bundled patients have seeds 101 to 108, the characters of the models' training a million and above."""


@dataclass(frozen=True)
class Job:
    """One patient to build and check."""

    fault: str
    seed: int
    folder: Path


def diagnose(job: Job) -> Diagnosis | str:
    """Build and check one patient; a refusal is a result too."""
    print(f"{job.fault} {job.seed}", file=sys.stderr, flush=True)
    recipe, trigger = RECIPES[job.fault], f"c{job.seed}_nk"
    build_patient(job.folder, data_folder("miniature") / "base", recipe, job.seed, trigger, redraw=False)
    try:
        return run_checkup(load_settings(job.folder / "lora.safetensors", {}))
    except LoraDoctorError as error:
        return str(error)


def row(fault: str, seed: int, diagnosis: Diagnosis | str) -> tuple[str, bool]:
    """A table row, and whether verdict and first finding are as planted."""
    recipe = RECIPES[fault]
    if isinstance(diagnosis, str):
        return f"| {fault} | {seed} | refused | {diagnosis} | | |", False
    confirmed = diagnosis.confirmed
    suspected = [f.rule for f in diagnosis.findings if f.state == "suspected"]
    first = confirmed[0] if confirmed else ""
    right = diagnosis.verdict.outcome == recipe.verdict and first == recipe.finding
    shown = f"{', '.join(confirmed) or '-'} | {', '.join(suspected) or '-'}"
    return f"| {fault} | {seed} | {diagnosis.verdict.outcome} | {shown} | {'yes' if right else 'NO'} |", right


def main() -> None:
    """Print the table and how many of each fault were found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=6, help="characters for each fault")
    parser.add_argument("--faults", nargs="*", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    print("| planted | character | verdict | confirmed | suspected | as planted |\n|---|---|---|---|---|---|")
    found: dict[str, list[bool]] = {fault: [] for fault in asked.faults}
    numbered = [(r * len(RECIPES) + i, f) for r in range(asked.rounds) for i, f in enumerate(RECIPES)]
    jobs = [
        Job(fault, FIRST_SEED + n, asked.work / f"{fault}-{FIRST_SEED + n}")
        for n, fault in numbered
        if fault in asked.faults
    ]
    for job, diagnosis in zip(jobs, run_jobs(diagnose, jobs, asked.processes), strict=True):
        line, right = row(job.fault, job.seed, diagnosis)
        print(line, flush=True)
        found[job.fault].append(right)
    print("\n| planted | as planted |\n|---|---|")
    for fault, results in found.items():
        print(f"| {fault} | {sum(results)} of {len(results)} |")


if __name__ == "__main__":
    main()
