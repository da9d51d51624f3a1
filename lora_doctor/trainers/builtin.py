"""lora-doctor's own reference trainer: a flat `training.toml` whose keys are the fields of `TrainingSettings`."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lora_doctor.errors import UsageError
from lora_doctor.types import Change, TrainingSettings

TRAINER = "lora-doctor"
"""The value of the key `trainer` that makes a TOML file ours."""
WHOLE = ("rank", "steps", "batch_size", "seed", "resolution")
REAL = ("alpha", "epochs", "learning_rate", "identity_ratio", "caption_token_dropout", "caption_dropout")
FIELDS = (*WHOLE, *REAL, "train_text_encoder", "negative_tokens")


def recognises(path: Path, text: str) -> bool:
    """Whether this is a TOML file with `trainer = "lora-doctor"`; never raises."""
    try:
        return path.suffix == ".toml" and tomllib.loads(text).get("trainer") == TRAINER
    except (tomllib.TOMLDecodeError, RecursionError):
        return False


def read(text: str) -> TrainingSettings:
    """The settings the file states; what it does not state is None, and keys that are no setting are passed over.

    Raises UsageError for text that is not TOML and for a setting of the wrong type.
    """
    stated = _parse(text)
    values = {name: _checked(name, stated[name]) for name in FIELDS if name in stated}
    return TrainingSettings(trainer=TRAINER, **values)


def patch(text: str, changes: Sequence[Change]) -> str:
    """The text with `after` of every change; comments, order and unknown keys stay, all bytes without a real change.

    Raises UsageError for a setting this trainer does not have, and for a value that does not fit it.
    """
    import tomlkit

    present = _parse(text)
    document = tomlkit.parse(text)
    altered = False
    for change in changes:
        name = change.field
        if name not in FIELDS:
            raise UsageError(
                f"{name!r} is not a setting of the reference trainer.", advice=f"Known: {', '.join(FIELDS)}."
            )
        after, before = _checked(name, change.after), present.get(name)
        if name in present and _checked(name, before) == after:
            continue
        document[name] = present[name] = _written(after, before)
        altered = True
    if not altered:
        return text
    patched = tomlkit.dumps(document)
    # tomlkit ends the lines it adds with \n; a file that has only \r\n keeps to that.
    windows = "\r\n" in text and text.count("\r\n") == text.count("\n")
    return re.sub("(?<!\r)\n", "\r\n", patched) if windows else patched


def _parse(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the training config is not TOML: {error}.") from error


def _checked(name: str, value: Any) -> Any:
    """The value as `TrainingSettings` holds it; a whole number given as 48.0 is 48."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if name in WHOLE and number and float(value).is_integer():
        return int(value)
    if name in REAL and number and math.isfinite(value):
        return float(value)
    if name == "train_text_encoder" and isinstance(value, bool):
        return value
    if (
        name == "negative_tokens"
        and isinstance(value, (list, tuple))
        and all(isinstance(token, str) for token in value)
    ):
        return tuple(value)
    wanted = "a whole number" if name in WHOLE else "a number" if name in REAL else "true or false"
    raise UsageError(f"{name}: {wanted if name != 'negative_tokens' else 'a list of tokens'} is wanted, not {value!r}.")


def _written(value: Any, present: Any) -> Any:
    """The value as TOML writes it, in the style of the present one: `alpha = 48` stays free of a decimal point."""
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, float) and isinstance(present, int) and value.is_integer():
        return int(value)
    return value
