"""Are planted faults found on characters that no rule was fitted on?

    python -m benchmarks.detection --work build/detection [--characters 6] [--faults closeup-only low-rank]

For each fault and each new character: draw the dataset, train the LoRA with the fault, check it, note what came first.
Resumable: finished LoRAs and check-ups are kept in `--work`. Prints one table, whatever it says.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fixtures.miniature.build.patients import RECIPES, build_patient
from lora_doctor.checkup import run_checkup
from lora_doctor.errors import LoraDoctorError
from lora_doctor.plugins import data_folder
from lora_doctor.settings import load_settings
from lora_doctor.types import Diagnosis

FIRST_SEED = 201
"""Bundled patients have seeds 101 to 108, the characters of the models' training a million and above."""


def diagnose(folder: Path, fault: str, seed: int) -> Diagnosis | str:
    """Build and check one patient; a refusal is a result too."""
    build_patient(folder, data_folder("miniature") / "base", RECIPES[fault], seed, f"c{seed}_nk", redraw=False)
    try:
        return run_checkup(load_settings(folder / "lora.safetensors", {}))
    except LoraDoctorError as error:
        return str(error)


def row(fault: str, seed: int, diagnosis: Diagnosis | str) -> tuple[str, bool]:
    """A table row, and whether verdict and first finding are as planted."""
    recipe = RECIPES[fault]
    if isinstance(diagnosis, str):
        return f"| {fault} | {seed} | refused | {diagnosis} | | |", False
    confirmed = [f.rule for f in diagnosis.findings if f.state == "confirmed"]
    suspected = [f.rule for f in diagnosis.findings if f.state == "suspected"]
    first = confirmed[0] if confirmed else ""
    right = diagnosis.verdict.outcome == recipe.verdict and first == recipe.finding
    shown = f"{', '.join(confirmed) or '-'} | {', '.join(suspected) or '-'}"
    return f"| {fault} | {seed} | {diagnosis.verdict.outcome} | {shown} | {'yes' if right else 'NO'} |", right


def main() -> None:
    """Print the table and how many of each fault were found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--characters", type=int, default=6)
    parser.add_argument("--faults", nargs="*", default=list(RECIPES), choices=list(RECIPES))
    asked = parser.parse_args()
    print("| planted | character | verdict | confirmed | suspected | as planted |\n|---|---|---|---|---|---|")
    found: dict[str, list[bool]] = {fault: [] for fault in asked.faults}
    for seed in range(FIRST_SEED, FIRST_SEED + asked.characters):
        for fault in asked.faults:
            print(f"{fault} {seed}", file=sys.stderr, flush=True)
            line, right = row(fault, seed, diagnose(asked.work / f"{fault}-{seed}", fault, seed))
            print(line, flush=True)
            found[fault].append(right)
    print("\n| planted | as planted |\n|---|---|")
    for fault, results in found.items():
        print(f"| {fault} | {sum(results)} of {len(results)} |")


if __name__ == "__main__":
    main()
