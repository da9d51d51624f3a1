"""A decoded picture -> what its file is: mode, frames, orientation, transparency, hashes, colour, writing, origin.

Pure.
"""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

from lora_doctor.perceptual_hash import perceptual_hashes
from lora_doctor.picture_origin import origin_of
from lora_doctor.picture_text import find_writing
from lora_doctor.types import PictureFacts

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

ORIENTATION = 0x0112
"""The EXIF tag."""
OPAQUE_FROM = 128
"""Alpha, 0 to 255, from which a pixel is less than half transparent."""
WITH_ALPHA = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})
COLOUR_SIDE = 128
"""Pixels of the longer side that the mean colour is read at: reducing keeps a mean."""
STILLS = frozenset({"MPO"})
"""Formats whose further frames are other pictures (a camera's preview), not a motion."""


def facts_of(picture: Image.Image, raw: bytes) -> PictureFacts:
    """What a picture file is; `picture` is loaded (first frame, EXIF not applied), `raw` the file's bytes.

    Never raises: what a mode does not have is its default. About 20 ms for 1024 x 1024 pixels on one core.
    """
    orientation = _orientation(picture)
    colours, transparent = _colours(picture), _transparent(picture)
    grey, origin = colours.convert("L"), origin_of(picture, raw)
    perceptual, mirrored = perceptual_hashes(grey)
    return PictureFacts(
        format=picture.format or "", mode=picture.mode, orientation=orientation, transparent=transparent,
        perceptual_hash=perceptual, mirrored_hash=mirrored, colour=_mean_lab(colours),
        text=find_writing(grey), generator=origin.generator if origin else "",
        made_with=origin.model if origin else "", made_with_hash=origin.model_hash if origin else "",
        frames=_frames(picture),  # last: counting may move the file to another frame
    )  # fmt: skip


def _frames(picture: Image.Image) -> int:
    if picture.format in STILLS:
        return 1
    with contextlib.suppress(Exception):  # damaged later frames: decoders raise anything
        return max(1, int(getattr(picture, "n_frames", 1)))
    return 1


def _orientation(picture: Image.Image) -> int:
    """1 to 8; 1 for anything else that is written there."""
    with contextlib.suppress(Exception):  # metadata is anything a stranger wrote
        value = int(picture.getexif().get(ORIENTATION, 1))
        return value if 1 <= value <= 8 else 1
    return 1


def _colours(picture: Image.Image) -> Image.Image:
    """The picture in mode RGB, 16 bits brought to 8, transparency left out: a trainer sees the colours underneath."""
    from PIL import Image

    if picture.mode == "RGB":
        return picture
    if picture.mode.startswith("I") or picture.mode == "F":
        return _eight_bits(picture).convert("RGB")
    with contextlib.suppress(Exception):  # a mode that Pillow cannot convert
        return picture.convert("RGB")
    return Image.new("RGB", picture.size)


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Modes of more than 8 bits a pixel, scaled from their full range (65535; floats: 1) to 255."""
    import numpy as np
    from PIL import Image

    values = np.nan_to_num(np.asarray(picture).astype(np.float32))
    scaled = values * 255.0 if picture.mode == "F" and float(values.max(initial=0.0)) <= 1.0 else values / 257.0
    return Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8))


def _transparent(picture: Image.Image) -> float:
    """Share of the pixels that are at least half transparent."""
    alpha: Image.Image | None = None
    with contextlib.suppress(Exception):
        if picture.mode in WITH_ALPHA:
            alpha = picture.getchannel(len(picture.getbands()) - 1)
        elif "transparency" in picture.info:
            alpha = picture.convert("RGBA").getchannel("A")
    if alpha is None:
        return 0.0
    counts = alpha.histogram()
    return sum(counts[:OPAQUE_FROM]) / max(1, sum(counts))


def _mean_lab(colours: Image.Image) -> tuple[float, float, float]:
    """Mean CIE Lab colour (D65) of a picture in sRGB."""
    import numpy as np

    small = colours.reduce(max(1, math.ceil(max(colours.size) / COLOUR_SIDE)))
    lab = _lab(np.asarray(small, np.float64).reshape(-1, 3) / 255.0)
    lightness, green_red, blue_yellow = (float(value) for value in lab.mean(axis=0))
    return lightness, green_red, blue_yellow


def _lab(srgb: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(n, 3) sRGB in 0..1 -> (n, 3) CIE Lab under D65 (IEC 61966-2-1, CIE 15)."""
    import numpy as np

    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                       [0.0193339, 0.1191920, 0.9503041]])  # fmt: skip
    ratio = linear @ (to_xyz / to_xyz.sum(axis=1, keepdims=True)).T
    bent = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = bent[:, 0], bent[:, 1], bent[:, 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
