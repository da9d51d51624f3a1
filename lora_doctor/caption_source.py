"""Where a picture's captions stand, and what to write there so that its trainer says another one.

What a trainer says is not what the file holds: it may take one of several lines, and put words of the config around
each. A caption is corrected as it is said, and written as the file has it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from lora_doctor.caption_files import keyed_file, keyed_text
from lora_doctor.types import Dataset, DatasetImage, Subset

CAPTION_ENDINGS: tuple[str, ...] = (".txt", ".caption", ".cap", ".tags")
"""Endings of files beside a picture that hold its caption, whoever reads them."""


def subset_of(image: DatasetImage, dataset: Dataset) -> Subset:
    """The subset that a picture belongs to; a plain one where the dataset has none."""
    return dataset.subsets[image.subset] if dataset.subsets else Subset(folder=image.path.parent)


def ending_of(image: DatasetImage, subset: Subset | None = None) -> str:
    """What the picture's caption file ends in, or would end in; `.txt` where nobody reads one."""
    if image.caption_file is not None:
        return image.caption_file.name.removeprefix(image.path.stem)
    return next(iter(subset.caption_extensions if subset is not None else ()), ".txt")


def beside(picture: Path, ending: str) -> Path:
    """The caption file of a picture."""
    return picture.with_name(picture.stem + ending)


def said(image: DatasetImage, subset: Subset) -> tuple[str, ...]:
    """Every caption that the trainer says of the picture, with the config's words around it; none where it has none.

    Parts of wildcards are still together. A file whose lines are captions is read again: all of them count here.
    """
    if subset.caption_lines != "any" or image.caption_file is None:
        return image.variants or (() if image.caption is None else (image.caption,))
    lines = [line for line in map(str.strip, _text(image.caption_file).split("\n")) if line]
    around = [_around(subset, number, len(lines)) for number in range(len(lines))]
    return tuple(f"{before}{line}{after}".strip() for line, (before, after) in zip(lines, around, strict=True))


def put_in_front(image: DatasetImage, subset: Subset) -> str:
    """What ai-toolkit itself puts before the caption: its trigger and a space, where the caption file lacks it."""
    text = "" if image.caption_file is None else keyed_text(_text(image.caption_file), subset)
    marked = not text.strip() or "[trigger]" in text or "[name]" in text
    return "" if marked or not subset.trigger or subset.trigger in text else f"{subset.trigger} "


def left_alone(image: DatasetImage, subset: Subset) -> tuple[Path, ...]:
    """The picture's caption files that hold words which nobody here has read, and that nothing may replace.

    Those that could not be read, that end otherwise than the trainer looks for, or are named after the picture's whole
    name; and JSON without a text under its key. None where a table holds the captions.
    """
    if subset.captions is not None:
        return ()
    if image.caption_file is not None:
        new = "" if subset.caption_key is None else keyed_file(_text(image.caption_file), "", subset.caption_key)
        return (image.caption_file,) if new is None else ()
    folder = image.path.parent
    if subset.caption_folder is not None and folder.is_relative_to(subset.folder):
        folder = subset.caption_folder / folder.relative_to(subset.folder)
    endings = dict.fromkeys((*subset.caption_extensions, *CAPTION_ENDINGS, ".json"))
    written = dict.fromkeys(way for ending in endings for way in (ending, ending.upper()))
    stems = (image.path.stem, image.path.name)  # some tools write `01.png.txt`
    files = (folder / f"{stem}{ending}" for stem in stems for ending in written)
    return tuple(file for file in files if file.is_file() and not os.path.samefile(file, image.path))


def file_text(captions: str, image: DatasetImage, subset: Subset) -> str | None:
    """What the caption file is to hold so that the trainer says `captions`, one a line; None where it cannot.

    It cannot where the config puts words around every caption, and these do not stand there; and in a file that is
    `left_alone`. Words that the trainer puts in front by itself are left out.
    """
    captions = captions.removeprefix(put_in_front(image, subset))
    lines = captions.split("\n") if subset.caption_lines == "any" else [captions]
    bare = [_without(line, *_around(subset, number, len(lines))) for number, line in enumerate(lines)]
    found = [line for line in bare if line is not None]
    if len(found) < len(lines):
        return None
    before = "" if image.caption_file is None else _text(image.caption_file)
    if subset.caption_key is not None:
        return as_file("\n".join(found), subset) if not before else keyed_file(before, found[0], subset.caption_key)
    unread = before.split("\n")[1:] if subset.caption_lines == "first" else []
    return "\n".join([*found, *unread]).rstrip("\n") + "\n"


def as_file(caption: str, subset: Subset) -> str:
    """A caption as a new file of the subset holds it: a line, or JSON."""
    bare = caption.rstrip("\n")
    return (bare if subset.caption_key is None else json.dumps({subset.caption_key: bare}, ensure_ascii=False)) + "\n"


def without_prefix(text: str, subset: Subset) -> str:
    """A text for a caption file whose author may have written the config's own first words too."""
    bare = _without(text, subset.prefix, "") if subset.prefix else None
    return text if bare is None else bare


def _around(subset: Subset, number: int, lines: int) -> tuple[str, str]:
    """What the trainer puts around a line; sd-scripts with wildcards, around all of them together."""
    if not subset.wildcards:
        return subset.prefix, subset.suffix
    return subset.prefix if number == 0 else "", subset.suffix if number == lines - 1 else ""


def _without(line: str, before: str, after: str) -> str | None:
    """The line without what stands around it, runs of space as one; None where that does not stand there.

    A comma that the config begins its last words with may follow without the trainer's space before it.
    """
    start, end = (part if part in line else " ".join(part.split()) for part in (before.strip(), after.strip()))
    if not (line.startswith(start) and line.endswith(end) and len(line) >= len(start) + len(end)):
        return None
    bare = line[len(start) : len(line) - len(end)]
    torn = (bare and before[-1:].isspace() and not bare[0].isspace()) or (
        bare and after[:1].isspace() and not bare[-1].isspace() and not end.startswith(",")
    )
    return None if torn else bare.strip()


def _text(path: Path) -> str:
    """A caption file that was read before."""
    return path.read_bytes().decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
