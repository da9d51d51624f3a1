"""Numbers -> 90 % intervals. Pure mathematics; what the numbers are about is decided in `units`.

A claim generalises over environments, so intervals come from the spread of the environment means, by Student's t
with G - 1 degrees of freedom; with 3 to 8 environments cluster bootstraps cover 61 to 82 % instead of 90 (Cameron,
Gelbach and Miller, REStat 90(3)). Rates take Wilson's form of it (Brown, Cai and DasGupta 2001), which neither leaves
0 to 1 nor shrinks to nothing when all environments agree.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

Interval = tuple[float, float]
LEVEL = 0.90
"""Two-sided confidence of every interval."""
BOUND = statistics.NormalDist().inv_cdf((1 + LEVEL) / 2)
"""The same in standard errors to either side, on the normal scale."""
INTRA_CLASS_CORRELATION = 0.3
"""Assumed correlation of units of one environment; used only where fewer than three environments cannot show it."""
NO_SPREAD = 1e-12
"""Differences below this are rounding."""


def t_quantile(df: float) -> float:
    """Upper quantile of Student's t for a two-sided interval of `LEVEL`; `df` > 0 may be fractional."""
    from scipy.special import stdtrit

    return float(stdtrit(df, (1 + LEVEL) / 2))


def wilson(k: float, n: float, level: float = LEVEL) -> Interval:
    """Wilson's score interval of the share `k` out of `n` > 0, within 0 and 1; `k` and `n` may be fractional."""
    from scipy.special import ndtri

    return _score_interval(k / n, n, float(ndtri((1 + level) / 2)))


def _score_interval(share: float, n: float, quantile: float) -> Interval:
    p, square = min(1.0, max(0.0, share)), quantile * quantile
    centre = (p + square / (2 * n)) / (1 + square / n)
    half = quantile * math.sqrt(p * (1 - p) / n + square / (4 * n * n)) / (1 + square / n)
    return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))


def clustered_wilson(rates: Sequence[float], n: int) -> Interval:
    """Wilson's interval of the mean of two or more environment rates with `n` units behind them.

    Student's t with G - 1 degrees of freedom takes the place of the normal quantile, and the units count for as many as
    the spread of the environments leaves them worth; where the environments agree exactly, for as many as they are. In
    the middle this is the t interval; near 0 and 1 it is lopsided, as it must be (Korn and Graubard 1998, Survey
    Methodology 24; Dean and Pagano 2015, Journal of Survey Statistics and Methodology 3).
    """
    p = min(1.0, max(0.0, statistics.fmean(rates)))
    between = variance_of(rates) / len(rates)
    inside = NO_SPREAD < p < 1 - NO_SPREAD and not agree(rates)
    return _score_interval(p, p * (1 - p) / between if inside else n, t_quantile(len(rates) - 1))


