"""The colours of hair, of eyes and of what is around the person, by pixels: a witness beside CLIP, weak at colours.

Where the face is, so is the hair: a dome above it, of which skin is left out. Eyes are around their landmarks, without
white, lashes and skin. Only medians are taken, so that a strand, a ribbon or a highlight does not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lora_doctor.types import FaceReading

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    Array = np.ndarray[Any, Any]

Lab = tuple[float, float, float]
HAIR, EYES, PICTURE, BACKGROUND, CHEEKS = "hair_colour", "eye_colour", "picture", "background", "skin"
"""Keys of `Reading.colours`: the first two are the attributes they speak of."""
SIDE = 48
"""Pixels that the head's surroundings are made small to: a median needs no more."""
GRID = 128
"""Points a side at which the whole picture is looked at: for a mean over 16 thousand of them no more are needed."""
SURROUNDINGS = 1.9
"""Side of what is looked at around the face, in sides of its box."""
SKIN = 12.0
"""Delta-E from the cheeks within which a pixel may be skin."""
CLUSTERS = 3
"""Of the dome: hair, its shade or a ribbon, background."""
MOST = 0.25
"""Share of the dome below which what is no skin is no hair either: the whole dome is then taken (hair like skin)."""
HEAD, BODY = (0.85, 1.1), 3.2
"""Half the width and height of head and hair, and the width of what is below, in widths and heights of the face."""
LEAST = 0.05
"""Share of the picture that must be background before it has a colour: a close-up may show none."""
EYES_APART = 14.0
"""Pixels between the eyes below which an iris is two pixels, and its colour that of its rim."""
IRIS = 0.16
"""Half the side of the square around an eye, in distances of the eyes: a drawn iris fills it, a real one half of it."""


def read_colours(image: Image.Image, face: FaceReading) -> dict[str, Lab]:
    """CIE Lab (D65) of the `picture` and its `background` (means), of `hair_colour`, `eye_colour` and `skin` (medians).

    Absent where they cannot be seen; without a face, everything is background.
    """
    image = image if image.mode == "RGB" else image.convert("RGB")
    whole = _lab(_sampled(image))
    found: dict[str, Lab] = {PICTURE: _triple(whole.reshape(-1, 3).mean(axis=0))}
    around = _around(whole.shape[1], whole.shape[0], image, face)
    if around.mean() >= LEAST:
        found[BACKGROUND] = _triple(whole[around].mean(axis=0))
    if face.box is None or min(face.box[2] - face.box[0], face.box[3] - face.box[1]) < 4:
        return found
    found |= _head(image, face.box)
    if face.landmarks is not None and (eyes := _eyes(image, face)) is not None:
        found[EYES] = eyes
    return found


def _around(columns: int, rows: int, image: Image.Image, face: FaceReading) -> Array:
    """(rows, columns): True where no head, hair or body is to be expected."""
    import numpy as np

    if face.box is None:
        return np.ones((rows, columns), bool)
    left, top, right, bottom = face.box
    width, height = max(1.0, right - left), max(1.0, bottom - top)
    ys, xs = np.mgrid[0:rows, 0:columns] + 0.5
    x = (xs * image.width / columns - (left + right) / 2) / width
    y = (ys * image.height / rows - (top + bottom) / 2) / height
    head = (x / HEAD[0]) ** 2 + (y / HEAD[1]) ** 2 < 1
    below = (np.abs(x) < BODY / 2) & (y > 0.3)
    around: Array = ~(head | below)
    return around


def _head(image: Image.Image, box: tuple[float, float, float, float]) -> dict[str, Lab]:
    """The cheeks' skin, and as hair the largest cluster of the dome over the face that is not skin."""
    import numpy as np

    left, top, right, bottom = box
    width, height = right - left, bottom - top
    side = SURROUNDINGS * max(width, height)
    x0, y0 = (left + right - side) / 2, (top + bottom - side) / 2
    pixels = _cut(image, (x0, y0, x0 + side, y0 + side), SIDE)
    ys, xs = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    x = (xs * side / SIDE + x0 - (left + right) / 2) / width  # -0.5 to 0.5 within the face
    y = (ys * side / SIDE + y0 - (top + bottom) / 2) / height
    inside = (xs * side / SIDE + x0 >= 0) & (xs * side / SIDE + x0 < image.width) & (ys * side / SIDE + y0 >= 0)
    dome = inside & (y < -0.40) & ((x / 0.55) ** 2 + (y / 0.78) ** 2 < 1)
    cheeks = (np.abs(x) < 0.3) & (np.abs(y - 0.12) < 0.2)
    skin = np.median(pixels[cheeks], axis=0)
    if dome.sum() < 12:
        return {CHEEKS: _triple(skin)}
    shown = pixels[dome]
    other = shown[np.linalg.norm(shown - skin, axis=1) > SKIN]
    hair = _largest_cluster(other if len(other) > MOST * len(shown) else shown)
    return {CHEEKS: _triple(skin), HAIR: _triple(hair)}


