"""How strongly two attributes go together over the pictures, and whether chance explains it. Pure.

Bias-corrected Cramer's V (Bergsma 2013, Journal of the Korean Statistical Society 42) with a permutation test on
chi-squared, and Holm's correction for looking at many pairs (Scandinavian Journal of Statistics 6, 1979).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

ROUNDS = (199, 9800)
"""Permutations of the first look, and those added where it left room for an association: 9999 in all."""
PROMISING = 0.1
"""p-value of the first look above which there is no second one."""
AT_ONCE = 4_000_000
"""Table cells and picture indexes that are held at once."""
SEED = 0


def chi_squared(first: Array, second: Array) -> float:
    """Pearson's statistic of two (n,) arrays of codes from 0."""
    import numpy as np

    shape = int(first.max()) + 1, int(second.max()) + 1
    return float(_statistics(first, second[None, :], shape, np.bincount(first), np.bincount(second))[0])


def corrected_v(first: Array, second: Array) -> float:
    """Bias-corrected Cramer's V of two (n,) arrays of codes, 0 (independent) to 1; 0 where one of them does not
    vary."""
    import numpy as np

    n, rows, columns = len(first), len(np.unique(first)), len(np.unique(second))
    if n < 2 or min(rows, columns) < 2:
        return 0.0
    phi = chi_squared(first, second) / n
    excess = max(0.0, phi - (rows - 1) * (columns - 1) / (n - 1))
    r = rows - (rows - 1) ** 2 / (n - 1)
    c = columns - (columns - 1) ** 2 / (n - 1)
    room = min(r, c) - 1
    return min(1.0, math.sqrt(excess / room)) if room > 0 else 0.0


def permutation_p(first: Array, second: Array) -> float:
    """p-value of independence: how often shuffled pictures go together as strongly; never 0, equal for equal input.

    Chance knows only how often each value is there: neither the pictures' order nor what values are called matters.
    """
    import numpy as np

    random, seen = np.random.default_rng(SEED), chi_squared(first, second)
    first, second = _margin_alone(first), _margin_alone(second)
    reached, tried = 0, 0
    for rounds in ROUNDS:
        reached += _reached(first, second, seen, rounds, random)
        tried += rounds
        if (1 + reached) / (1 + tried) > PROMISING:
            break
    return (1 + reached) / (1 + tried)


def holm(values: Sequence[float]) -> list[float]:
    """The p-values made larger, so that 5 % is the chance that any of them is below 0.05 by accident."""
    order, corrected, least = sorted(range(len(values)), key=lambda i: values[i]), [1.0] * len(values), 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, values[index] * (len(values) - rank)))
        corrected[index] = least
    return corrected


def _margin_alone(codes: Array) -> Array:
    """(n,) as many of each value, the most frequent first and called 0."""
    import numpy as np

    counts = np.sort(np.bincount(codes))[::-1]
    return np.repeat(np.arange(len(counts)), counts)


def _reached(first: Array, second: Array, seen: float, rounds: int, random: Any) -> int:
    """In how many of `rounds` shuffles chi-squared is `seen` or more."""
    import numpy as np

    shape = int(first.max()) + 1, int(second.max()) + 1
    sums = np.bincount(first), np.bincount(second)
    size = max(1, AT_ONCE // max(len(first), shape[0] * shape[1]))
    reached = 0
    for start in range(0, rounds, size):
        shuffled = random.permuted(np.tile(second, (min(size, rounds - start), 1)), axis=1)
        reached += int((_statistics(first, shuffled, shape, *sums) >= seen - 1e-9).sum())
    return reached


def _statistics(first: Array, many: Array, shape: tuple[int, int], rows: Array, columns: Array) -> Array:
    """(m,) chi-squared of `first` (n,) with each row of `many` (m, n); `rows` and `columns` are the margins."""
    import numpy as np

    cells = shape[0] * shape[1]
    codes = first * shape[1] + many + (np.arange(len(many)) * cells)[:, None]
    tables = np.bincount(codes.ravel(), minlength=len(many) * cells).reshape(len(many), *shape)
    expected = np.outer(rows, columns) / len(first)
    told = expected > 0
    found: Array = ((tables[:, told] - expected[told]) ** 2 / expected[told]).sum(axis=1)
    return found
