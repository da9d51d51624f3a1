"""Which language a config is written in: its ending tells."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_doctor.edits import command_edit, json_edit, toml_edit, yaml_edit
from lora_doctor.edits.command_shells import SHELLS
from lora_doctor.edits.edit import Keys
from lora_doctor.errors import LoraDoctorError, UsageError

_EDITS = {
    ".json": json_edit.edited,
    ".toml": toml_edit.edited,
    ".yaml": yaml_edit.edited,
    ".yml": yaml_edit.edited,
}


def edited(path: Path, text: str, changes: Mapping[Keys, Any]) -> str:
    """The text of the config at `path` with these changes. Raises UsageError, with the path."""
    if not changes:
        return text
    edit = _EDITS.get(path.suffix.lower())
    if path.suffix.lower() in SHELLS:
        return command_edit.edited(path, text, changes)
    if edit is None:
        known = ", ".join((*_EDITS, *SHELLS))
        raise UsageError(f"ends in {path.suffix or 'nothing'}: a config ends in {known}.", path=path)
    try:
        return edit(text, changes)
    except LoraDoctorError as error:
        raise UsageError(error.what, path=path, advice=error.advice) from None


def parsed(path: Path, text: str) -> Any:
    """What the config says; None for anything that is none. Never raises."""
    try:
        if path.suffix.lower() == ".json":
            return json.loads(text.removeprefix("\ufeff"))
        if path.suffix.lower() == ".toml":
            return tomllib.loads(text.removeprefix("\ufeff"))
        if path.suffix.lower() in (".yaml", ".yml"):
            return yaml_edit.loaded(text)
        if path.suffix.lower() in SHELLS:
            return command_edit.parsed(path, text)
    except Exception:  # whatever a stranger's text makes a parser raise
        return None
    return None
