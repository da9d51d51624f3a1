"""Which names of a folder are pictures to a trainer, which captions, and what is odd about them. Pure.

Endings were looked up in the trainers: sd-scripts library/train_util.py and musubi-tuner dataset/media_utils.py
(IMAGE_EXTENSIONS), ai-toolkit toolkit/data_loader.py (image_extensions), OneTrainer modules/util/path_util.py,
SimpleTuner helpers/training/__init__.py (all that Pillow opens), as datasets' imagefolder, which diffusers uses.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from lora_doctor.caption_source import CAPTION_ENDINGS
from lora_doctor.errors import printable
from lora_doctor.types import Subset

PICTURES: tuple[str, ...] = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".avif")
"""Endings of pictures in any case of letters, where the trainer is not known or has none of its own."""
BY_TRAINER: dict[str, tuple[str, ...]] = {
    "ai-toolkit": (".png", ".jpg", ".jpeg", ".webp"),
    "SimpleTuner": (*PICTURES, ".gif"),
    "diffusers": (*PICTURES, ".gif"),
}
"""`Layout.trainer` -> its endings, where they differ."""
ONLY_TRAINED: dict[str, tuple[str, ...]] = {
    "OneTrainer": (".tif", ".tiff"),
    "SimpleTuner": (".tif", ".tiff", ".jfif", ".jpe", ".apng", ".tga", ".jp2", ".psd", ".ico", ".ppm", ".pgm", ".dds"),
    "diffusers": (".tif", ".tiff", ".jfif", ".jpe", ".apng", ".tga", ".jp2", ".psd", ".ico", ".ppm", ".pgm", ".dds"),
}
"""`Layout.trainer` -> endings that it reads and that are not read here."""
OTHER_PICTURES: tuple[str, ...] = (
    *PICTURES, ".gif", ".tif", ".tiff", ".jxl", ".heic", ".heif", ".jfif", ".jpe", ".apng", ".psd", ".svg", ".tga",
    ".ico", ".jp2", ".exr", ".hdr", ".ppm", ".pgm", ".dds", ".raw", ".dng", ".cr2", ".nef", ".arw", ".xcf", ".kra",
)  # fmt: skip
"""Endings of pictures that are named when they are left out."""
VIDEOS: tuple[str, ...] = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
"""Endings of what some trainers train on as well, and nobody looks at here."""

MASKS = ("-masklabel", "-condlabel")
"""How the stem of a mask, or of a control picture, of another picture ends, as OneTrainer names them."""
ANY_TRAINER = ("folder", "lora-doctor")
"""Values of `Layout.trainer` for a folder that any trainer may train on."""

_CASE = "differs only in capital letters"


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """Something odd about a file, told from the names alone."""

    name: str
    kind: Literal["picture", "caption"]
    says: str
    """In a sentence, without the name."""


def endings_of(trainer: str) -> tuple[str, ...]:
    """Endings of the pictures that `trainer` reads, in lower case, and that are read here."""
    return BY_TRAINER.get(trainer, PICTURES)


def pictures_of(names: Iterable[str], trainer: str) -> list[str]:
    """The names that are pictures to `trainer`, in their order; `names` are all files of a folder."""
    apart = set(set_apart(names := list(names), trainer))
    return [name for name in _of_pictures(names, trainer) if name not in apart]


def set_apart(names: Iterable[str], trainer: str) -> list[str]:
    """The names that are masks or controls of other pictures, by OneTrainer's and ai-toolkit's own names for them.

    In a folder that any trainer may train on, where the picture that it is the mask of is there.
    """
    pictures = _of_pictures(names, trainer)
    if trainer == "ai-toolkit":
        return [name for name in pictures if _file(os.path.dirname(name)) == "_controls"]
    if trainer not in ("OneTrainer", *ANY_TRAINER):
        return []
    stems = {_stem(name) for name in pictures}
    ends = [(name, end) for name in pictures for end in MASKS if _stem(name).endswith(end)]
    return [name for name, end in ends if trainer == "OneTrainer" or _stem(name).removesuffix(end) in stems]


def _of_pictures(names: Iterable[str], trainer: str) -> list[str]:
    endings = endings_of(trainer)
    return [name for name in names if _ending(name) in endings]


def caption_names(picture: str, subset: Subset) -> list[str]:
    """Where the caption of the picture called `picture` may be, the likeliest first, relative to the caption folder."""
    return [] if subset.captions is not None else [_stem(picture) + ending for ending in subset.caption_extensions]


def remarks(names: Sequence[str], captions: Sequence[str], subset: Subset, trainer: str) -> Iterator[Remark]:
    """What is odd: pictures left out, names that clash, captions that nobody reads, names in no encoding.

    `names`: all files of the subset's folder; `captions`: all of its caption folder (the same, when they lie beside).
    """
    pictures = pictures_of(names, trainer)
    yield from _left_out(names, trainer)
    yield from _clashes(pictures, subset)
    videos = {_stem(name) for name in names if _ending(name) in VIDEOS}
    yield from _unread_captions(captions, pictures, subset, videos)
    for name, kind in (*((name, "picture") for name in pictures), *((name, "caption") for name in captions)):
        if not _is_text(name) and (kind == "picture" or _is_caption(name, subset)):
            says = f"has a name that is not UTF-8, `{printable(name)}`: rename it, some trainers and tools fail on it."
            yield Remark(name=name, kind="picture" if kind == "picture" else "caption", says=says)


def _left_out(names: Iterable[str], trainer: str) -> Iterator[Remark]:
    endings = endings_of(trainer)
    whose = "most trainers do" if trainer == "folder" else f"{trainer} does"
    for name in names:
        if (ending := _ending(name)) in ONLY_TRAINED.get(trainer, ()):
            says = f"is trained on, but cannot be looked at: {ending} is not read here. Save it as PNG."
            yield Remark(name=name, kind="picture", says=says)
        elif ending in OTHER_PICTURES and ending not in endings:
            says = f"is left out: {whose} not read {ending}, only {', '.join(endings)}."
            yield Remark(name=name, kind="picture", says=says)
        elif ending in VIDEOS:
            yield Remark(name=name, kind="picture", says="is left out: videos are not looked at here.")


def _clashes(pictures: Iterable[str], subset: Subset) -> Iterator[Remark]:
    stems: dict[str, str] = {}
    folded: dict[str, str] = {}
    for name in pictures:
        if (other := stems.setdefault(_stem(name), name)) != name and subset.captions is None:
            says = f"has the name of `{printable(_file(other))}` but for its ending: both have one caption file."
            yield Remark(name=name, kind="picture", says=says)
        if (other := folded.setdefault(_folded(name), name)) != name:
            says = f"{_CASE} from `{printable(_file(other))}`: on Windows and macOS one replaces the other."
            yield Remark(name=name, kind="picture", says=says)


def _unread_captions(
    captions: Iterable[str], pictures: Iterable[str], subset: Subset, videos: Collection[str]
) -> Iterator[Remark]:
    wanted = {picture: caption_names(picture, subset) for picture in pictures}
    read = {name for names in wanted.values() for name in names}
    stems = {_stem(picture): picture for picture in pictures}
    alike = {_folded(stem): picture for stem, picture in stems.items()}
    for name in captions:
        if name in read or not _is_caption(name, subset) or _stem(name) in videos:
            continue
        if _stem(name) in stems:
            where = "a table" if subset.captions is not None else f"files that end in {_or(subset.caption_extensions)}"
            known = subset.captions is not None or subset.caption_extensions
            says = f"captions are in {where} here." if known else "caption files are not read here."
            yield Remark(name=name, kind="caption", says=f"is not read: {says}")
        elif looked_for := wanted.get(_stem(name)):
            says = f"is not read: the caption of `{printable(_file(_stem(name)))}` is looked for in "
            yield Remark(name=name, kind="caption", says=f"{says}`{printable(_file(looked_for[0]))}`. Rename it.")
        elif (picture := alike.get(_folded(_stem(name)))) is not None:
            same = unicodedata.normalize("NFC", _stem(picture)) == unicodedata.normalize("NFC", _stem(name))
            how = "has the same letters in other code points as" if same else f"{_CASE} from"
            says = f"belongs to no picture: its name {how} that of `{printable(_file(picture))}`. Rename it."
            yield Remark(name=name, kind="caption", says=says)
        else:
            yield Remark(name=name, kind="caption", says="belongs to no picture: there is none of its name.")


def _is_caption(name: str, subset: Subset) -> bool:
    return _ending(name) in (*CAPTION_ENDINGS, *(ending.lower() for ending in subset.caption_extensions))


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _folded(name: str) -> str:
    """As file systems that tell neither capitals nor code points apart see it."""
    return unicodedata.normalize("NFC", name).casefold()


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _file(name: str) -> str:
    return os.path.basename(name)


def _or(words: Sequence[str]) -> str:
    return " or ".join(words) or "nothing"
