"""What the user gave, a folder or a trainer's config -> the layout of the dataset behind it, and the dataset."""

from __future__ import annotations

from pathlib import Path

from lora_doctor.dataset import survey
from lora_doctor.errors import InputRefused, UsageError
from lora_doctor.layouts.config_text import ENDINGS, parsed
from lora_doctor.misspelt_keys import misspelt
from lora_doctor.plugins import find
from lora_doctor.types import Dataset, Layout

MAX_CONFIG = 2**22
"""Bytes; a config that lists ten thousand captions is smaller."""
ANY_FOLDER = "folder"
"""The layout that recognises every folder: asked last."""


def layout_of(path: Path) -> Layout:
    """How the dataset at `path` lies on the disk, as the trainer whose layout or config it is sees it.

    Raises InputRefused for what does not exist or cannot be read, UsageError for a file that no trainer's layout
    recognises, with the line that is wrong in a broken one, and whatever the layout's `read` raises.
    """
    if not path.exists():
        raise InputRefused("no such folder or config.", path=path, advice="Give the folder the LoRA is trained on.")
    text = None if path.is_dir() else _text(path)
    layouts = find("layouts", needs="recognises")
    for name in sorted(layouts, key=lambda name: name == ANY_FOLDER):
        if layouts[name].recognises(path, text):
            layout: Layout = layouts[name].read(path, text)
            return layout
    config = parsed(path, text) if text is not None and path.suffix.lower() in ENDINGS else None
    advice = misspelt(config) or f"Known: {', '.join(layouts)}."
    raise UsageError("is no dataset config known here.", path=path, advice=advice)


def read_dataset(path: Path) -> Dataset:
    """The dataset that a LoRA is trained on: what its layout names, sorted by path, with captions and repeats.

    Sizes are those of the stored pixels, EXIF rotation ignored, as trainers do. Raises as `layout_of` does, and
    InputRefused, naming the file: no picture, a picture that does not decode, a caption that is not UTF-8, a symbolic
    link that leads out of the dataset.
    """
    return survey(layout_of(path), path, strict=True)


def _text(path: Path) -> str:
    """The config's text; UTF-8 with or without a byte order mark."""
    try:
        if not path.is_file():
            raise InputRefused("is no regular file.", path=path, advice="Give the dataset's folder.")
        with path.open("rb") as file:
            raw = file.read(MAX_CONFIG + 1)
    except OSError as error:
        raise InputRefused(f"cannot be read: {error.strerror}.", path=path) from None
    if len(raw) > MAX_CONFIG:
        raise InputRefused(f"is larger than {MAX_CONFIG >> 20} MiB.", path=path, advice="Give a dataset's config.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"is no dataset config: byte 0x{raw[error.start]:02x} at offset {error.start} is not UTF-8."
        raise InputRefused(what, path=path, advice="Give the dataset's folder, or a trainer's config.") from None
