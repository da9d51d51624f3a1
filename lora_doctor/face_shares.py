"""Shares and quantiles over the faces of a dataset, weighted by repeats, with what the face instrument may have
misread.

A dataset is a census: nothing is drawn from a larger one. What is uncertain is each reading, so the interval of a
share is that of a Poisson-binomial count (independent readings, each right with its own probability), by its normal
law.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from lora_doctor.types import Case, FaceReading

UNSURE = 0.75
"""A face whose detector score is below so much of the set's median one may be none: a pattern in the background."""
QUANTILE = 1.6448536269514722
"""Of the normal law, for 90 % between both ends."""


def sure_faces(case: Case) -> tuple[list[tuple[int, FaceReading]], int]:
    """Index and face of every picture that is shown and has one the detector is sure of, and how many are left out.

    The score is taken relative to the set's, since detectors differ in what they call sure.
    """
    found = [
        (index, reading.face)
        for index, (image, reading) in enumerate(zip(case.dataset.images, case.references, strict=True))
        if reading is not None and reading.face.box is not None and image.repeats > 0
    ]
    scores = sorted(face.score for _, face in found if face.score is not None)
    least = UNSURE * scores[len(scores) // 2] if scores else 0.0
    kept = [(index, face) for index, face in found if face.score is None or face.score >= least]
    return kept, len(found) - len(kept)


def left_out(count: int) -> str | None:
    """The caveat that so many faces are not counted; None where all are."""
    return f"without {count} that the detector is not sure are faces" if count else None


def share(
    weights: Sequence[float], held: Sequence[bool], chances: Sequence[float]
) -> tuple[float, tuple[float, float]]:
    """Weighted share for which it is held to be so, and its 90 % interval from the probability that each really is so.

    The interval always holds the share; it is as narrow as the share itself where every probability is 0 or 1. Raises
    ZeroDivisionError without weight.
    """
    total = sum(weights)
    value = min(1.0, sum(weight for weight, one in zip(weights, held, strict=True) if one) / total)
    mean = sum(weight * chance for weight, chance in zip(weights, chances, strict=True)) / total
    square = sum(weight**2 * chance * (1 - chance) for weight, chance in zip(weights, chances, strict=True))
    half = QUANTILE * math.sqrt(square) / total
    return value, (max(0.0, min(value, mean - half)), min(1.0, max(value, mean + half)))


def quantile(weights: Sequence[float], values: Sequence[float], at: float) -> float:
    """The smallest value that a share `at` of the weight does not exceed; `values` not empty."""
    ordered = sorted(zip(values, weights, strict=True))
    wanted, below = at * sum(weights) - 1e-9, 0.0
    for value, weight in ordered:
        below += weight
        if below >= wanted:
            return value
    return ordered[-1][0]


def normal_chance(distance: float, error: float) -> float:
    """Probability that a reading with this standard error is truly beyond a limit that it exceeds by `distance`."""
    return 0.5 * (1 + math.erf(distance / error / math.sqrt(2)))
