"""lora-doctor's own training.toml: `dataset` is a folder, read as any folder is, and `trigger` the word.

Source: lora_doctor/training.py and corrected_dataset.py (whole captions, the nearest numbered folder's repeats).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lora_doctor.errors import UsageError
from lora_doctor.layouts import folder
from lora_doctor.layouts.config_text import table_of, tried
from lora_doctor.layouts.places import folder_named
from lora_doctor.layouts.values import Section
from lora_doctor.types import OWN_TRAINER, Layout


def recognises(path: Path, text: str | None) -> bool:
    """Whether this is a TOML file with `trainer = "lora-doctor"`; never raises."""
    config = tried(path, text) if path.suffix.lower() == ".toml" else None
    return isinstance(config, dict) and config.get("trainer") == OWN_TRAINER


def read(path: Path, text: str | None) -> Layout:
    """The folder it names, as `folder` reads it, with the dropouts that it says. Raises UsageError, InputRefused."""
    config = Section(path, (("", table_of(path, text or "")),))
    name = config.text("dataset")
    if not name:
        raise UsageError("names no `dataset`.", path=path, advice='Add `dataset = "FOLDER"`, or give the folder.')
    found = folder.read(folder_named(name, path, "dataset"), None)
    side = config.whole("resolution", 1, 2**16)
    subsets = (
        replace(
            subset, caption_dropout=config.share("caption_dropout"), resolution=(side, side) if side else None,
            caption_token_dropout=config.share("caption_token_dropout"),
        )
        for subset in found.subsets
    )  # fmt: skip
    trigger = config.text("trigger")
    return replace(
        found, trainer=OWN_TRAINER, subsets=tuple(subsets), trigger=trigger or found.trigger,
        trigger_from="config" if trigger else found.trigger_from,
    )  # fmt: skip
