"""Writing in the pictures: speech bubbles, signatures, logos, and watermarks, which stand at one place in many of them.

Shares are weighted by repeats. The instrument misreads: of pictures with writing it misses some, and sometimes it reads
what is none. Each share has an interval from both; pictures too small to tell are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lora_doctor.types import Case, DatasetImage, Measurement

if TYPE_CHECKING:
    import numpy as np

Box = tuple[float, float, float, float]
"""Left, top, right, bottom as shares of the picture."""

SMALLEST = 128
"""Pixels of a picture's shorter side below which `PictureFacts.text` is always empty."""
FALSE_ALARM = 0.02
"""Share of pictures without writing in which some is seen, at the most: 3 of 440 of the miniature's pictures at 256 to
1024 pixels, none of 38 copies of 19 photographs; of textures foliage is the worst, 1 in 12."""
FOUND = 0.55
"""Share of pictures with writing in which it is seen, roughly at the least: of pale watermarks across a picture. Of
signatures two in three, of speech bubbles and repeated logos more than 0.9."""
CHANCE = 0.05
"""Of each end of the interval."""
GRID = 24
"""Cells a side that places are compared in: a watermark stays in its cells when pictures differ a little in shape."""
BORDER = 0.15
"""Of the height, above and below: where signatures and captions of stills stand."""


def audit(case: Case) -> list[Measurement]:
    """`pictures.text_share`, `.same_place_text_share`; of the pictures with writing `.text_at_one_place_share` and
    `.text_at_border_share`."""
    images = case.dataset.images
    readable = [i for i, image in enumerate(images) if image.facts and min(image.width, image.height) >= SMALLEST]
    total = _weight(images, readable)
    if not total:
        return [Measurement(name=name, value=None, unit="share", reason=_why(images)) for name in _NAMES]
    written = {i: facts.text for i in readable if (facts := images[i].facts) is not None and facts.text}
    ordered = sorted(written, key=lambda i: (-len(written[i]), i))
    share = _weight(images, ordered) / total
    there = _at_one_place(images, written)
    place = _weight(images, there) / total
    count = len(readable)
    small = f"{len(images) - count} pictures are too small to tell" if count < len(images) else None
    return [
        Measurement(name=_NAMES[0], value=share, unit="share", n=count, interval=_interval(share, count),
                    reason=small, pictures=tuple(ordered)),
        Measurement(name=_NAMES[1], value=place, unit="share", n=count, interval=_interval(place, count),
                    reason=small, pictures=tuple(there)),
        *_among_written(images, written, there),
    ]  # fmt: skip


_NAMES = (
    "pictures.text_share",
    "pictures.same_place_text_share",
    "pictures.text_at_one_place_share",
    "pictures.text_at_border_share",
)


def _among_written(
    images: Sequence[DatasetImage], written: Mapping[int, tuple[Box, ...]],
    there: Sequence[int],
) -> list[Measurement]:  # fmt: skip
    """Of the pictures with writing: with some at the commonest place; with none but near the upper or lower border."""
    total = _weight(images, written)
    if not total:
        return [Measurement(name=name, value=None, unit="share", reason="no writing was seen") for name in _NAMES[2:]]
    border = [i for i, boxes in written.items() if all(box[3] <= BORDER or box[1] >= 1 - BORDER for box in boxes)]
    return [
        Measurement(name=name, value=_weight(images, own) / total, unit="share", n=len(written), pictures=tuple(own))
        for name, own in zip(_NAMES[2:], (there, border), strict=True)
    ]


def _at_one_place(images: Sequence[DatasetImage], written: Mapping[int, tuple[Box, ...]]) -> list[int]:
    """The pictures with writing in the cell that most of them have some in; none where that is a single picture."""
    import numpy as np

    heat = np.zeros((GRID, GRID))
    cells = {i: _cells(boxes) for i, boxes in written.items()}
    for i, covered in cells.items():
        heat[covered] += images[i].repeats
    if not written:
        return []
    row, column = divmod(int(heat.argmax()), GRID)
    there = [i for i, covered in cells.items() if covered[row, column]]
    return there if len(there) > 1 else []


def _cells(boxes: Iterable[Box]) -> np.ndarray[Any, Any]:
    """(GRID, GRID) whether a cell is touched by one of the boxes."""
    import numpy as np

    found = np.zeros((GRID, GRID), bool)
    for left, top, right, bottom in boxes:
        rows = slice(int(top * GRID), max(int(top * GRID) + 1, round(bottom * GRID)))
        found[rows, int(left * GRID) : max(int(left * GRID) + 1, round(right * GRID))] = True
    return found


def _interval(seen: float, pictures: int) -> tuple[float, float]:
    """What share may have writing when it is seen in this one: less what may be false alarms, more what is missed."""
    expected = FALSE_ALARM * pictures
    false = (expected + 1.64 * math.sqrt(expected)) / pictures
    missed = math.log(CHANCE) / math.log(1.0 - FOUND) / pictures
    return max(0.0, seen - false), min(1.0, seen / FOUND + missed)


def _weight(images: Sequence[DatasetImage], indexes: Iterable[int]) -> float:
    return sum(images[i].repeats for i in indexes)


def _why(images: Sequence[DatasetImage]) -> str:
    if not images:
        return "the dataset is empty"
    if all(image.facts is None for image in images):
        return "the pictures were not searched for writing"
    return f"pictures under {SMALLEST} pixels are too small to tell writing"
