"""Does the prescription cure? The patient is retrained as prescribed, with two seeds, and checked again.

    python -m benchmarks.cure --work build/cure [--patients misa luna] [--seeds 11 12] [--processes 2]

New pictures that the prescription asks for are drawn as the patient's own were: same habits, same captions. Cured = the
finding that was treated is gone, not even suspected, and no other one is confirmed in its place. Resumable.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.jobs import run_jobs
from fixtures.miniature.build.datasets import draw_asked
from fixtures.miniature.build.recipes import PATIENTS, RECIPES
from fixtures.miniature.world.character import Character
from lora_doctor.checkup import run_checkup
from lora_doctor.plugins import data_folder
from lora_doctor.retraining import prepare, train_and_check
from lora_doctor.settings import load_settings
from lora_doctor.types import Diagnosis
from lora_doctor.wording import setting_text

SICK = ("misa", "akane", "luna", "sakura", "rin", "nova")


@dataclass(frozen=True)
class Job:
    """One patient, with every seed it is retrained with: the check-up before is the same for all."""

    patient: Path
    work: Path
    seeds: tuple[int, ...]


def treat(job: Job) -> tuple[Diagnosis, list[Diagnosis]]:
    """The diagnosis before, and the one after each retraining."""
    folder = job.work / job.patient.name
    if not folder.exists():
        shutil.copytree(job.patient, folder, ignore=shutil.ignore_patterns("*-checkup"))
    before = run_checkup(load_settings(folder / "lora.safetensors", {}))
    add, after = new_pictures(folder, before), []
    for seed in job.seeds:
        print(f"{folder.name} {seed}", file=sys.stderr, flush=True)
        plan = prepare(folder / "lora-checkup", folder / "training.toml", seed=seed, add=add)
        out = folder / f"seed-{seed}"
        if not out.exists():
            plan.write(out)
        after.append(train_and_check(plan, out, lambda stage, done, total: None).after)
    return before, after


def new_pictures(folder: Path, before: Diagnosis) -> Path | None:
    """A folder with the pictures the prescription asks for, None when it asks for none."""
    recipe, seed = PATIENTS[folder.name]
    asked = before.prescription.dataset
    add = folder / "asked"
    if add.exists():
        shutil.rmtree(add)
    drawn = draw_asked(add, Character.from_seed(seed), RECIPES[recipe], before.character["trigger"], asked)
    return add if drawn else None


def rows(job: Job, before: Diagnosis, after: list[Diagnosis]) -> Iterator[str]:
    """One table row per seed."""
    finding = next(iter(before.confirmed), "-")
    changes = [f"{c.field} {_short(c.before)} -> {_short(c.after)}" for c in before.prescription.changes]
    captions = [f"captions + {' '.join(fix['tokens']) or fix['add_tokens']}" for fix in before.prescription.captions]
    pictures = [f"{each.pictures} {each.framing or each.role} pictures" for each in before.prescription.dataset]
    left_out = [f"pictures of another {each.attribute} left out" for each in before.prescription.left_out]
    told = ", ".join([*changes, *captions, *pictures, *left_out]) or "-"
    for seed, diagnosis in zip(job.seeds, after, strict=True):
        left = diagnosis.confirmed
        still = {f.rule: f.state for f in diagnosis.findings}.get(finding, "gone")
        cured = finding != "-" and not left and still == "gone"
        ends = f"{diagnosis.verdict.outcome}{': ' if left else ''}{', '.join(left)}"
        yield f"| {job.patient.name} | {finding} | {told} | {seed} | {ends} | {still} | {'yes' if cured else 'NO'} |"


def _short(value: object) -> str:
    """The setting in words; a long list of tokens is counted."""
    return f"{len(value)} tokens" if isinstance(value, tuple) and len(value) > 3 else setting_text(value)


def main() -> None:
    """Print one row per patient and seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--patients", nargs="*", default=SICK, choices=SICK)
    parser.add_argument("--seeds", type=int, nargs="*", default=(11, 12))
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    print(
        "| patient | treated finding | prescribed | seed | after | the finding | cured |\n|---|---|---|---|---|---|---|"
    )
    patients = data_folder("miniature") / "patients"
    jobs = [Job(patients / name, asked.work, tuple(asked.seeds)) for name in asked.patients]
    for job, (before, after) in zip(jobs, run_jobs(treat, jobs, asked.processes), strict=True):
        for line in rows(job, before, after):
            print(line, flush=True)


if __name__ == "__main__":
    main()
