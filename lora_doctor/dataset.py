"""A folder of pictures and captions -> Dataset, as a trainer sees it; every picture is really decoded, once."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

from lora_doctor.errors import InputRefused
from lora_doctor.types import Dataset, DatasetImage

PICTURES: tuple[str, ...] = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
CAPTIONS: tuple[str, ...] = (".txt", ".caption")
MAX_PIXELS = 64_000_000
"""A few kilobytes can unpack to gigabytes; no training picture is larger than this."""
MAX_CAPTION = 2**20
"""Bytes."""

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
_REPEATS = re.compile(r"(\d{1,9})_")
"""kohya's folder names: `10_yuki` = each picture in it is seen ten times an epoch."""


def read_dataset(folder: Path) -> Dataset:
    """Every picture in `folder` and its sub-folders, sorted by path, with captions and repeats; hidden files left out.

    Repeats come from the nearest enclosing `<number>_<name>` folder below `folder`, else 1. Sizes are those of the
    stored pixels, EXIF rotation ignored, as trainers do. Raises InputRefused, naming the file: no folder, no picture,
    a picture that does not decode, a caption that is not UTF-8, a symbolic link that leads out of the folder.
    """
    if not folder.exists():
        raise InputRefused("no such folder.", path=folder, advice="Give the folder the LoRA was trained on.")
    if not folder.is_dir():
        raise InputRefused("is not a folder.", path=folder, advice="Give the folder with the pictures.")
    images = tuple(_image(path, folder) for path in sorted(_pictures(folder)))
    if not images:
        advice = f"Pictures end in {', '.join(PICTURES)}."
        raise InputRefused("holds no pictures.", path=folder, advice=advice)
    return Dataset(path=folder, images=images)


def _pictures(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise InputRefused(f"cannot be read: {error.strerror}.", path=error.filename)

    for root, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        for name in folders:
            if (Path(root) / name).is_symlink():
                raise InputRefused("is a symbolic link to a folder.", path=Path(root) / name, advice="Copy the folder.")
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in PICTURES:
                yield Path(root) / name


def _image(path: Path, folder: Path) -> DatasetImage:
    raw = _read(path, folder)
    width, height = _decode(path, raw)
    return DatasetImage(
        path=path,
        sha256=hashlib.sha256(raw).hexdigest(),
        width=width,
        height=height,
        caption=_caption(path, folder),
        repeats=_repeats(path, folder),
    )


def _read(path: Path, folder: Path) -> bytes:
    """The bytes of a regular file inside `folder`; a pipe would hang and a link could lead anywhere."""
    try:
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            raise InputRefused("is a symbolic link out of the dataset.", path=path, advice="Copy the file.")
        if not path.is_file():
            raise InputRefused("is not a regular file.", path=path, advice="Remove it from the dataset.")
        return path.read_bytes()
    except OSError as error:
        raise InputRefused(f"cannot be read: {error.strerror}.", path=path) from None


def _decode(path: Path, raw: bytes) -> tuple[int, int]:
    """(width, height) of the picture, after decoding its last pixel."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(raw), formats=_FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                what = f"has {picture.width} x {picture.height} pixels, more than the {MAX_PIXELS} allowed."
                raise InputRefused(what, path=path, advice="Make it smaller.")
            picture.load()
            return picture.size
    except (InputRefused, MemoryError):
        raise
    except Exception as error:  # decoders raise anything on damaged data: SyntaxError, struct.error, zlib.error ...
        unknown = type(error).__name__ == "UnidentifiedImageError"
        what = "is not a picture, or is truncated." if unknown else f"does not decode: {error}."
        raise InputRefused(what, path=path, advice="Replace it, or remove it with its caption.") from error


def _caption(picture: Path, folder: Path) -> str | None:
    """The text beside the picture, or None. Two captions that differ are refused: trainers would choose differently."""
    beside = [path for ending in CAPTIONS if os.path.lexists(path := picture.with_suffix(ending))]
    texts = [_text(path, _read(path, folder)) for path in beside]
    if len(set(texts)) > 1:
        what = f"has two captions that differ, {' and '.join(CAPTIONS)}."
        raise InputRefused(what, path=picture, advice="Keep the one the trainer reads.")
    return texts[0] if texts else None


def _text(path: Path, raw: bytes) -> str:
    """UTF-8, with or without a byte order mark, without surrounding white space."""
    if len(raw) > MAX_CAPTION:
        raise InputRefused(f"is a caption of {len(raw)} bytes.", path=path, advice="Captions are a few lines long.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"caption is not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start}."
        raise InputRefused(what, path=path, advice="Save it as UTF-8.") from None
    if (at := raw.find(b"\0")) >= 0:
        raise InputRefused(f"caption has a NUL byte at offset {at}.", path=path, advice="Save it as UTF-8.")
    return text.removeprefix("\ufeff").strip()


def _repeats(path: Path, folder: Path) -> int:
    for name in reversed(path.relative_to(folder).parts[:-1]):
        if match := _REPEATS.match(name):
            if int(match[1]) == 0:
                what = "is in a folder with 0 repeats: the trainer never sees it."
                raise InputRefused(what, path=path, advice="Rename the folder or take it out.")
            return int(match[1])
    return 1
