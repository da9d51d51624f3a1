"""Where settings stand in the files of a config, and the files with new values there. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import abspath, isabs
from pathlib import Path
from typing import Any

from lora_doctor.edits.by_ending import edited
from lora_doctor.edits.edit import Keys
from lora_doctor.named_places import found_file, moved_place
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
    """Where a folder goes that the config names, absolute; None = the name holds. `moved`: old -> new place."""
    return moved_place(named, config, moved) if isinstance(named, str) else None


def kept_file(named: object, config: Path) -> Path | None:
    """Where a file is that the config names by a relative name, absolute; None = it is none, or the name is not."""
    if not isinstance(named, str) or isabs(named) or (found := found_file(named, config)) is None:
        return None
    return Path(abspath(found))


def real_changes(changes: Sequence[Change], settings: TrainingSettings) -> list[Change]:
    """Those that are not so already, as the trainer reads its config: `"16"` is 16, and a default is a value.

    Where both steps and epochs are asked for, the one that the config counts by stands for both: the other would undo
    it once that one is so already.
    """
    both = {"steps", "epochs"} <= {change.field for change in changes}
    if both and (settings.steps is None) != (settings.epochs is None):
        spare = "epochs" if settings.epochs is None else "steps"
        changes = [change for change in changes if change.field != spare]
    return [change for change in changes if getattr(settings, change.field, None) != change.after]
