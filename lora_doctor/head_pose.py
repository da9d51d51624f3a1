"""How far a head is turned, from the five points that face detectors give: eyes, nose, corners of the mouth.

Turned by an angle, the tip of the nose, which lies before the plane of the eyes, moves along the line between them by
its depth times the sine, while that line shrinks by the cosine. So shift / distance of the eyes = depth / distance x
tangent. The line between the eyes itself is the horizontal, so a tilted picture or head changes nothing; a nod moves
the nose along the other axis. The camera is taken to be far away. One depth serves all: for a nose a fifth longer or
shorter than the average an angle of 30 degrees reads 25 or 35, and a nod of 20 degrees makes it 6 wrong at most.
Beyond about 60 degrees detectors no longer place the far eye, and angles read too small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Points = Sequence[tuple[float, float]]
"""Eyes, nose, corners of the mouth, image left before image right, in pixels."""
NOSE_DEPTH = 0.6
"""Tip of the nose before the plane of the eyes / distance of the eyes: of MediaPipe's canonical face model."""
HUMAN_EYES = 1.3
"""Distance of the eyes / distance of the eyes from the mouth: 0.87 in insightface's template of a frontal face; drawn
faces with eyes wide apart and a mouth close below reach 2. What a nose is there, no head model says."""


def nose_shift(points: Points) -> float | None:
    """How far the nose lies beside the middle of the eyes, along their line, in eye distances; positive = to image
    right.

    The same after any turn, shift or scaling of the picture; mirrored pictures change its sign. None where the eyes
    coincide.
    """
    (ax, ay), (bx, by), (nx, ny) = points[0], points[1], points[2]
    ex, ey = bx - ax, by - ay
    square = ex * ex + ey * ey
    if not square > 0:
        return None
    return ((nx - (ax + bx) / 2) * ex + (ny - (ay + by) / 2) * ey) / square


def yaw(points: Points) -> float | None:
    """The turn of the head in degrees, -90 to 90; positive = the nose points to image right. None without eyes."""
    shift = nose_shift(points)
    return None if shift is None else math.degrees(math.atan(shift / NOSE_DEPTH))


def eyes_apart(points: Points) -> float | None:
    """Distance of the eyes / distance of their middle from that of the mouth; None where eyes and mouth coincide.

    0.87 for a face seen from the front, less for a turned and more for a nodding one.
    """
    (ax, ay), (bx, by), _, (cx, cy), (dx, dy) = points
    long = math.hypot((cx + dx - ax - bx) / 2, (cy + dy - ay - by) / 2)
    return math.hypot(bx - ax, by - ay) / long if long > 0 else None


def drawn_proportions(apart: Sequence[float]) -> bool:
    """Whether the faces (their `eyes_apart`) are not proportioned as people are, so that angles cannot be told."""
    ordered = sorted(apart)
    return bool(ordered) and ordered[len(ordered) // 2] > HUMAN_EYES
