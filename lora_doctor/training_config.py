"""A training config on the disk -> its trainer, its files as text, its settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from lora_doctor.edits.by_ending import parsed
from lora_doctor.edits.command_edit import parsed as parsed_command
from lora_doctor.edits.command_shells import SHELLS
from lora_doctor.errors import LoraDoctorError, UsageError, printable
from lora_doctor.misspelt_keys import misspelt
from lora_doctor.plugins import find
from lora_doctor.types import ConfigFiles, LoraFile, TrainingSettings

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
            advice = f"{printable(path.name)} needs it: say there where it is."
            files = ConfigFiles(path=path, texts={path: text, **{other: _text(other, advice) for other in named}})
            try:
                return TrainingConfig(trainer=module, files=files, settings=module.read(files))
            except LoraDoctorError as error:
                raise UsageError(error.what, path=error.path or path, advice=error.advice) from None
    if path.suffix.lower() in SHELLS:
        parsed_command(path, text)  # says what is wrong with it
    advice = misspelt(parsed(path, text)) or f"Known: {', '.join(trainers)}."
    raise UsageError("is no training config known here.", path=path, advice=advice)


def training_settings(config: Path | None, lora: LoraFile) -> TrainingSettings:
    """How `lora` was trained: as the config says, without one as the file's own record says, else as the file shows.

    A file may have been resized since: its rank and alpha are those of the training only where nothing else is said.
    Of an adapter without a rank both are None, whatever a config calls so: LyCORIS stores a LoKr of `dim` 10000 whole.
    Raises UsageError as `read_training_config` does.
    """
    read = lora.record.settings if config is None else read_training_config(config).settings
    largest = max(lora.modules, key=lambda module: module.rank)
    if not largest.rank:
        return replace(read, kind=largest.kind, rank=None, alpha=None)
    rank = largest.rank if read.rank is None else read.rank
    own = largest.alpha if rank == largest.rank else None
    return replace(read, kind=largest.kind, rank=rank, alpha=own if read.alpha is None else read.alpha)


def _text(path: Path, advice: str = "Name the training config.") -> str:
    """The text with the ends of its lines as they are."""
    try:
        raw = path.read_bytes()
        if len(raw) > MOST_BYTES:
            raise UsageError(f"has more than {MOST_BYTES} bytes.", path=path, advice=advice)
        return raw.decode("utf-8")
    except FileNotFoundError:
        raise UsageError("no such file.", path=path, advice=advice) from None
    except OSError as error:
        what = f"cannot be read: {error.strerror}."
        raise UsageError(what, path=path, advice=advice) from error
    except UnicodeDecodeError as error:
        what = f"is not UTF-8 at byte {error.start}."
        raise UsageError(what, path=path, advice=f"{advice[:-1]}, or save it as UTF-8.") from None