def t_interval(values: Sequence[float]) -> Interval | None:
    """Student's t interval of the mean of independent `values`; None for fewer than two."""
    if len(values) < 2:
        return None
    centre = statistics.fmean(values)
    half = t_quantile(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return centre - half, centre + half


def mean_interval(means: Sequence[float], n: int, *, rate: bool) -> Interval | None:
    """The interval of the mean of environment means with `n` units behind them; None for a score from one environment.

    Scores: t with G - 1 degrees of freedom. Rates: `clustered_wilson`, and with fewer than three environments Wilson's
    with the design effect 1 + (m - 1) rho for m units an environment. Scores of environments that agree exactly are
    treated as rates: t would claim certainty.
    """
    value = statistics.fmean(means)
    if rate and len(means) < 3:
        effective = n / (1 + (n / len(means) - 1) * INTRA_CLASS_CORRELATION)
        return hold(value, wilson(value * effective, effective))
    if len(means) < 2:
        return None
    return hold(value, clustered_wilson(means, n)) if rate or agree(means) else t_interval(means)


def stratified_interval(strata: Sequence[Sequence[float]], pooled: float | None, bound: float) -> Interval | None:
    """The interval of the mean over fixed strata of each stratum's mean; None where no stratum has two values.

    The values of a stratum are independent draws. Their variance is the mean of the strata's own, half-way drawn toward
    `pooled`, that of other strata like these: few draws tell it badly. `bound`: how many standard errors, on the normal
    scale, lie between the mean and either end; Student's t stands in for the normal, its degrees of freedom doubled for
    what the pooled variance adds. Values without any spread get Wilson's interval: t would claim certainty.
    """
    from scipy.special import ndtr, stdtrit

    if (within := _within(strata, pooled)) is None:
        return None
    variance, df = within
    value = statistics.fmean(statistics.fmean(values) for values in strata)
    if variance < NO_SPREAD**2:
        return hold(value, _score_interval(value, sum(map(len, strata)), bound))
    error = math.sqrt(variance * sum(1 / len(values) for values in strata)) / len(strata)
    half = float(stdtrit(df, ndtr(bound))) * error
    return value - half, value + half


def variance_of(values: Sequence[float]) -> float:
    """The sample variance of two or more numbers, in two passes.

    `statistics.variance` gives the same to the last digits; it computes with fractions, thirty times slower, and a
    check-up asks for it thousands of times.
    """
    mean = statistics.fmean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _within(strata: Sequence[Sequence[float]], pooled: float | None) -> tuple[float, int] | None:
    """The variance within strata, half-way drawn toward `pooled`, and its degrees of freedom; None without any."""
    own = [variance_of(values) for values in strata if len(values) > 1]
    if not own:
        return None
    df = sum(len(values) - 1 for values in strata)
    return (statistics.fmean(own), df) if pooled is None else ((statistics.fmean(own) + pooled) / 2, 2 * df)


def end_with_one_worse(
    strata: Sequence[Sequence[float]], pooled: float | None, bound: float, worse: float
) -> float | None:
    """The lower end of `stratified_interval` if one value more lay `worse` (at most 0) from the mean.

    Student's t takes the values it has seen for all there are: where one seed in six gives a stranger, six or twelve
    values often show none, no spread either, and the interval claims too much. A value from outside, the worst of other
    strata like these, stands for what has not been seen yet: it moves the mean, and adds to the variance. Where no
    stratum is bad anywhere it costs little. How often a claim errs with it and without: `benchmarks.sequential_design`.
    None where no stratum has two values.
    """
    from scipy.special import ndtr, stdtrit

    if (within := _within(strata, pooled)) is None:
        return None
    variance, df = within
    more = sum(map(len, strata)) + 1
    mean = statistics.fmean(statistics.fmean(values) for values in strata) + worse / more
    return mean - float(stdtrit(df, ndtr(bound))) * math.sqrt((variance + worse * worse / more) / more)


def difference_interval(differences: Sequence[float]) -> Interval | None:
    """The interval of a mean of paired differences; None where t has nothing to go by."""
    return None if len(differences) < 2 or agree(differences) else t_interval(differences)


def square_and_add(
    first: float, first_ends: Interval, second: float, second_ends: Interval, correlation: float = 0.0
) -> Interval:
    """The interval of first minus second from their own intervals, and how their estimates move together (-1 to 1).

    Source: Newcombe 1998, method 10; a correlation as in his intervals of paired shares (Statistics in Medicine 17).
    """

    def apart(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one * one + other * other - 2 * correlation * one * other))

    low = apart(first - first_ends[0], second_ends[1] - second)
    high = apart(first_ends[1] - first, second - second_ends[0])
    return first - second - low, first - second + high


def exclusive_correlation(first: float, second: float) -> float:
    """How the shares of two things that exclude each other move together: of several draws from one urn, -1 to 0."""
    others = (1 - first) * (1 - second)
    return -1.0 if others <= 0 else max(-1.0, -math.sqrt(first * second / others))


def welch_interval(first: Sequence[float], second: Sequence[float]) -> Interval | None:
    """Welch's interval of the difference of two means; None for fewer than two values a side or no spread at all."""
    if min(len(first), len(second)) < 2:
        return None
    va, vb = variance_of(first) / len(first), variance_of(second) / len(second)
    if va + vb < NO_SPREAD**2:
        return None
    df = (va + vb) ** 2 / (va**2 / (len(first) - 1) + vb**2 / (len(second) - 1))
    centre, half = statistics.fmean(first) - statistics.fmean(second), t_quantile(df) * math.sqrt(va + vb)
    return centre - half, centre + half


def fieller_interval(top: Sequence[float], bottom: Sequence[float]) -> Interval | None:
    """Fieller's interval of mean(top) / mean(bottom) for paired values, G - 1 degrees of freedom.

    None for fewer than two pairs, for no spread at all, and where the interval is unbounded because the lower mean is
    not clearly above zero. Source: Fieller, Journal of the Royal Statistical Society B 16 (1954).
    """
    count = len(top)
    if count < 2:
        return None
    x, y = statistics.fmean(top), statistics.fmean(bottom)
    vx, vy = variance_of(top) / count, variance_of(bottom) / count
    vxy = statistics.covariance(top, bottom) / count
    t = t_quantile(count - 1)
    if y <= 0 or t * t * vy >= y * y or vx + vy < NO_SPREAD**2:
        return None
    g, r = t * t * vy / (y * y), x / y
    slope = vxy / vy if vy > 0 else 0.0
    inside = vx - 2 * r * vxy + r * r * vy - g * (vx - vxy * slope)
    half = t / y * math.sqrt(max(0.0, inside))
    return (r - g * slope - half) / (1 - g), (r - g * slope + half) / (1 - g)


def agree(values: Sequence[float]) -> bool:
    """Whether the values are equal but for rounding."""
    return max(values) - min(values) < NO_SPREAD


def hold(value: float, interval: Interval) -> Interval:
    """`interval` stretched to hold `value`."""
    return min(value, interval[0]), max(value, interval[1])


def clip(interval: Interval | None, low: float, high: float) -> Interval | None:
    """`interval` cut to what is possible."""
    return None if interval is None else (max(low, interval[0]), min(high, interval[1]))
