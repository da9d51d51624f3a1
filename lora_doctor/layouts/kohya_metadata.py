"""sd-scripts' metadata_file (fine-tuning): pictures with captions and tags in JSON, or JSON lines -> subsets.

Source: kohya-ss/sd-scripts library/train_util.py (FineTuningDataset): `{"NAME": {"caption": ..., "tags": ...}}`, or a
line of `{"image_path": ..., "caption": ..., "tags": ...}` each; tags come after the caption, and after each line of it
with enable_wildcard. Older releases leave the picture's ending out of its name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_doctor.errors import UsageError
from lora_doctor.layouts.config_text import parsed, read_text
from lora_doctor.layouts.folders import PICTURES, names_below
from lora_doctor.layouts.tables import MAX_TABLE, inside, json_lines
from lora_doctor.layouts.values import MAX_SUBSETS
from lora_doctor.types import Subset


def listed_subsets(table: Path, folder: Path | None, like: Mapping[str, Any]) -> list[Subset]:
    """One subset for each folder that holds pictures of the table; `folder` is what relative names are relative to.

    `like`: fields of all of them. Raises UsageError for a table that is none, InputRefused for a folder of too many.
    """
    entries = _entries(table)
    groups: dict[Path, dict[str, str]] = {}
    for name, entry in entries.items():
        place, below = _place(name, folder, table)
        groups.setdefault(place, {})[below] = _caption(entry, like["separator"], lines=like["wildcards"])
        if len(groups) > MAX_SUBSETS:
            raise UsageError(f"names pictures in more than {MAX_SUBSETS} folders.", path=table, advice="Split it.")
    return [_subset(place, captions, like) for place, captions in groups.items()]


def _entries(table: Path) -> dict[str, Mapping[str, Any]]:
    text = read_text(table, limit=MAX_TABLE)
    if table.suffix.lower() == ".jsonl":
        rows = json_lines(table, text)
        if not all(isinstance(row.get("image_path"), str) for row in rows):
            raise UsageError("has a line without image_path.", path=table, advice="Make it again.")
        return {row["image_path"]: row for row in rows}
    entries = parsed(table, text)
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise UsageError("is no table of pictures.", path=table, advice="Make it again with the trainer's tools.")
    return entries


def _place(name: str, folder: Path | None, table: Path) -> tuple[Path, str]:
    """(folder, name below it) of a picture."""
    if os.path.isabs(name):
        if folder is not None and (below := inside(os.path.relpath(name, folder.absolute()))) is not None:
            return folder, below
        return Path(name).parent, os.path.basename(name)
    if folder is None:
        what = "names pictures without a folder, and the config gives no image_dir."
        raise UsageError(what, path=table, advice="Add image_dir to the subset.")
    below = inside(name)
    if below is None:
        raise UsageError(f"names a picture outside its folder: {name[:80]!r}.", path=table, advice="Correct it.")
    return folder, below


def _caption(entry: Mapping[str, Any], separator: str, *, lines: bool) -> str:
    caption, tags = entry.get("caption"), entry.get("tags")
    told = caption if isinstance(caption, str) else ""
    if not isinstance(tags, str):
        return told
    if lines:
        last = tags.replace("\n", separator)
        return "\n".join(f"{line}{separator}{last}" for line in told.split("\n") if line.strip())
    return f"{told}{separator if told and tags else ''}{tags}"


def _subset(folder: Path, captions: Mapping[str, str], like: Mapping[str, Any]) -> Subset:
    """The subset of one folder; names without an ending are those of the pictures there."""
    if any(os.path.splitext(name)[1].lower() not in PICTURES for name in captions):
        names = names_below(folder, recursive=any("/" in name for name in captions))
        pictures = (name for name in names if os.path.splitext(name)[1].lower() in PICTURES)
        there = {os.path.splitext(name)[0]: name for name in pictures}
        captions = {there.get(name, name): caption for name, caption in captions.items()}
    return Subset(folder=folder, files=tuple(captions), captions=captions, caption_extensions=(), **like)
