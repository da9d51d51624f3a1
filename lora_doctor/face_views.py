"""Other views of a picture, for a face detector that found none, or a small one: with a margin, zoomed, closer.

A detector misses a face that fills the frame and one that is small in it. Each is worth a second look before a picture
counts as having no face; a face found that way is marked, since looking often also finds what is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Pixels = np.ndarray[Any, Any]

PADDING = 0.4
"""Margin of the padded view as a share of the longer side, both ends together."""
ZOOM = 0.6
"""Share of either side that a zoomed view shows, enlarged to the size of the picture."""
PLACES = ((0.5, 0.0), (0.5, 0.5))
"""Where zoomed views are cut, as shares of what is left over: above the middle, where heads are, and the middle."""
RESCUED_SCORE = 0.7
"""Confidence that a rescued face needs. Every view is one more chance to see a face where none is: at a detector's
usual 0.5 they found one in 15 of 1,400 empty places of the miniature, the surest at 0.67 (`tests/extractors`)."""
CLOSER = 2
"""How much the surroundings of a small face are enlarged."""
SURROUNDINGS = 1.0
"""Margin around a small face on every side, in sides of the face."""
SMALL = 0.3
"""Side of the face / shorter side of the picture below which the face is small in it; close-ups are twice as large."""
NATIVE_FACE = 112
"""Pixels a side that recognisers take in: a larger face loses nothing, however small it is in its picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """A view of a picture: `name` (`padded`, `zoomed`, `closer`), pixels, and where it lies in the picture."""

    name: str
    pixels: Pixels
    """(height, width, 3), as the picture."""
    left: float
    top: float
    scale: float = 1.0
    """Pixels of the view per pixel of the picture."""

    def back(self, x: float, y: float) -> tuple[float, float]:
        """A point of the view in pixels of the picture; a zoomed one may lie a fraction off."""
        return x / self.scale + self.left, y / self.scale + self.top


def rescue_views(pixels: Pixels) -> Iterator[View]:
    """The views in which a face is looked for that was not found at first sight, most promising first."""
    import numpy as np

    margin = round(PADDING * max(pixels.shape[:2]) / 2)
    padded = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    yield View(name="padded", pixels=padded, left=-margin, top=-margin)
    height, width = pixels.shape[:2]
    tall, wide = max(1, round(ZOOM * height)), max(1, round(ZOOM * width))
    for across, down in PLACES:
        left, top = round(across * (width - wide)), round(down * (height - tall))
        yield _enlarged("zoomed", pixels, (left, top, left + wide, top + tall), 1 / ZOOM)


def closer_view(pixels: Pixels, box: tuple[float, float, float, float]) -> View | None:
    """The surroundings of a small face (`box`: left, top, right, bottom), enlarged; None for one that is not small."""
    height, width = pixels.shape[:2]
    side = min(box[2] - box[0], box[3] - box[1])
    if side >= min(NATIVE_FACE, SMALL * min(height, width)) or side <= 0:
        return None
    margin = SURROUNDINGS * max(box[2] - box[0], box[3] - box[1])
    left, top = max(0, round(box[0] - margin)), max(0, round(box[1] - margin))
    right, bottom = min(width, round(box[2] + margin)), min(height, round(box[3] + margin))
    return _enlarged("closer", pixels, (left, top, right, bottom), CLOSER) if right > left and bottom > top else None


def _enlarged(name: str, pixels: Pixels, cut: tuple[int, int, int, int], scale: float) -> View:
    import numpy as np
    from PIL import Image

    left, top, right, bottom = cut
    size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    part = Image.fromarray(np.ascontiguousarray(pixels[top:bottom, left:right])).resize(size, Image.Resampling.BICUBIC)
    return View(name=name, pixels=np.asarray(part), left=left, top=top, scale=scale)
