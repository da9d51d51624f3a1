"""Numbers per unit -> estimates with honest intervals, and their contrasts.

A missing unit is never dropped in silence: the value is that of the units there are, `n` counts them, the reason says
how many are missing, and the interval covers the missing ones being all at their worst or all at their best, so that
losing renders never makes a claim firmer.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from lora_doctor.exact_shares import exact
from lora_doctor.metrics import intervals
from lora_doctor.metrics.intervals import Interval
from lora_doctor.metrics.units import Key, Sample
from lora_doctor.types import Measurement, Where

UNBOUNDED = 1e6
"""What a ratio may be whose lower side may be nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A point, its interval, the numbers of units and environments behind them, and what there is to say about it."""

    value: float | None = None
    interval: Interval | None = None
    n: int = 0
    environments: int = 0
    reason: str | None = None
    reach: Interval | None = None
    """The least and the most the value may be, whatever the missing units are; None = none is missing, or not known."""


def told(
    estimate: Estimate,
    name: str,
    where: Where,
    unit: str,
    *caveats: str | None,
    reach: Interval | None = None,
    one_worse: float | None = None,
) -> Measurement:
    """The estimate under a name, with everything there is to say about it; where there is no value, only why not."""
    reason = join(estimate.reason, *(caveats if estimate.value is not None else ()))
    return Measurement(
        name=name, value=estimate.value, unit=unit, n=estimate.n, environments=estimate.environments,
        interval=estimate.interval, where=where, reason=reason, one_worse=one_worse,
        reach=(reach or estimate.reach) if estimate.value is not None else None,
    )  # fmt: skip


def reach_of_difference(first: Sample, second: Sample) -> Interval | None:
    """The least and the most that first minus second may be, whatever its missing units are; None where none is."""
    if first.n == first.planned and second.n == second.planned:
        return None
    ends = [paired_difference(first.filled(at), second.filled(1.0 - at)).value for at in (0.0, 1.0)]
    return None if ends[0] is None or ends[1] is None else (ends[0], ends[1])


def join(*notes: str | None) -> str | None:
    """The notes there are, each once; None without any."""
    return "; ".join(dict.fromkeys(note for note in notes if note)) or None


def moved(estimate: Estimate, value: float) -> Estimate:
    """The estimate at another value, with its own width: moving it is not allowed to look like knowledge."""
    shift = value - (estimate.value or 0.0)
    ends, reach = ((e[0] + shift, e[1] + shift) if e else None for e in (estimate.interval, estimate.reach))
    return replace(estimate, value=value, interval=ends, reach=reach)


def mean(*samples: Sample) -> Estimate:
    """The mean over environments of each environment's mean; with several samples, the mean of their means.

    Rates are clipped to 0 and 1, where a correction took them outside. Several samples look at the same renders, so `n`
    is that of the largest one.
    """

    def interval_of(case: Sequence[Sample]) -> Interval | None:
        return intervals.mean_interval(_environment_means(case), max(s.n for s in case), rate=case[0].rate)

    def value_of(case: Sequence[Sample]) -> float:
        values = [statistics.fmean(one.means().values()) for one in case if one.n]
        return statistics.fmean(min(1.0, max(0.0, v)) for v in values) if case[0].rate else statistics.fmean(values)

    if not any(one.n for one in samples):
        return Estimate(reason=_nothing(samples))
    ends = [s.filled(0.0) for s in samples], [s.filled(1.0) for s in samples]
    estimate = _estimate(value_of, max(s.n for s in samples), interval_of, (samples, *ends))
    return replace(estimate, interval=intervals.clip(estimate.interval, 0.0, 1.0)) if samples[0].rate else estimate


def declared_rate(one: Sample, tail: float) -> Estimate:
    """The mean over declared environments of their rates, with `tail` of error beyond either end of its interval.

    Exact (`exact_shares.exact`), with every environment's units counted as often as the fewest there are: whatever the
    rates of the environments are, as many pictures without a single loss are then no likelier than with one rate
    everywhere (the product of (1 - p) is largest where all p are equal).
    """

    def interval_of(case: Sequence[Sample]) -> Interval | None:
        counted = _counted(case[0], tail)
        return None if counted is None else counted[1]

    def value_of(case: Sequence[Sample]) -> float:
        return statistics.fmean(case[0].means().values())

    if not one.n:
        return Estimate(reason=_nothing([one]))
    return _estimate(value_of, one.n, interval_of, ([one], [one.filled(0.0)], [one.filled(1.0)]))


def _counted(one: Sample, tail: float) -> tuple[float, Interval] | None:
    """The mean over environments of their rates, and its exact interval; None where an environment has no unit."""
    means = one.means()
    units = len(means) * min(sum(v is not None for v in own.values()) for own in one.units.values())
    share = statistics.fmean(means.values()) if units else 0.0
    return (share, exact(share * units, units, tail)) if units else None


def declared_difference(first: Sample, second: Sample, tail: float) -> Estimate:
    """First minus second for rates of the same units of declared environments, `tail` of error beyond either end.

    What is lost (first above second) and what is gained are counted apart, each exactly as `declared_rate` does, and
    their intervals are put together by `intervals.square_and_add`: without any gain the upper end is the losses' own.
    """

    def interval_of(case: Sequence[Sample]) -> Interval | None:
        lost, gained = (_counted(a.beyond(b), tail) for a, b in (case, tuple(reversed(case))))
        if lost is None or gained is None:
            return None
        together = intervals.exclusive_correlation(lost[0], gained[0])
        return _bounded(intervals.square_and_add(*lost, *gained, together), rate=True)

    return _difference(first, second, interval_of)


def fixed(one: Sample, others: Sample, bound: float) -> Estimate:
    """The mean of one declared environment over its framings, with replicates as independent draws.

    `others` are all environments of the same slice: their variance within framings steadies this one's. `bound` is as
    in `intervals.stratified_interval`. Framings without a reading are left out of the value and said.
    """
    pooled = _pooled(others)

    def interval_of(case: Sequence[Sample]) -> Interval | None:
        return intervals.stratified_interval(_strata(case[0]), pooled, bound)

    def value_of(case: Sequence[Sample]) -> float:
        return statistics.fmean(map(statistics.fmean, _strata(case[0])))

    if not one.n:
        return Estimate(reason=_nothing([one]))
    estimate = _estimate(value_of, one.n, interval_of, ([one], [one.filled(0.0)], [one.filled(1.0)]))
    few = "no interval: one replicate shows no spread"
    return replace(estimate, reason=few) if estimate.interval is None else estimate


def end_with_one_worse(one: Sample, others: Sample, bound: float) -> float | None:
    """The lower end of `fixed`'s interval if one unit more came out as badly as the worst there is anywhere.

    How badly: its distance from the mean of its framing over all environments. None where there is no interval.
    """
    lost = others.n < others.planned or one.n < one.planned
    cases, pooled = ((one, others), *([(one.filled(0.0), others.filled(0.0))] if lost else [])), _pooled(others)
    known = [intervals.end_with_one_worse(_strata(own), pooled, bound, _worst(every)) for own, every in cases]
    ends = [end for end in known if end is not None]
    return min(ends) if len(ends) == len(cases) else None


def _pooled(others: Sample) -> float | None:
    """Their variance within framings, the largest it may be: a render that is lost elsewhere makes nothing firmer."""
    cases = (others, others.filled(0.0), others.filled(1.0)) if others.n < others.planned else (others,)
    return max((variance for case in cases if (variance := within_variance(case)) is not None), default=None)


def _worst(everywhere: Sample) -> float:
    """How far the worst unit of all environments lies below the mean of its framing; 0 at most."""
    table: dict[str, list[float]] = {}
    for units in everywhere.units.values():
        for framing, values in _framings(units).items():
            table.setdefault(framing, []).extend(values)
    return min((min(values) - statistics.fmean(values) for values in table.values() if values), default=0.0)


def within_variance(one: Sample) -> float | None:
    """The mean variance of replicates of one (environment, framing); None where none has two."""
    tables = (_framings(units) for units in one.units.values())
    known = [intervals.variance_of(values) for table in tables for values in table.values() if len(values) > 1]
    return statistics.fmean(known) if known else None


def _strata(one: Sample) -> list[list[float]]:
    """The numbers of each (environment, framing) that has any."""
    return [values for units in one.units.values() for values in _framings(units).values() if values]


def _framings(units: Mapping[Key, float | None]) -> dict[str, list[float]]:
    """Framing -> its numbers."""
    table: dict[str, list[float]] = {}
    for (framing, _), value in units.items():
        table.setdefault(framing, [])
        if value is not None:
            table[framing].append(value)
    return table


def paired_difference(first: Sample, second: Sample) -> Estimate:
    """First minus second, paired by environment; t with G - 1 degrees of freedom on the differences.

    Where t has nothing to go by (environments agree exactly) or rates come from fewer than three environments, the two
    sides' own intervals are combined, which ignores the pairing and is so the wider one.
    """

    def interval_of(case: Sequence[Sample]) -> Interval | None:
        values = [a - b for a, b in _pairs(*case)]
        few = first.rate and len(values) < 3
        interval = None if few else intervals.difference_interval(values)
        return _bounded(interval or _combined(*case), first.rate)

    return _difference(first, second, interval_of)


def welch_difference(first: Sample, second: Sample) -> Estimate:
    """First minus second for two different groups of environments; Welch's t on the environment means.

    A group of one environment has no spread among environments: it stands for itself, with the interval of its own
    replicates, and the other group needs two. Two such groups get an interval for rates, and none for scores.
    """

    def interval_of(case: Sequence[Sample]) -> Interval | None:
        a, b = (list(one.means().values()) for one in case)
        return _bounded(intervals.welch_interval(a, b) or _combined(*case) or _declared(*case), first.rate)

    def value_of(case: Sequence[Sample]) -> float:
        return statistics.fmean(case[0].means().values()) - statistics.fmean(case[1].means().values())

    if not first.n or not second.n:
        return Estimate(reason=_nothing([first, second]))
    return _estimate(value_of, min(first.n, second.n), interval_of, _opposite_ends(first, second))


def ratio(top: Sample, bottom: Sample) -> Estimate:
    """Mean of `top` over mean of `bottom`, paired by environment; Fieller's interval.

    None, with the reason, when the lower mean is not clearly above zero: its ratio could be anything.
    """

    def interval_of(case: Sequence[Sample]) -> Interval | None:
        pairs = _pairs(*case)
        interval = intervals.fieller_interval([a for a, _ in pairs], [b for _, b in pairs])
        return interval or _combined_ratio(*case)

    def value_of(case: Sequence[Sample]) -> float:
        above, below = (statistics.fmean(side) for side in zip(*_pairs(*case), strict=True))
        return above / below if below > 0 else UNBOUNDED

    n = min(top.n, bottom.n)
    if not _pairs(top, bottom):
        return Estimate(reason=_nothing([top, bottom]))
    below = mean(bottom)
    if below.value is None or below.value <= 0 or (below.interval and below.interval[0] <= 0):
        return Estimate(n=n, reason="the value it would be divided by is not clearly above zero")
    return _estimate(value_of, n, interval_of, _opposite_ends(top, bottom))


def spread(one: Sample) -> Estimate:
    """Largest minus smallest environment rate, with an interval that allows for picking the two extremes.

    From simultaneous Wilson intervals of all environments (Bonferroni): the range is at least the largest lower end
    minus the smallest upper end, and at most the largest upper end minus the smallest lower end.
    """
    means = one.means()
    if len(means) < 2:
        return Estimate(n=one.n, reason="a spread needs two environments" if means else _nothing([one]))
    level, ends = 1 - (1 - intervals.LEVEL) / len(one.units), []
    for units in one.units.values():
        worst, best = (sum(fill if v is None else v for v in units.values()) for fill in (0.0, 1.0))
        ends.append((intervals.wilson(worst, len(units), level)[0], intervals.wilson(best, len(units), level)[1]))
    apart = max(low for low, _ in ends) - min(high for _, high in ends)
    widest = max(high for _, high in ends) - min(low for low, _ in ends)
    value = max(means.values()) - min(means.values())
    lost = one.n < one.planned
    reach = (0.0, max(one.filled(1.0).means().values()) - min(one.filled(0.0).means().values())) if lost else None
    return Estimate(
        value=value, interval=(max(0.0, apart), widest), n=one.n, environments=len(means), reason=_missing([one]),
        reach=reach,
    )  # fmt: skip


def _environment_means(samples: Sequence[Sample]) -> list[float]:
    tables = [one.means() for one in samples]
    environments = dict.fromkeys(e for table in tables for e in table)
    return [statistics.fmean(table[e] for table in tables if e in table) for e in environments]


def _pairs(first: Sample, second: Sample) -> list[tuple[float, float]]:
    one, two = first.means(), second.means()
    return [(one[environment], two[environment]) for environment in one if environment in two]


def _sides(first: Sample, second: Sample) -> list[tuple[float, Interval]] | None:
    """Value and interval of each side of a contrast, or None when one has no interval."""
    sides = []
    for one in (first, second):
        means = list(one.means().values())
        interval = intervals.mean_interval(means, one.n, rate=one.rate)
        if interval is None:
            return None
        sides.append((statistics.fmean(means), interval))
    return sides


def _combined(first: Sample, second: Sample) -> Interval | None:
    sides = _sides(first, second)
    return intervals.square_and_add(*sides[0], *sides[1]) if sides else None


def _declared(first: Sample, second: Sample) -> Interval | None:
    """The interval of a contrast of which one side is a single environment, as `fixed` tells it."""
    bound = intervals.BOUND
    sides: list[tuple[float, Interval]] = []
    for one in (first, second):
        means = list(one.means().values())
        alone = len(one.units) == 1
        ends = fixed(one, one, bound).interval if alone else intervals.mean_interval(means, one.n, rate=one.rate)
        if ends is None:
            return None
        sides.append((statistics.fmean(means), ends))
    several = max(len(one.units) for one in (first, second)) > 1
    return intervals.square_and_add(*sides[0], *sides[1]) if several else None


def _combined_ratio(top: Sample, bottom: Sample) -> Interval | None:
    """The widest ratio of the two sides' ends; only where the environments agree exactly and Fieller has no spread."""
    sides = _sides(top, bottom)
    exact = all(intervals.agree(side) for side in zip(*_pairs(top, bottom), strict=True))
    if sides is None or sides[1][1][0] <= 0 or not exact:
        return None
    ends = [x / y for x in sides[0][1] for y in sides[1][1]]
    return min(ends), max(ends)


