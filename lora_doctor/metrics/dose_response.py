"""How identity grows with the weight: what is left at a low weight, the plateau, and where half of it is reached."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lora_doctor.metrics import intervals
from lora_doctor.metrics.estimates import Estimate, mean, paired_difference, ratio, told
from lora_doctor.metrics.ruler import Ruler, build_ruler, scores
from lora_doctor.metrics.units import Key, Sample, alike, pick
from lora_doctor.types import Measurement, Study

LOW, FULL = 0.4, 1.0
"""The weights that `dose.low_weight_ratio` compares. The nearest planned one stands in for the full one; for the low
one the next up to 0.5, at which there is more identity, else the two planned ones on either side."""
STRONG = "strong"
"""The arm that goes beyond the full weight."""
_BELOW = 0.5
"""The source article's "low weight (< 0.5)"."""


def measure(study: Study) -> list[Measurement]:
    """`dose.low_weight_ratio`, `dose.plateau`, `dose.half_effect_weight` and `dose.peak_loss`.

    `dose.peak_loss`: identity at the full weight minus identity at the first weight above it, same places and seeds.
    """
    ruler = build_ruler(study)
    weights = sorted({cell.weight for cell in study.cells})
    columns = {w: scores(study, ruler, pick(study, {"weight": f"{w:g}"})) for w in weights}
    full = _nearest(FULL, [w for w in weights if w > 0])
    low, high = _about_low(weights)
    top, caveat = (
        columns[full] if full is not None else (Sample(rate=False, absent="no weight above 0 was planned"), None)
    )
    none = Sample(rate=False, absent=f"no weight between 0 and {_BELOW:g} was planned")
    bottom = none if low is None or high is None else _between(columns[low][0], columns[high][0], _share(low, high))
    half = half_effect_weight({w: one for w, (one, _) in columns.items() if w <= (full or 0.0)})
    notes = caveat, _stands_in(full, FULL)
    return [
        told(ratio(bottom, top), "dose.low_weight_ratio", {}, "ratio", *notes, _low_stands_in(low, high)),
        told(mean(top), "dose.plateau", {}, "score", *notes),
        told(half, "dose.half_effect_weight", {}, "weight", *notes),
        told(_peak_loss(study, ruler, full), "dose.peak_loss", {}, "score", _stands_in(full, FULL)),
    ]


def _peak_loss(study: Study, ruler: Ruler | str, full: float | None) -> Estimate:
    above = [cell for cells in (study.cells, study.arms.get(STRONG, ())) for cell in cells if cell.weight > (full or 0)]
    if full is None or not above:
        above_what = "0" if full is None else f"{full:g}"
        return Estimate(reason=f"no weight above {above_what} was rendered")
    beyond = [cell for cell in above if cell.weight == min(one.weight for one in above)]
    at_full = alike(pick(study, {"weight": f"{full:g}"}), beyond)
    (before, _), (after, _) = scores(study, ruler, at_full), scores(study, ruler, beyond)
    return paired_difference(before.masked(after), after.masked(before))


def _nearest(wanted: float, weights: Sequence[float]) -> float | None:
    return min(weights, key=lambda weight: abs(weight - wanted), default=None)


def _about_low(weights: Sequence[float]) -> tuple[float | None, float | None]:
    """The planned weights that `LOW` is read from, the same twice where one will do; None where none below 0.5 is."""
    below, above = ([w for w in weights if 0 < w < LOW], [w for w in weights if w >= LOW])
    if above and above[0] < _BELOW:
        return above[0], above[0]
    return (below[-1], above[0]) if below and above else (None, None)


def _share(low: float, high: float) -> float:
    """How far `LOW` is on the way from one weight to the other."""
    return 0.0 if high == low else (LOW - low) / (high - low)


def _between(low: Sample, high: Sample, share: float) -> Sample:
    """Scores on the line between those at two weights, unit by unit: a lower weight alone would have too little."""
    if share == 0.0 or not low.planned or not high.planned:
        return low

    def of(environment: str, key: Key, one: float | None) -> float | None:
        other = high.units.get(environment, {}).get(key)
        return None if one is None or other is None else (1 - share) * one + share * other

    units = {e: {key: of(e, key, one) for key, one in table.items()} for e, table in low.units.items()}
    return replace(low, units=units)


def _low_stands_in(low: float | None, high: float | None) -> str | None:
    if low is None or high is None or low == high:
        return _stands_in(low, LOW)
    return f"between weight {low:g} and {high:g}, for {LOW:g} was not planned"


def _stands_in(weight: float | None, wanted: float) -> str | None:
    known = weight is None or weight == wanted
    return None if known else f"at weight {weight:g} instead of {wanted:g}, which was not planned"


def half_effect_weight(columns: Mapping[float, Sample]) -> Estimate:
    """The weight at which identity reaches half of what it is at the last weight of `columns` (weight -> scores).

    On the monotone curve through the weights' means (pool adjacent violators), linear in between. The interval is the
    jackknife's over environments, t with G - 1 degrees of freedom, within the planned weights. None when the end of the
    curve is not above zero.
    """
    weights = sorted(columns)
    tables = [columns[w].means() for w in weights]
    shared = [e for e in tables[-1] if all(e in table for table in tables)] if tables else []
    n = min((one.n for one in columns.values()), default=0)
    if not shared:
        absent = next((one.absent for one in columns.values() if one.absent), None)
        return Estimate(reason=absent or "no environment was read at every weight")

    def half(environments: Sequence[str]) -> float | None:
        return _crossing(weights, [statistics.fmean(table[e] for e in environments) for table in tables])

    value = half(shared)
    if value is None:
        return Estimate(n=n, reason="identity at the full weight is not above zero: there is no half of it")
    left_out = [half([e for e in shared if e != one]) for one in shared] if len(shared) > 1 else []
    known = [weight for weight in left_out if weight is not None]
    if len(known) < max(2, len(left_out)):
        return Estimate(value=value, n=n, reason="no interval: too few environments to tell")
    count = len(known)
    error = math.sqrt((count - 1) * statistics.pvariance(known))
    margin = intervals.t_quantile(count - 1) * error
    missing = sum(one.planned - one.n for one in columns.values())
    reason = f"{missing} units are missing over all weights: not rendered, or not readable" if missing else None
    return Estimate(
        value=value, n=n, reason=reason, interval=(max(weights[0], value - margin), min(weights[-1], value + margin))
    )


def _crossing(weights: Sequence[float], means: Sequence[float]) -> float | None:
    """Where the monotone curve through (weights, means) first reaches half of its last value; None if that is <= 0."""
    curve = monotone(means)
    target = curve[-1] / 2
    if target <= 0:
        return None
    at = next(i for i, y in enumerate(curve) if y >= target)
    if at == 0:
        return weights[0]
    below, above = curve[at - 1], curve[at]
    return weights[at - 1] + (weights[at] - weights[at - 1]) * (target - below) / (above - below)


def monotone(values: Sequence[float]) -> list[float]:
    """The never-falling sequence nearest to `values` in least squares (pool adjacent violators)."""
    pools: list[tuple[float, int]] = []
    for value in values:
        pools.append((value, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (low, m), (high, n) = pools.pop(), pools.pop()
            pools.append(((low * m + high * n) / (m + n), m + n))
    return [value for value, count in pools for _ in range(count)]
