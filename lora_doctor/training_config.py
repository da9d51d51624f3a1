"""A training config on the disk -> its trainer, its files as text, its settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from lora_doctor.edits.command_edit import parsed as parsed_command
from lora_doctor.edits.command_words import SHELLS
from lora_doctor.errors import LoraDoctorError, UsageError
from lora_doctor.plugins import find
from lora_doctor.types import ConfigFiles, TrainingSettings

MOST_BYTES = 2**22
"""Of one file; configs have some 500 KB where a trainer writes statistics into them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """A config that a trainer recognises."""

    trainer: ModuleType
    files: ConfigFiles
    settings: TrainingSettings


def read_training_config(path: Path) -> TrainingConfig:
    """The config at `path` with the files that it names. Raises UsageError for what no trainer recognises or reads."""
    text, trainers = _text(path), find("trainers", needs="recognises")
    for module in trainers.values():
        if module.recognises(path, text):
            named = module.companions(path, text) if hasattr(module, "companions") else ()
            files = ConfigFiles(path=path, texts={path: text, **{other: _text(other) for other in named}})
            try:
                return TrainingConfig(trainer=module, files=files, settings=module.read(files))
            except LoraDoctorError as error:
                raise UsageError(error.what, path=error.path or path, advice=error.advice) from None
    if path.suffix.lower() in SHELLS:
        parsed_command(path, text)  # says what is wrong with it
    raise UsageError("is no training config known here.", path=path, advice=f"Known: {', '.join(trainers)}.")


def _text(path: Path) -> str:
    """The text with the ends of its lines as they are."""
    try:
        raw = path.read_bytes()
        if len(raw) > MOST_BYTES:
            raise UsageError(f"has more than {MOST_BYTES} bytes.", path=path, advice="Name the training config.")
        return raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}.", path=path, advice="Name the training config.") from error
