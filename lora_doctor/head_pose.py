"""How far a head is turned, from the five points that face detectors give: eyes, nose, corners of the mouth.

Eyes and mouth span a plane, and the tip of the nose lies before it. Seen from afar, a head that is turned by an angle
has the nose shifted beside the middle of that plane, along the line of the eyes, by its depth times the sine, while
the distance of the eyes shrinks by the cosine: shift / distance = depth / true distance x tangent. Measured along the
lines of the face itself (from eye to eye, from the eyes to the mouth), a tilted head or picture changes nothing, and
a nod next to nothing.

One depth serves all: for a nose a fifth shorter or longer than the average, 30 degrees read 25 or 35. A camera that
is near adds some. Beyond about 60 degrees detectors no longer place the far eye, and angles read too small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Points = Sequence[tuple[float, float]]
"""Eyes, nose, corners of the mouth, image left before image right, in pixels."""
NOSE_DEPTH = 0.55
"""Tip of the nose before the plane of eyes and mouth / distance of the eyes; about that of MediaPipe's face model."""
HUMAN_EYES = 1.3
"""Distance of the eyes / distance of the eyes from the mouth: 0.87 in insightface's template of a frontal face; drawn
faces have eyes wider apart and the mouth closer below (1.7 in the miniature), and no head model fits their noses."""


def nose_shift(points: Points) -> float | None:
    """How far the nose lies beside the line from between the eyes to the mouth, in eye distances; positive = right.

    The same after any shift, turn or stretching of the picture; mirrored pictures change its sign. None where eyes and
    mouth lie on one line.
    """
    (ax, ay), (bx, by), (nx, ny), (cx, cy), (dx, dy) = points
    ex, ey = bx - ax, by - ay
    nx, ny = nx - (ax + bx) / 2, ny - (ay + by) / 2
    mx, my = (cx + dx - ax - bx) / 2, (cy + dy - ay - by) / 2
    area = ex * my - ey * mx
    return (nx * my - ny * mx) / area if area > 0 else None


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
