"""Shares as an instrument reads them -> shares as they are, with intervals that carry the instrument's own uncertainty.

Rogan and Gladen, American Journal of Epidemiology 107 (1978): true = (read + specificity - 1) / (sensitivity +
specificity - 1). Both are known from the dataset's pictures only, of which there are few; a ratio's interval from those
of its parts is that of Donner and Zou, Statistical Methods in Medical Research 21 (2012). Pure mathematics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lora_doctor.metrics import intervals
from lora_doctor.metrics.estimates import Estimate
from lora_doctor.metrics.intervals import Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """How far off the sensitivity that something was divided by may be, as shares of it."""

    low: float = 1.0
    """The lower end of its interval over its estimate, 0 to 1; 1 = taken as known."""
    high: float = 1.0


def pooled(parts: Sequence[tuple[float, Calibration]]) -> Calibration:
    """Of a mean whose parts, with their weights, are calibrated each by itself, independently."""
    whole = sum(weight for weight, _ in parts) or 1.0
    below = math.hypot(*(weight / whole * (1 - one.low) for weight, one in parts))
    above = math.hypot(*(weight / whole * (one.high - 1) for weight, one in parts))
    return Calibration(low=max(1e-6, 1 - below), high=1 + above)


def carried(estimate: Estimate, calibration: Calibration, *, least: float = 0.0) -> Estimate:
    """The estimate, which was divided by a sensitivity, with the sensitivity's uncertainty in its interval.

    Clipped to `least` and 1: to 0 for a share, to -1 for a difference.
    """
    if estimate.value is None or estimate.interval is None:
        return estimate
    wide = ratio_interval(estimate.value, estimate.interval, (calibration.low, calibration.high))
    clipped = intervals.clip(wide, least, 1.0)
    return replace(estimate, interval=None if clipped is None else intervals.hold(estimate.value, clipped))


def ratio_interval(value: float, ends: Interval, divisor: Interval) -> Interval:
    """The interval of value / 1, where the 1 is an estimate itself, with its own interval `divisor` around 1.

    Donner and Zou's method of variance estimates recovery; `ends` hold `value`, which is not negative, and `divisor` is
    above 0. A divisor known exactly changes nothing. Negative values are mirrored.
    """
    if value < 0:
        low, high = ratio_interval(-value, (-ends[1], -ends[0]), divisor)
        return -high, -low
    (low, high), (least, most) = ends, divisor
    below = max(0.0, value**2 - low * most * (2 * value - low) * (2 - most))
    above = max(0.0, value**2 - high * least * (2 * value - high) * (2 - least))
    under = value + math.sqrt(below)  # not their difference over most * (2 - most), which is nothing at a `most` of 2
    least_of_all = low * (2 * value - low) / under if under else 0.0
    return least_of_all, (value + math.sqrt(above)) / (least * (2 - least))


def jeffreys(k: int, n: int) -> Interval:
    """Jeffreys' 90 % interval of the share `k` out of `n` > 0: near 0 and 1 less wide than Wilson's.

    Brown, Cai and DasGupta, Statistical Science 16 (2001); it reaches 0 where `k` is 0, and 1 where it is `n`.
    """
    from scipy.special import betaincinv

    tail = (1 - intervals.LEVEL) / 2
    low = 0.0 if k == 0 else float(betaincinv(k + 0.5, n - k + 0.5, tail))
    high = 1.0 if k == n else float(betaincinv(k + 0.5, n - k + 0.5, 1 - tail))
    return intervals.hold(k / n, (low, high))


def without_false(read: Estimate, false: float, ends: Interval) -> Estimate:
    """A share of alarms freed from false ones: (read - false) / (1 - false), not below 0.

    `false` is the share of pictures without anything to find that alarm all the same, below 1; `ends` its interval. The
    freed share taken from 1 is a ratio, (1 - read) / (1 - false), and its interval is a ratio's: the more is found, the
    less of it can be false.
    """
    if read.value is None:
        return read
    clean = 1 - false

    def freed(share: float) -> float:
        return max(0.0, (share - false) / clean)

    value, reach = freed(read.value), None if read.reach is None else (freed(read.reach[0]), freed(read.reach[1]))
    if read.interval is None:
        return replace(read, value=value, reach=reach)
    silent = (1 - read.interval[1]) / clean, (1 - read.interval[0]) / clean
    most, least = ratio_interval((1 - read.value) / clean, silent, ((1 - ends[1]) / clean, (1 - ends[0]) / clean))
    wide = intervals.clip((1 - least, 1 - most), 0.0, 1.0)
    return replace(read, value=value, interval=None if wide is None else intervals.hold(value, wide), reach=reach)
