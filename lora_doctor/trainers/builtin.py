"""lora-doctor's own reference trainer: a flat `training.toml` whose keys are the fields of `TrainingSettings`."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lora_doctor.edits.edit import Keys
from lora_doctor.edits.toml_edit import edited
from lora_doctor.errors import UsageError
from lora_doctor.types import Change, ConfigFiles, Dataset, PatchedFiles, TrainingSettings

TRAINER = "lora-doctor"
"""The value of the key `trainer` that makes a TOML file ours."""
WHOLE = ("rank", "steps", "batch_size", "seed", "resolution")
REAL = ("alpha", "epochs", "learning_rate", "identity_ratio", "caption_token_dropout", "caption_dropout")
FLAGS = ("train_text_encoder", "flip_augmentation")
FIELDS = (*WHOLE, *REAL, *FLAGS, "negative_tokens")


def recognises(path: Path, text: str) -> bool:
    """Whether this is a TOML file with `trainer = "lora-doctor"`; never raises."""
    try:
        return path.suffix == ".toml" and tomllib.loads(text.removeprefix("\ufeff")).get("trainer") == TRAINER
    except (tomllib.TOMLDecodeError, RecursionError):
        return False


def read(config: ConfigFiles) -> TrainingSettings:
    """The settings the file states; what it does not state is None, and keys that are no setting are passed over.

    Raises UsageError for text that is not TOML and for a setting of the wrong type.
    """
    stated = _parse(config.text)
    values = {name: _checked(name, stated[name]) for name in FIELDS if name in stated}
    return TrainingSettings(trainer=TRAINER, **values)


def patch(
    config: ConfigFiles, changes: Sequence[Change], dataset: Dataset | None = None, trigger: str | None = None
) -> PatchedFiles:
    """The file with `after` of every change; comments, order and unknown keys stay, all bytes without a real change.

    `dataset` and `trigger` are not needed: this trainer samples by the ratio itself, and drops no trigger. Raises
    UsageError for a setting this trainer does not have, and for a value that does not fit it.
    """
    present = _parse(config.text)
    wanted: dict[Keys, Any] = {}
    for change in changes:
        if change.field not in FIELDS:
            raise UsageError(
                f"{change.field!r} is not a setting of the reference trainer.", advice=f"Known: {', '.join(FIELDS)}."
            )
        after = _checked(change.field, change.after)
        if change.field not in present or _checked(change.field, present[change.field]) != after:
            wanted[(change.field,)] = list(after) if isinstance(after, tuple) else after
    return PatchedFiles(texts={**config.texts, config.path: edited(config.text, wanted)})


def relocated(config: ConfigFiles, moved: Mapping[Path, Path]) -> dict[Path, str]:
    """The file with its relative paths made to hold where it goes; `moved`: file or dataset -> its new place."""
    stated, before, after = _parse(config.text), config.path.parent, moved[config.path].parent.resolve()
    wanted: dict[Keys, Any] = {}
    if "dataset" in stated:
        dataset = next((new for old, new in moved.items() if old != config.path), before / str(stated["dataset"]))
        wanted[("dataset",)] = os.path.relpath(dataset.resolve(), after)
    if "base" in stated and (before / str(stated["base"])).exists():
        wanted[("base",)] = os.path.relpath((before / str(stated["base"])).resolve(), after)
    return {config.path: edited(config.text, wanted)}


def _parse(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the training config is not TOML: {error}.") from error


def _checked(name: str, value: Any) -> Any:
    """The value as `TrainingSettings` holds it; a whole number given as 48.0 is 48."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if name in WHOLE and number and float(value).is_integer():
        return int(value)
    if name in REAL and number and math.isfinite(value):
        return float(value)
    if name in FLAGS and isinstance(value, bool):
        return value
    if (
        name == "negative_tokens"
        and isinstance(value, (list, tuple))
        and all(isinstance(token, str) for token in value)
    ):
        return tuple(value)
    wanted = "a whole number" if name in WHOLE else "a number" if name in REAL else "true or false"
    raise UsageError(f"{name}: {wanted if name != 'negative_tokens' else 'a list of tokens'} is wanted, not {value!r}.")