def _difference(first: Sample, second: Sample, interval_of: Callable[[Sequence[Sample]], Interval | None]) -> Estimate:
    """First minus second, paired by environment."""

    def value_of(case: Sequence[Sample]) -> float:
        return statistics.fmean(a - b for a, b in _pairs(*case))

    if not _pairs(first, second):
        return Estimate(reason=_nothing([first, second]))
    return _estimate(value_of, min(first.n, second.n), interval_of, _opposite_ends(first, second))


def _bounded(interval: Interval | None, rate: bool) -> Interval | None:
    return intervals.clip(interval, -1.0, 1.0) if rate else interval


def _opposite_ends(first: Sample, second: Sample) -> tuple[Sequence[Sample], ...]:
    """A contrast is smallest with the missing of one side at 0 and of the other at 1, and largest the other way."""
    return [first, second], [first.filled(0.0), second.filled(1.0)], [first.filled(1.0), second.filled(0.0)]


def _estimate(
    value_of: Callable[[Sequence[Sample]], float],
    n: int,
    interval_of: Callable[[Sequence[Sample]], Interval | None],
    cases: Sequence[Sequence[Sample]],
) -> Estimate:
    """The value as measured (the first case), with what it may be with the missing units at either end, and with the
    hull of all their intervals."""
    missing, environments = _missing(cases[0]), len({name for one in cases[0] for name in one.present()})
    value = value_of(cases[0])
    ends = [value_of(case) for case in cases] if missing else []
    reach = (min(ends), max(ends)) if ends else None
    found = [interval_of(case) for case in (cases if missing else cases[:1])]
    known = [interval for interval in found if interval is not None]
    if len(known) < len(found):
        reason = "; ".join(text for text in (missing, "no interval: too few environments to tell") if text)
        return Estimate(value=value, n=n, environments=environments, reason=reason, reach=reach)
    hull = min(low for low, _ in known), max(high for _, high in known)
    interval = intervals.hold(value, hull)
    return Estimate(value=value, interval=interval, n=n, environments=environments, reason=missing, reach=reach)


def _missing(samples: Sequence[Sample]) -> str | None:
    worst = max(samples, key=lambda one: one.planned - one.n)
    missing = worst.planned - worst.n
    return f"{missing} of {worst.planned} units are missing: not rendered, or not readable" if missing else None


def _nothing(samples: Sequence[Sample]) -> str:
    empty = [one for one in samples if not one.planned]
    known = next((one.absent for one in empty if one.absent), "no such cell was planned")
    return known if empty else "no render can be read"
