"""Does each bundled patient get the diagnosis it was made for?

    python -m benchmarks.patients [--work build/patients]

Prints expected and found verdict, first confirmed finding and prescription for every patient; exits 1 when one differs.
"""

from __future__ import annotations

import argparse
import sys
import time
import tomllib
from pathlib import Path

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
    added = [fix.get("add_tokens") for fix in diagnosis.prescription.captions]
    if (wanted := expected.get("recaptioned")) and wanted not in added:
        wrong.append(f"captions without the {wanted}")
    return wrong


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("build/patients"))
    asked = parser.parse_args()
    print("| patient | expected | verdict | confirmed | identity (ship) | seconds | |\n|---|---|---|---|---|---|---|")
    missed = 0
    for path in sorted((data_folder("miniature") / "patients").glob("*/expected.toml")):
        patient, expected = path.parent, tomllib.loads(path.read_text("utf-8"))
        print(patient.name, file=sys.stderr, flush=True)
        began = time.monotonic()
        settings = load_settings(patient / "lora.safetensors", {"out": str(asked.work / patient.name)})
        diagnosis = run_checkup(settings)
        wrong = differences(diagnosis, expected)
        missed += bool(wrong)
        confirmed = ", ".join(diagnosis.confirmed) or "-"
        wanted = f"{expected['verdict']} {expected['first_finding']}".strip()
        seconds, identity = time.monotonic() - began, number(diagnosis, "identity.score", weight="ship")
        print(
            f"| {patient.name} | {wanted} | {diagnosis.verdict.outcome} | {confirmed} | {identity} "
            f"| {seconds:.0f} | {'; '.join(wrong) or 'as expected'} |",
            flush=True,
        )
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
