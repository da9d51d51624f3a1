"""What makes a LoRA render its training environments only? One character, one LoRA for each way of training.

    python -m benchmarks.environment_lock --work build/environment_lock [--processes 2]

Prints how much of the prompt's environment is lost in places the dataset does not show, and how often a training place
comes back instead. Resumable: finished LoRAs and check-ups are kept in `--work`.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.jobs import run_jobs
from benchmarks.tables import number
from fixtures.miniature.build.patients import build_patient
from fixtures.miniature.build.recipes import HEALTHY, Recipe
from lora_doctor.checkup import run_checkup
from lora_doctor.plugins import data_folder
from lora_doctor.settings import load_settings
from lora_doctor.types import Diagnosis

SEED = 105
"""The bundled patient `luna`."""


@dataclass(frozen=True)
class Arm:
    """One way of training; every picture stands in one of the environments."""

    environments: int
    captioned: bool
    token_dropout: float
    learning_rate: float

    @property
    def name(self) -> str:
        """A folder name."""
        named = "named" if self.captioned else "unnamed"
        return f"{self.environments}-{named}-{self.token_dropout:g}-{self.learning_rate:g}"

    @property
    def recipe(self) -> Recipe:
        """The recipe of this arm; the text encoder is trained too."""
        training = replace(
            HEALTHY, caption_token_dropout=self.token_dropout, learning_rate=self.learning_rate, train_text_encoder=True
        )
        omit = () if self.captioned else ("environment",)
        return Recipe(environments=self.environments, closeups_in_place=1.0, omit=omit, training=training)


ARMS = (
    Arm(2, captioned=True, token_dropout=0.0, learning_rate=3e-3),
    Arm(2, captioned=True, token_dropout=0.3, learning_rate=3e-3),
    Arm(8, captioned=True, token_dropout=0.3, learning_rate=3e-3),
    Arm(2, captioned=False, token_dropout=0.0, learning_rate=3e-3),
)


@dataclass(frozen=True)
class Job:
    """One LoRA to train and check."""

    arm: Arm
    folder: Path


def diagnose(job: Job) -> Diagnosis:
    """Train and check one LoRA."""
    print(job.arm.name, file=sys.stderr, flush=True)
    build_patient(job.folder, data_folder("miniature") / "base", job.arm.recipe, SEED, "luna_nk", redraw=False)
    return run_checkup(load_settings(job.folder / "lora.safetensors", {}))


def row(arm: Arm, diagnosis: Diagnosis) -> str:
    """A table row."""
    lost = number(diagnosis, "environment.adherence_loss", environment_kind="novel")
    intrudes, identity = number(diagnosis, "environment.intrusion"), number(diagnosis, "identity.score", weight="ship")
    state = next((f.state for f in diagnosis.findings if f.rule == "environment-lock"), "-")
    named = "named" if arm.captioned else "left out"
    return (
        f"| {arm.environments} | {named} | {arm.token_dropout:g} | {arm.learning_rate:g} | {lost} "
        f"| {intrudes} | {identity} | {state} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    print("| environments | in captions | token dropout | learning rate | adherence lost in new places "
          "| a training place intrudes | identity | environment-lock |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
    jobs = [Job(arm, asked.work / arm.name) for arm in ARMS]
    for job, diagnosis in zip(jobs, run_jobs(diagnose, jobs, asked.processes), strict=True):
        print(row(job.arm, diagnosis), flush=True)


if __name__ == "__main__":
    main()
