"""Builds the folder of a finished check-up that measured exactly what a test says it did."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from lora_doctor.diagnosis import to_json
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import Settings, to_plain
from lora_doctor.types import Measurement, TrainingSettings
from tests.make_diagnosis import make_diagnosis


def make_finished_run(folder: Path, measurements: Sequence[Measurement]) -> Path:
    """A run of the LoRA `yuki` in five environments, two of them trained; returns `folder`. No picture is there."""
    environments = [
        {"name": n, "trained": n in ("library", "city")} for n in ("library", "city", "beach", "snow", "desert")
    ]
    facts = make_diagnosis(folder, images=False)
    facts = replace(
        facts, measurements=tuple(measurements), matrix={**facts.matrix, "environments": environments}, findings=(),
        lora={**facts.lora, "name": "yuki"},
    )  # fmt: skip
    settings = Settings(model=folder.parent / "m", trigger="yuki", dataset=folder.parent / "d", out=folder)
    with RunFolder(folder) as opened:
        opened.put_json("facts", json.loads(to_json(facts)))
        opened.put_json("training", asdict(TrainingSettings(trainer="lora-doctor")))
        opened.put_json("label_sets", {})
        opened.put_json("settings", to_plain(settings))
    return folder
