"""lora-doctor's own reference trainer: every setting under `lora_doctor.<field of TrainingSettings>`.

Source: lora_doctor/training.py (_metadata). A list is joined with commas.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lora_doctor.recorded.general import altered, comment, hexadecimal
from lora_doctor.recorded.notes import Notes, read_table
from lora_doctor.recorded.values import flag, optional, rate, real, share, whole, words
from lora_doctor.types import OWN_TRAINER, TrainedBase, TrainingProgress, TrainingRecord

PRECEDENCE = 0
_PREFIX = "lora_doctor."
_READERS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("rank", whole(1, 2**20)),
    ("alpha", real(-1e6, 1e6)),
    ("steps", whole(1)),
    ("epochs", real(0)),
    ("batch_size", whole(1)),
    ("learning_rate", rate),
    ("train_text_encoder", flag),
    ("flip_augmentation", flag),
    ("identity_ratio", share),
    ("caption_token_dropout", share),
    ("caption_dropout", share),
    ("seed", whole()),
    ("resolution", whole(1, 10**7)),
)
_NEVER = "the reference trainer has no such setting"


def recognises(metadata: Mapping[str, str]) -> bool:
    """Whether the reference trainer wrote the metadata; never raises."""
    return any(key.startswith(_PREFIX) for key in metadata)


def read(metadata: Mapping[str, str], path: Path) -> TrainingRecord:
    """The record in `metadata`; `path`, the LoRA file, is not looked at. Never raises."""
    notes = Notes(OWN_TRAINER, "metadata lora_doctor.trainer")
    read_table(notes, metadata, ((field, f"{_PREFIX}{field}", reader) for field, reader in _READERS))
    notes.read("negative_tokens", metadata, f"{_PREFIX}negative_tokens", _tokens, none=())
    notes.know("kind", "lora", "the reference trainer trains no other")
    notes.trigger(metadata.get(f"{_PREFIX}trigger"))
    return notes.finish(
        {},
        _NEVER,
        base=TrainedBase(
            name=optional(metadata.get(f"{_PREFIX}base"), words),
            folder_sha256=optional(metadata.get(f"{_PREFIX}base_sha256"), hexadecimal(64)),
        ),
        progress=TrainingProgress(steps=optional(metadata.get("steps"), whole())),
        comment=comment(metadata),
        altered=altered(metadata)[0],
    )


def _tokens(text: Any) -> tuple[str, ...]:
    return tuple(part.strip() for part in str(text).split(",") if part.strip())
