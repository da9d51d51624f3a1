"""Where the lines of a chart and their names lie, in SVG units. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeVar

Name = TypeVar("Name")


def scale(values: tuple[float, float], units: tuple[float, float]) -> Callable[[float], float]:
    """What turns a value into units: the first of `values` into the first of `units`, the last into the last.

    To a tenth. Where both values are one, it lies at the first.
    """
    (low, high), (start, end) = values, units
    return lambda value: round(start + (value - low) / ((high - low) or 1) * (end - start), 1)


def apart(heights: Mapping[Name, float], gap: float, top: float = -math.inf) -> dict[Name, float]:
    """Heights of names pushed down until no two are closer than `gap`, none above `top`; the topmost first."""
    placed: dict[Name, float] = {}
    free = top
    for name, height in sorted(heights.items(), key=lambda item: item[1]):
        placed[name] = max(height, free)
        free = placed[name] + gap
    return placed
