"""Folders and files that a config names, or the refusal that names them; `named_places` says where they are."""

from __future__ import annotations

import os
from pathlib import Path

from lora_doctor.errors import UsageError
from lora_doctor.layouts.config_text import is_ours_to_open
from lora_doctor.named_places import found_file, found_folder

RELATIVE = (
    "Some names in the config are relative: the trainer looks for them in the folder it is started in, lora-doctor "
    "beside the config, in its working folder and in the folders around the config."
)
"""A note for a config with such names."""


def folder_named(name: str, config: Path, key: str) -> Path:
    """The folder that `config` names under `key`. Raises UsageError when there is none."""
    if (place := found_folder(name, config)) is not None:
        return place
    what = f"{key} names {name!r}, and there is no such folder."
    raise UsageError(what, path=config, advice="Correct it, or give the folder of the pictures itself.")


def file_named(name: str, config: Path, key: str, endings: tuple[str, ...]) -> Path:
    """The file that `config` names under `key`, with one of `endings`. Raises UsageError when there is none."""
    if not is_ours_to_open(Path(name), endings):
        what = f"{key} names {name!r}, which does not end in {' or '.join(endings)}."
        raise UsageError(what, path=config, advice="Correct it.")
    if (place := found_file(name, config)) is not None:
        return place
    raise UsageError(f"{key} names {name!r}, and there is no such file.", path=config, advice="Correct it.")


def is_relative(name: str | None) -> bool:
    """Whether a name is a relative one."""
    return bool(name) and not os.path.isabs(name or "")
