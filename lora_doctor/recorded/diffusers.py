"""diffusers' example scripts and whatever saves through `save_lora_weights`: the adapter's own settings, no training.

Source: huggingface/diffusers loaders/lora_base.py; examples/dreambooth (the SD and SDXL scripts write nothing).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lora_doctor.recorded.adapter_fields import KEY, read_adapter_fields
from lora_doctor.recorded.general import altered, base_model, comment, prediction, trigger_words
from lora_doctor.recorded.notes import Notes
from lora_doctor.types import TrainingRecord

TRAINER = "diffusers"
PRECEDENCE = 40
_SILENT = "diffusers writes only the adapter's own settings into the file"


def recognises(metadata: Mapping[str, str]) -> bool:
    """Whether diffusers described the adapter in the metadata; never raises."""
    return KEY in metadata


def read(metadata: Mapping[str, str], path: Path) -> TrainingRecord:
    """The record in `metadata`; `path`, the LoRA file, is not looked at. Never raises."""
    notes = Notes(TRAINER, f"metadata {KEY}")
    read_adapter_fields(notes, metadata)
    trigger_words(notes, metadata)
    prediction(notes, metadata)
    return notes.finish(
        {},
        _SILENT,
        base=base_model(notes, metadata),
        comment=comment(metadata),
        altered=altered(metadata)[0],
        hidden=_SILENT,
    )
