"""Shares that are counted exactly: their interval, and how it closes in as more is counted. Pure mathematics.

Near 0 and 1 such an interval closes in faster than with the root of what is counted: of nothing seen in twenty pictures
and in forty it ends at 0.14 and at 0.075, where the root would say 0.10.
"""

from __future__ import annotations

import math
from functools import lru_cache

EACH_LOOK = 0.045
"""Error beyond either end of the exact interval of a declared rate, at each look: all looks together err with 0.04 at a
limit of 0.15 and with 0.06 at one of 0.20 (`benchmarks.weight_limit --faceless 0.15`, `--reframed 0.20`)."""
COUNTED = ("identity.no_face", "framing.loss")
"""The measurements whose intervals are exact, with `EACH_LOOK` beyond each end."""
_HALVINGS = 60
_MOST = 1e9
"""Units beyond which none are looked for."""


def exact(k: float, n: float, tail: float) -> tuple[float, float]:
    """Clopper and Pearson's interval of the share `k` of `n` > 0, which may be fractional, with `tail` beyond each end.

    Source: Clopper and Pearson, Biometrika 26 (1934).
    """
    from scipy.special import betaincinv

    low = 0.0 if k <= 0 else float(betaincinv(k, n - k + 1, tail))
    return low, 1.0 if k >= n else float(betaincinv(k + 1, n - k, 1 - tail))


@lru_cache(maxsize=4096)
def units_behind(share: float, end: float, tail: float = EACH_LOOK) -> float | None:
    """How many units (a fraction of one is possible) an exact interval of `share` rests on that ends at `end`.

    `end` below the share is a lower end. None where no number of units gives such an interval: the share is not between
    0 and 1, the end is outside of that or at the share itself.
    """
    if not 0 <= share <= 1 or not 0 < end < 1 or end == share:
        return None
    side = 1 if end > share else 0
    few, many = 1e-6, _MOST
    for _ in range(_HALVINGS):
        middle = math.sqrt(few * many)
        farther = abs(exact(share * middle, middle, tail)[side] - share) > abs(end - share)
        few, many = (middle, many) if farther else (few, middle)
    return math.sqrt(few * many)


def closer(share: float, end: float, times: float, tail: float = EACH_LOOK) -> float | None:
    """Where an exact interval of `share` that ends at `end`, with `EACH_LOOK` beyond it, ends with `times` as many
    units and `tail` beyond it; None as `units_behind`."""
    units = units_behind(share, end)
    if units is None:
        return None
    return exact(share * units * times, units * times, tail)[int(end > share)]
