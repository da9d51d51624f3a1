"""Whether a picture shows a second person, told from the boxes of the faces found in it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""
SECOND_FACE = 0.75
"""Height of the second largest face / height of the largest, from which it is another subject: it stands beside the
first. Smaller ones are passers-by, or hands and shoes that a detector takes for faces."""
SAME_FACE = 0.5
"""Share of the smaller of two boxes inside the other from which they are one face found twice."""


def second_size(boxes: Sequence[Box]) -> float:
    """Height of the second face / height of the first, 0 where there is none but the first found twice; at most 1."""
    if len(boxes) < 2 or not _height(boxes[0]) > 0:
        return 0.0
    others = [_height(box) for box in boxes[1:] if _overlap(boxes[0], box) < SAME_FACE]
    return min(1.0, max(others, default=0.0) / _height(boxes[0]))


def short_side(box: Box) -> float:
    """The shorter side, in pixels."""
    return min(box[2] - box[0], _height(box))


def _height(box: Box) -> float:
    return box[3] - box[1]


def _overlap(one: Box, other: Box) -> float:
    """Share of the smaller box that lies inside the other."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    tall = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, wide) * max(0.0, tall)
    least = min((one[2] - one[0]) * _height(one), (other[2] - other[0]) * _height(other))
    return shared / least if least > 0 else 1.0