def _eyes(image: Image.Image, face: FaceReading) -> Lab | None:
    """The median of both irises; None where the face is too small."""
    import numpy as np

    assert face.landmarks is not None and face.box is not None
    (x1, y1), (x2, y2) = face.landmarks[:2]
    apart = float(np.hypot(x2 - x1, y2 - y1))
    if apart < EYES_APART:
        return None
    half = IRIS * apart
    size = int(min(16, max(3, round(2 * half))))
    both = [_cut(image, (x - half, y - half, x + half, y + half), size) for x, y in ((x1, y1), (x2, y2))]
    pixels = np.concatenate([one.reshape(-1, 3) for one in both])
    chroma, light = np.hypot(pixels[:, 1], pixels[:, 2]), pixels[:, 0]
    iris = pixels[~((light > 80) & (chroma < 15)) & (light > 15)]  # neither white nor pupil and lashes
    if len(iris) < 4:
        return None
    vivid = np.hypot(iris[:, 1], iris[:, 2])
    return _triple(np.median(iris[vivid >= np.median(vivid)], axis=0))


def _largest_cluster(pixels: Array) -> Array:
    """The median of the largest of three clusters (k-means in Lab, started at quantiles of lightness)."""
    import numpy as np

    order = np.argsort(pixels[:, 0], kind="stable")
    centres = pixels[order[[len(order) * (2 * i + 1) // (2 * CLUSTERS) for i in range(CLUSTERS)]]].copy()
    for _ in range(6):
        near = np.argmin(((pixels[:, None] - centres[None]) ** 2).sum(axis=2), axis=1)
        for i in range(CLUSTERS):
            if (near == i).any():
                centres[i] = pixels[near == i].mean(axis=0)
    counts = np.bincount(near, minlength=CLUSTERS)
    median: Array = np.median(pixels[near == counts.argmax()], axis=0)
    return median


def _cut(image: Image.Image, box: tuple[float, float, float, float], side: int) -> Array:
    """(side, side, 3) Lab of a box, which may reach beyond the picture: there its edge goes on."""
    import numpy as np
    from PIL.Image import Resampling

    left, top = max(0.0, box[0]), max(0.0, box[1])
    right, bottom = min(float(image.width), box[2]), min(float(image.height), box[3])
    if right - left < 1 or bottom - top < 1:
        return np.zeros((side, side, 3))
    whole = (box[2] - box[0]) / side, (box[3] - box[1]) / side
    size = max(1, round((right - left) / whole[0])), max(1, round((bottom - top) / whole[1]))
    part = _lab(image.resize(size, Resampling.BOX, (left, top, right, bottom), reducing_gap=1.0))
    before = min(side - 1, round((left - box[0]) / whole[0])), min(side - 1, round((top - box[1]) / whole[1]))
    part = part[: side - before[1], : side - before[0]]
    pads = (before[1], side - before[1] - part.shape[0]), (before[0], side - before[0] - part.shape[1]), (0, 0)
    filled: Array = np.pad(part, pads, mode="edge")
    return filled


def _sampled(image: Image.Image) -> Image.Image:
    """A picture of at most `GRID` x `GRID` of its pixels."""
    from PIL.Image import Resampling

    return image.resize((min(GRID, image.width), min(GRID, image.height)), Resampling.NEAREST)


def _lab(image: Image.Image) -> Array:
    """(height, width, 3) CIE Lab of an sRGB picture, D65."""
    import numpy as np

    values = np.asarray(image, np.float64) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    matrix = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    xyz = linear @ (np.array(matrix) / np.array([[0.95047], [1.0], [1.08883]])).T
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    table: Array = np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)
    return table


def _triple(row: Array) -> Lab:
    return round(float(row[0]), 2), round(float(row[1]), 2), round(float(row[2]), 2)
