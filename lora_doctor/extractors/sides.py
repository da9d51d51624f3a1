"""What a head has on one side only: a parting, a mark, a ponytail, as pixels; the picture less its mirror image.

Recognisers and CLIP are trained on mirrored pictures and hardly know left from right. Pixels do: the head is laid
level by its eyes, and half of the difference from its mirror image kept. A mirrored picture has the same numbers with
the other sign, to rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lora_doctor.types import FaceReading

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    Array = np.ndarray[Any, Any]

GRID = 24
"""Points along a side: what is one-sided about a head is larger than a pixel of this."""
SPAN, ABOVE = 4.4, 0.4
"""Side of the square in distances of the eyes, as wide as hair; and how far its middle lies below the eyes."""
LEAST_EYES = 4.0
"""Pixels between the eyes: a nearer pair is laid level by chance."""


def read_sides(image: Image.Image, face: FaceReading) -> Array | None:
    """(GRID * GRID / 2 * 3,) float16 in -0.5..0.5: the image's left half of what is one-sided; None without eyes.

    Points outside the picture, or whose mirror image is, count as alike.
    """
    import numpy as np

    if face.landmarks is None or len(face.landmarks) < 2:
        return None
    left, right = (np.asarray(point, np.float64) for point in face.landmarks[:2])
    apart = float(np.hypot(*(right - left)))
    if apart < LEAST_EYES:
        return None
    along = (right - left) / apart
    down = np.array([-along[1], along[0]])
    steps = ((np.arange(GRID) + 0.5) / GRID - 0.5) * SPAN
    across, below = np.meshgrid(steps, steps + ABOVE)
    points = (left + right) / 2 + apart * (across[..., None] * along + below[..., None] * down)
    colours, inside = _at(np.asarray(image.convert("RGB"), np.float32) / 255, points)
    one_sided = (colours - colours[:, ::-1]) / 2
    one_sided[~(inside & inside[:, ::-1])] = 0.0
    half: Array = one_sided[:, : GRID // 2].reshape(-1).astype(np.float16)
    return half


def _at(pixels: Array, points: Array) -> tuple[Array, Array]:
    """Colours at points (x, y in pixels, 0 = the left or upper edge), linear between pixels; and which lie inside."""
    import numpy as np

    height, width, _ = pixels.shape
    x, y = points[..., 0] - 0.5, points[..., 1] - 0.5
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    right, lower = (x - column)[..., None], (y - row)[..., None]

    def of(rows: Array, columns: Array) -> Array:
        found: Array = pixels[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
        return found

    upper = (1 - right) * of(row, column) + right * of(row, column + 1)
    under = (1 - right) * of(row + 1, column) + right * of(row + 1, column + 1)
    return (1 - lower) * upper + lower * under, inside
