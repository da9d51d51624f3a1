"""A share of a dataset when a classifier says which picture counts: exact distribution, median and 90 % interval.

A dataset is a census, not a sample: were every picture known, its share would have no interval. What is uncertain is
the classifier. How many pictures count is Poisson-binomial, here weighted by how often the trainer shows each picture.
The errors of one dataset lean the same way, since it is one character in one style: all log-odds are shifted by one
unknown amount, and the distribution is the mean over it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

FINEST = 1 << 16
"""Steps at most between a share of 0 and 1: enough for every share of 60,000 pictures to be exact."""
SHIFTS = 15
"""Equally likely values that stand for the unknown shift."""
TAIL = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A weighted share with its uncertainty."""

    value: float
    """The median for the probabilities as they are, 0 to 1: a share the dataset can really have."""
    interval: tuple[float, float]
    """90 %, holds `value`."""


def likely_share(probabilities: Sequence[float], exposures: Sequence[float], *, error: float, lean: float) -> Share:
    """The share of the exposures that belongs to pictures that count; at least one exposure above 0 is needed.

    `probabilities`: of each picture, 0 to 1; 0 and 1 are certain, the others no surer than `error`. `lean`: standard
    deviation of the shift that all log-odds have in common, in nats.
    """
    import numpy as np

    units = whole_units(exposures)
    total = sum(units)
    floored = [p if p in (0.0, 1.0) else min(1 - error, max(error, p)) for p in probabilities]
    normal = NormalDist()
    shifts = [lean * normal.inv_cdf((k + 0.5) / SHIFTS) for k in range(SHIFTS)] if lean else [0.0]
    mixed = np.mean([distribution([_shifted(p, by) for p in floored], units) for by in shifts], axis=0)
    value = _quantile(distribution(probabilities, units), 0.5) / total
    low, high = _quantile(mixed, TAIL) / total, _quantile(mixed, 1 - TAIL) / total
    return Share(value=value, interval=(min(low, value), max(high, value)))


def whole_units(exposures: Sequence[float]) -> list[int]:
    """Whole numbers in the proportions of the exposures; rounded to `FINEST` steps where exact ones were too many."""
    if not all(math.isfinite(each) and each >= 0 for each in exposures) or not sum(exposures) > 0:
        raise ValueError("exposures are numbers from 0, and not all of them are 0")
    exact = [Fraction(each).limit_denominator(FINEST) for each in exposures]
    scale = math.lcm(*(each.denominator for each in exact))
    whole = [int(each * scale) for each in exact]
    common, lost = math.gcd(*whole), any(each and not unit for each, unit in zip(exposures, whole, strict=True))
    if common and not lost and sum(whole) // common <= FINEST:
        return [each // common for each in whole]
    # No picture is lost to rounding: the running sum is rounded, not its parts.
    total, edges, reached = sum(map(Fraction, exposures)), [0], Fraction(0)
    for each in exposures:
        reached += Fraction(each)
        edges.append(round(reached / total * FINEST))
    return [after - before for before, after in pairwise(edges)]


def distribution(probabilities: Sequence[float], units: Sequence[int]) -> Array:
    """(sum(units) + 1,) probability that the pictures that count have so many units together; by convolution."""
    import numpy as np

    groups: dict[int, list[float]] = {}
    for p, unit in zip(probabilities, units, strict=True):
        groups.setdefault(unit, []).append(p)
    found = np.ones(1)
    for unit, own in sorted(groups.items()):
        if unit:
            counts = _product([np.array([1 - p, p]) for p in own])
            spread = np.zeros(unit * len(own) + 1)
            spread[::unit] = counts
            found = _convolved(found, spread)
    total: Array = found / found.sum()
    return total


def _product(factors: list[Array]) -> Array:
    """All factors convolved, in pairs, so that both sides of every convolution are about as long."""
    while len(factors) > 1:
        pairs = zip(factors[::2], factors[1::2], strict=False)
        factors = [_convolved(a, b) for a, b in pairs] + factors[len(factors) // 2 * 2 :]
    return factors[0]


def _convolved(a: Array, b: Array) -> Array:
    import numpy as np

    if min(len(a), len(b)) <= 256:
        return np.convolve(a, b)
    size = len(a) + len(b) - 1
    product = np.fft.irfft(np.fft.rfft(a, size) * np.fft.rfft(b, size), size)
    return np.clip(product, 0.0, None)  # rounding leaves -1e-18 where nothing is


def _shifted(p: float, by: float) -> float:
    return p if p in (0.0, 1.0) else 1 / (1 + (1 - p) / p * math.exp(-by))


def _quantile(probabilities: Array, share: float) -> int:
    import numpy as np

    return int(np.searchsorted(np.cumsum(probabilities), share - 1e-12))
