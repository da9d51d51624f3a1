"""What the ruler's own error adds to an identity score: floor and ceiling are means of few pictures, too."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

from lora_doctor.metrics.estimates import Estimate
from lora_doctor.metrics.intervals import Interval
from lora_doctor.metrics.ruler import Mark, Ruler


def with_ruler_error(estimate: Estimate, mark: Mark, longer: float = 1.0) -> Estimate:
    """The score with the error of the marks it lies between added to its interval, `longer` times their 90 % ones.

    A score of S moves by S / gap for every unit that the ceiling lies higher, and by (1 - S) / gap for the floor. Marks
    without an interval add nothing: their own reason says why they have none.
    """
    gap, floor, ceiling = mark.gap.value, mark.floor, mark.ceiling
    if estimate.value is None or estimate.interval is None or not gap or gap <= 0:
        return estimate
    above, below = _apart(ceiling), _apart(floor)
    score, (low, high) = estimate.value, estimate.interval

    def more(end: int) -> float:
        return longer * math.hypot(score * above[end], (1 - score) * below[end]) / gap

    # The higher the marks lie, the lower the score.
    ends = score - math.hypot(score - low, more(1)), score + math.hypot(high - score, more(0))
    return replace(estimate, interval=ends)


def mark_of(ruler: Ruler) -> Mark:
    """Where 0 and 1 lie for a score over all framings that can be measured: the mean of their marks.

    Each framing's own error counts by itself, however few pictures it has; a mark that several take from all framings
    together (`ceiling.ceilings_of`, `floor.floors_of`) is one error for all of them.
    """
    used = [mark for mark in ruler.framings.values() if mark.problem is None]
    if not used:
        return ruler.whole
    floor = _mean_of([one.floor for one in used], ruler.whole.floor)
    ceiling = _mean_of([one.ceiling for one in used], ruler.whole.ceiling)
    gap = Estimate(value=(ceiling.value or 0.0) - (floor.value or 0.0))
    return replace(ruler.whole, floor=floor, ceiling=ceiling, gap=gap)


def _mean_of(marks: Sequence[Estimate], whole: Estimate) -> Estimate:
    """The mean of independent marks, but for those that are the whole's own."""
    value = statistics.fmean(one.value or 0.0 for one in marks)
    shared = sum((one.value, one.interval) == (whole.value, whole.interval) for one in marks)
    own = [_apart(one) for one in marks if (one.value, one.interval) != (whole.value, whole.interval)]
    below, above = (
        math.hypot(shared * _apart(whole)[end], *(apart[end] for apart in own)) / len(marks) for end in (0, 1)
    )
    return Estimate(value=value, interval=(value - below, value + above))


def _apart(mark: Estimate) -> Interval:
    """How far the ends of a mark's interval lie from it; 0 without an interval."""
    if mark.value is None or mark.interval is None:
        return 0.0, 0.0
    return mark.value - mark.interval[0], mark.interval[1] - mark.value
