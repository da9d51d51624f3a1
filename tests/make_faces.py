"""Face embeddings as margin-trained recognisers make them, with the person and the size of each face known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
DIMENSIONS = 256
LARGE, SMALL = 300.0, 26.0
HELD = 0.75
"""Cosine of a large face with its person's direction; two of them are then 0.56 alike."""


@dataclass(frozen=True)
class Crowd:
    """n faces."""

    rows: Array
    sides: list[float]
    yaws: list[float]


def directions(count: int, rng: np.random.Generator, alike: float = 0.0) -> Array:
    """(count, d) people; each but the first has the cosine `alike` with the first."""
    rows = rng.standard_normal((count, DIMENSIONS))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    others = rows[1:] - (rows[1:] @ rows[0])[:, None] * rows[0]
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    rows[1:] = alike * rows[0] + np.sqrt(1 - alike**2) * others
    return rows


def faces(people: Sequence[int], seed: int = 0, alike: float = 0.0, far: Sequence[bool] | None = None) -> Crowd:
    """One face of each of these people; every third is small, or those that are `far`.

    Small faces hold half of the person, and have something in common whoever they are.
    """
    rng = np.random.default_rng(seed)
    who = directions(max(people) + 1, rng, alike)
    blur = rng.standard_normal(DIMENSIONS)
    blur /= np.linalg.norm(blur)
    rows, sides = [], []
    for place, person in enumerate(people):
        small = place % 3 == 2 if far is None else far[place]
        held = HELD * (0.5 if small else 1.0) + rng.normal(0, 0.03)
        row = held * who[person] + (0.35 * blur if small else 0)
        rest = rng.standard_normal(DIMENSIONS)
        rest /= np.linalg.norm(rest)
        row = row + np.sqrt(1 - row @ row) * rest
        rows.append(row / np.linalg.norm(row))
        sides.append(SMALL if small else LARGE)
    return Crowd(rows=np.array(rows), sides=sides, yaws=[0.0] * len(people))
