"""How many different things there really are: exp of the entropy of shares, so that rare ones count little. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

DRAWS = 200
"""Ways in which the instrument may have been mistaken that are tried for an interval."""
SEED = 0
MOST = 600
"""Pictures, evenly picked, whose likenesses are compared one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Number:
    """An effective number, 1 or more, with its 90 % interval."""

    value: float
    low: float
    high: float


def of_shares(weights: Sequence[float]) -> float:
    """Hill's number of order 1 (Ecology 54, 1973): exp of the entropy of the weights' shares; 1 for one, n for n
    equal."""
    total = sum(weights)
    shares = [weight / total for weight in weights if weight > 0]
    return math.exp(-sum(share * math.log(share) for share in shares))


def of_labels(told: Array, drawn: Array, repeats: Array) -> Number:
    """Of labels: `told` (n,) as they are likeliest, `drawn` (d, n) as they may be instead; integers from 0."""
    import numpy as np

    def effective(codes: Array) -> float:
        weights: list[float] = np.bincount(codes, weights=repeats).tolist()
        return of_shares(weights)

    value = effective(told)
    low, high = np.quantile([effective(row) for row in drawn], (0.05, 0.95)) if len(drawn) else (value, value)
    return Number(value=value, low=min(value, float(low)), high=max(value, float(high)))


def of_alike(likeness: Array, repeats: Array) -> float:
    """Vendi score (Friedman and Dieng 2023, TMLR): exp of the entropy of the eigenvalues of the (n, n) likeness matrix.

    `likeness` is positive semi-definite with ones on its diagonal; `repeats` (n,) weigh the pictures.
    """
    import numpy as np

    root = np.sqrt(repeats / repeats.sum())
    values = np.linalg.eigvalsh(likeness * root[:, None] * root)
    positive: list[float] = values[values > 1e-12].tolist()
    return of_shares(positive)


def evenly(count: int) -> list[int]:
    """At most `MOST` of `count` indexes, evenly spaced."""
    if count <= MOST:
        return list(range(count))
    return [index * count // MOST for index in range(MOST)]


def near(points: Array, reach: float) -> Array:
    """(n, n) likeness of (n, d) points: 1 where they are one, 0.61 at a distance of `reach`, 0.01 at three of them."""
    import numpy as np

    squares = (points**2).sum(axis=1)
    distances = np.maximum(0.0, squares[:, None] + squares - 2 * points @ points.T)
    alike: Array = np.exp(-distances / (2 * reach**2))
    return alike
