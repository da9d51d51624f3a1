"""What a LoRA file tells about its training: settings, data, base model, progress; each with where it was read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lora_doctor.plugins import find
from lora_doctor.types import TrainingRecord


def read_training_record(metadata: Mapping[str, str], path: Path) -> TrainingRecord:
    """The training record in `metadata`, and in a config that the trainer left beside the LoRA file at `path`.

    `metadata` is the `__metadata__` of the safetensors header. Never raises: whatever it holds, every
    `TrainingSettings` field has a source or a reason. The trainers are asked in the order of their PRECEDENCE, because
    tools add their keys to those of the one before.
    """
    readers = sorted(find("recorded", needs="recognises").values(), key=lambda module: int(module.PRECEDENCE))
    reader = next(module for module in readers if module.recognises(metadata))
    record: TrainingRecord = reader.read(metadata, path)
    return record
