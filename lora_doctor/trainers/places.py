"""Where settings stand in the files of a config, and the files with new values there. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_doctor.edits.by_ending import edited
from lora_doctor.edits.edit import Keys
from lora_doctor.types import Change, ConfigFiles, TrainingSettings


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of one file of a config."""

    path: Path
    keys: Keys

    def below(self, *keys: str | int) -> Place:
        """An entry of the table that stands here."""
        return Place(self.path, (*self.keys, *keys))


def with_values(config: ConfigFiles, values: Mapping[Place, Any]) -> dict[Path, str]:
    """Every file of the config, with these values at these places, and its own bytes elsewhere. Raises UsageError."""
    return {
        path: edited(path, text, {place.keys: value for place, value in values.items() if place.path == path})
        for path, text in config.texts.items()
    }


def real_changes(changes: Sequence[Change], settings: TrainingSettings) -> list[Change]:
    """Those that are not so already, as the trainer reads its config: `"16"` is 16, and a default is a value."""
    return [change for change in changes if getattr(settings, change.field, None) != change.after]
