"""Does the prescription cure? The patient is retrained as prescribed, with two seeds, and checked again.

    python -m benchmarks.cure --work build/cure [--patients misa luna] [--seeds 11 12]

Cured = the finding that was treated is gone and no other one is confirmed in its place. Resumable.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from lora_doctor.checkup import run_checkup
from lora_doctor.plugins import data_folder
from lora_doctor.retraining import prepare, train_and_check
from lora_doctor.settings import load_settings
from lora_doctor.types import Diagnosis

SICK = ("misa", "akane", "luna", "sakura", "rin", "nova")


def confirmed(diagnosis: Diagnosis) -> list[str]:
    """Rules whose finding is confirmed, first things first."""
    return [f.rule for f in diagnosis.findings if f.state == "confirmed"]


def treat(patient: Path, work: Path, seed: int) -> tuple[Diagnosis, Diagnosis]:
    """(before, after) of one retraining with `seed`."""
    folder = work / patient.name
    if not folder.exists():
        shutil.copytree(patient, folder, ignore=shutil.ignore_patterns("*-checkup"))
    run = folder / "lora-checkup"
    run_checkup(load_settings(folder / "lora.safetensors", {}))
    plan = prepare(run, folder / "training.toml", seed=seed)
    out = folder / f"seed-{seed}"
    if not out.exists():
        plan.write(out)
    return train_and_check(plan, out, lambda stage, done, total: None)


def main() -> None:
    """Print one row per patient and seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--patients", nargs="*", default=SICK, choices=SICK)
    parser.add_argument("--seeds", type=int, nargs="*", default=(11, 12))
    asked = parser.parse_args()
    print("| patient | treated finding | prescribed | seed | after | cured |\n|---|---|---|---|---|---|")
    for name in asked.patients:
        for seed in asked.seeds:
            print(f"{name} {seed}", file=sys.stderr, flush=True)
            before, after = treat(data_folder("miniature") / "patients" / name, asked.work, seed)
            finding = next(iter(confirmed(before)), "-")
            changes = ", ".join(f"{c.field} {c.before} -> {c.after}" for c in before.prescription.changes) or "-"
            left = confirmed(after)
            cured = finding != "-" and not left
            told = f"{after.verdict.outcome}: {', '.join(left) or 'no finding'}"
            print(f"| {name} | {finding} | {changes} | {seed} | {told} | {'yes' if cured else 'NO'} |", flush=True)


if __name__ == "__main__":
    main()
