"""What lies in a folder: names of visible files and sub-folders, without following a link or opening anything."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lora_doctor.errors import InputRefused

MAX_ENTRIES = 500_000
"""Files and folders below one folder."""
MAX_DEPTH = 32
_HIDDEN = (".", "__MACOSX")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".avif", ".gif", ".tif", ".tiff", ".jxl")
"""Endings that tell a folder of pictures from one of anything else."""


@dataclass(frozen=True, slots=True)
class Contents:
    """Visible names in one folder, sorted."""

    files: tuple[str, ...] = ()
    """Everything that is no folder."""
    folders: tuple[str, ...] = ()
    links: int = 0
    """Links to folders, which are not followed."""

    def has(self, endings: tuple[str, ...]) -> bool:
        """Whether a file ends in one of `endings`, in any case of letters."""
        return any(os.path.splitext(name)[1].lower() in endings for name in self.files)


def contents(folder: Path) -> Contents:
    """What lies in `folder`; nothing where it cannot be read, which is for the reader of pictures to say.

    Raises InputRefused for more than `MAX_ENTRIES`.
    """
    files, folders, links = [], [], 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(_HIDDEN):
                    continue
                if not _is_folder(entry):
                    files.append(entry.name)
                elif entry.is_symlink():
                    links += 1
                else:
                    folders.append(entry.name)
                if len(files) + len(folders) > MAX_ENTRIES:
                    raise _too_many(folder)
    except (OSError, ValueError):
        return Contents()
    return Contents(tuple(sorted(files)), tuple(sorted(folders)), links)


def names_below(folder: Path, *, recursive: bool) -> list[str]:
    """Names of all visible files relative to `folder`, with `/` between folders; those of sub-folders if `recursive`.

    Raises InputRefused for more than `MAX_ENTRIES`.
    """
    return [name for part in _parts(folder, "", recursive, [MAX_ENTRIES]) for name in part]


def lies_in(folder: Path, name: str) -> bool:
    """Whether `name` is a regular file in `folder` itself, and no link."""
    try:
        return stat.S_ISREG(os.lstat(folder / name).st_mode)
    except (OSError, ValueError):
        return False


def _parts(folder: Path, below: str, recursive: bool, left: list[int]) -> Iterator[list[str]]:
    """The names of one folder after another; `left` is how many more there may be."""
    found = contents(folder / below)
    left[0] -= len(found.files) + len(found.folders)
    if left[0] < 0:
        raise _too_many(folder)
    yield [f"{below}{name}" for name in found.files]
    if recursive and below.count("/") < MAX_DEPTH:
        for name in found.folders:
            yield from _parts(folder, f"{below}{name}/", True, left)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _too_many(folder: Path) -> InputRefused:
    advice = "Give the folder of the training pictures alone."
    return InputRefused(f"holds more than {MAX_ENTRIES} files and folders.", path=folder, advice=advice)
