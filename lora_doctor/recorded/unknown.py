"""Files whose trainer is unknown: what the keys that several trainers share tell all the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lora_doctor.recorded.general import altered, base_model, comment, prediction, trigger_words
from lora_doctor.recorded.kohya_folders import folders_of
from lora_doctor.recorded.notes import Notes
from lora_doctor.types import TrainingRecord

PRECEDENCE = 1000
"""Asked last."""
_NOTHING = "the file has no training metadata"
_UNKNOWN = "nothing in the metadata tells who trained it"


def recognises(metadata: Mapping[str, str]) -> bool:
    """Always true."""
    return True


def read(metadata: Mapping[str, str], path: Path) -> TrainingRecord:
    """The record in `metadata`; `path`, the LoRA file, is not looked at. Never raises."""
    bare = metadata.keys() <= {"format"}
    reason = _NOTHING if bare else _UNKNOWN
    notes = Notes(None, reason)
    trigger_words(notes, metadata)
    if not bare:
        prediction(notes, metadata)
    folders = folders_of(notes, metadata, [])
    notes.trigger(*(folder.class_tokens for folder in folders if not folder.regularisation))
    return notes.finish(
        {},
        reason,
        folders=folders,
        base=base_model(notes, metadata),
        comment=comment(metadata),
        altered=altered(metadata)[0],
        hidden=reason,
    )
