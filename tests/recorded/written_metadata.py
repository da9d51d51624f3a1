"""Metadata for the tests of `recorded`: what the trainers' own code wrote, changed where a test wants it."""

from __future__ import annotations

import json
from pathlib import Path

from lora_doctor.lora_settings import read_training_record
from lora_doctor.types import TrainingRecord

NOWHERE = Path("/nonexistent/yuki.safetensors")
"""A LoRA without any file beside it."""


def written(name: str, /, **changes: str | None) -> dict[str, str]:
    """The metadata in `written/<name>.json`, with these keys set, or taken out (None)."""
    found = json.loads((Path(__file__).parent / "written" / f"{name}.json").read_text("utf-8")) | changes
    return {key: value for key, value in found.items() if value is not None}


def record(name: str, path: Path = NOWHERE, /, **changes: str | None) -> TrainingRecord:
    """The record of that metadata."""
    return read_training_record(written(name, **changes), path)
