"""One picture file's bytes -> what it is, decoded to its last pixel; or what is wrong with it, in a sentence.

Decoders of pictures are fed by strangers here: what is larger than any training picture is refused by its header, and
whatever they raise or warn of becomes one refusal that names the file.
"""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from lora_doctor.errors import InputRefused
from lora_doctor.picture_facts import facts_of
from lora_doctor.types import PictureFacts

if TYPE_CHECKING:
    from PIL import Image

MAX_BYTES = 2**27
"""Of a file; 64 million pixels as PNG take less, unless they are noise."""
MAX_PIXELS = 64_000_000
"""A few kilobytes can unpack to gigabytes; no training picture is larger than this."""
MAX_SCANS = 64
"""Of a JPEG: each goes over all its pixels, takes a few bytes, and progressive ones have about ten."""
MAX_GIF = 2**24
"""Bytes of a GIF: its frames are counted one by one, and each may be as short as 17 bytes."""

ENDINGS: dict[str, tuple[str, ...]] = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "MPO": (".jpg", ".jpeg"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "AVIF": (".avif",),
    "GIF": (".gif",),
}
"""Pillow's name of a format -> the endings it goes by. MPO: a camera's JPEG with more pictures behind the first."""

_KINDS = (
    (b"version https://git-lfs", "is a Git LFS pointer, not the picture itself.", "Run `git lfs pull`."),
    (b"<!doctype", "is a web page, not a picture.", "Download the picture again."),
    (b"<html", "is a web page, not a picture.", "Download the picture again."),
    (b"<?xml", "is XML, not a picture of pixels.", "Save it as PNG."),
    (b"<svg", "is an SVG drawing, not a picture of pixels.", "Save it as PNG."),
    (b"ii*\0", "is a TIFF picture, which is not read.", "Save it as PNG."),
    (b"mm\0*", "is a TIFF picture, which is not read.", "Save it as PNG."),
    (b"8bps", "is a Photoshop file, which is not read.", "Save it as PNG."),
    (b"%pdf", "is a PDF, which is not read.", "Save it as PNG."),
    (b"\xff\x0a", "is a JPEG XL picture, which is not read.", "Save it as PNG."),
    (b"\0\0\0\x0cjxl ", "is a JPEG XL picture, which is not read.", "Save it as PNG."),
)
"""How files that are often found under a picture's name begin, in lower case, what they are, and what to do."""


def decoded(raw: bytes, path: Path) -> tuple[PictureFacts, int, int]:
    """Facts, width and height in pixels as stored, of the picture in `raw`, the bytes of `path`.

    Of an animation the first frame is decoded, as trainers do. Raises InputRefused for what is no picture of one of
    the formats in `ENDINGS`, has more than `MAX_PIXELS`, does not decode to the end, or is made to take for ever.
    """
    from PIL import Image, UnidentifiedImageError

    _refuse_other_kinds(raw, path)
    _refuse_cut_webp(raw, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are checked here, and of odd metadata
            with Image.open(io.BytesIO(raw), formats=_formats()) as picture:
                _check_size(picture, path)
                _check_steps(picture, raw, path)
                picture.load()
                size = picture.size
                return facts_of(picture, raw), *size
    except InputRefused:
        raise
    except MemoryError:
        raise _refused("takes more memory to decode than there is.", path, "Make it smaller.") from None
    except UnidentifiedImageError:
        raise _refused("is not a picture, or is truncated.", path) from None
    except Image.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error))
        what = f"has {pixels[0] if pixels else 'many'} pixels, more than the {MAX_PIXELS} allowed."
        raise _refused(what, path, "Make it smaller.") from None
    except Exception as error:  # decoders raise anything on damaged data: SyntaxError, struct.error, zlib.error ...
        raise _refused(f"does not decode: {str(error)[:200] or type(error).__name__}.", path) from error


def mismatch(picture: PictureFacts, path: Path) -> str | None:
    """What to say of a picture whose content is another format than its name tells; None when they agree."""
    if path.suffix.lower() in ENDINGS.get(picture.format, ()):
        return None
    kind = "JPEG" if picture.format == "MPO" else picture.format
    return f"is a {kind} picture under a name that ends in {path.suffix.lower()}: most trainers read it all the same."


def _formats() -> list[str]:
    """Those of `ENDINGS` that this Pillow reads; asking for one it was built without is an error in some versions."""
    from PIL import features

    return [name for name in ENDINGS if name != "MPO" and (name != "AVIF" or features.check("avif"))]


def _refuse_other_kinds(raw: bytes, path: Path) -> None:
    if not raw:
        raise _refused("is empty.", path)
    start = raw[:64].lstrip().lower()
    for mark, what, advice in _KINDS:
        if start.startswith(mark):
            raise _refused(what, path, advice)
    if raw[4:12] == b"ftypavif" and "AVIF" not in _formats():
        raise _refused("is an AVIF picture, which this Pillow cannot read.", path, "Install Pillow 11.3 or newer.")


def _refuse_cut_webp(raw: bytes, path: Path) -> None:
    """A WebP says how long it is; of one that ends before, decoders say only that they cannot."""
    whole = 8 + int.from_bytes(raw[4:8], "little")
    if raw.startswith(b"RIFF") and raw[8:12] == b"WEBP" and len(raw) < whole:
        raise _refused(f"is truncated: {len(raw)} of its {whole} bytes are there.", path)


def _check_size(picture: Image.Image, path: Path) -> None:
    if picture.width * picture.height > MAX_PIXELS:
        what = f"has {picture.width} x {picture.height} pixels, more than the {MAX_PIXELS} allowed."
        raise _refused(what, path, "Make it smaller.")


def _check_steps(picture: Image.Image, raw: bytes, path: Path) -> None:
    if picture.format in ("JPEG", "MPO") and (scans := raw.count(b"\xff\xda")) > MAX_SCANS:
        raise _refused(f"has {scans} scans, more than the {MAX_SCANS} allowed.", path, "Save it again.")
    if picture.format == "GIF" and len(raw) > MAX_GIF:
        raise _refused(f"is a GIF of {len(raw)} bytes, more than the {MAX_GIF} allowed.", path, "Save it as PNG.")


def _refused(what: str, path: Path, advice: str = "Replace it, or remove it with its caption.") -> InputRefused:
    return InputRefused(what, path=path, advice=advice)
