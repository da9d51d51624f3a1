"""Where settings stand in the files of a config, and the files with new values there. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import normpath
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


def moved_folder(named: object, config: Path, moved: Mapping[Path, Path]) -> Path | None:
    """Where a folder goes that the config names, absolute or as seen from its own; None = it stays where it is.

    `moved`: old -> new place, both absolute.
    """
    if not isinstance(named, str) or not named:
        return None
    for place in (Path(named), config.absolute().parent / named):
        new = moved.get(Path(normpath(place)))
        if new is not None and new != place:
            return new.absolute()
    return None


def real_changes(changes: Sequence[Change], settings: TrainingSettings) -> list[Change]:
    """Those that are not so already, as the trainer reads its config: `"16"` is 16, and a default is a value."""
    return [change for change in changes if getattr(settings, change.field, None) != change.after]
