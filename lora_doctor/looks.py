"""How firm a claim must be when it is looked at after every round of pictures: Pocock's bound, and what it is split by.

Whoever looks eight times and stops at the first good moment is wrong more often than the interval of one look says.
One larger bound, the same at every look, brings the error of all looks together back to what was promised. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import NormalDist

from lora_doctor.exact_shares import COUNTED, EACH_LOOK, closer
from lora_doctor.types import Measurement

ALPHA = 0.05
"""Chance, one-sided and over all looks together, of calling true what is not: that of one end of a 90 % interval."""
ONE_END = 1.6448536
"""Standard errors from the middle to one end of a 90 % interval, on the normal scale."""
FIRMEST = 6.0
"""The bound where no error is left to spend: one in a billion, which no draw resolves."""
EARLY = 3.0
"""Standard errors by which a finding must be clear to end the rendering before the last round; after that it takes what
its interval says. All looks together err with 0.052 then, where the last alone errs with 0.05, and seven at its own
bound with 0.136. Source: Haybittle, British Journal of Radiology 44 (1971); Peto and others, British Journal of Cancer
34 (1976)."""
SAVED = 0.2
"""Of the error that is left, the share that a plan of several looks does not spend, so that a run which ends open can
go on: four rounds after eight take a bound 3 % larger, and have half as many pictures more. A plan that spends it all
leaves nothing that further pictures could prove."""
LUCK = 1.0
"""Standard errors by which the pictures to come may move an estimate, where it matters much what they would say: one in
six moves so far in a given direction. It is predictive power of 16 % instead of 50 %. Source: Spiegelhalter, Freedman
and Blackburn, Controlled Clinical Trials 7 (1986)."""
FAINT = 1.2815516
"""The same, where all that the pictures to come could do is end in a verdict: below one in ten they are not made.
Source: stochastic curtailment, Lan, Simon and Halperin, Sequential Analysis 1 (1982)."""
AGAIN = (ONE_END, 2.33, 2.58)
"""Standard errors by which a claim about the whole matrix must be clear where rendering ends: for the first time, and
after it was gone on with once and twice; after that `EARLY`. Three times gone on with, LoRAs right at the limit ship in
2 to 4 % of simulated check-ups, and in 6 to 7 % with the first one's at each (`benchmarks.weight_limit --again 3`)."""
OPEN_ENDS = ("budget", "all rounds", "out of reach")
"""Why rendering ended (`sequence.Stop`) where more rounds or a larger budget go on with a verdict that is open."""
DRAWS = 400_000
"""Of the Monte-Carlo computation: the bound is right to a hundredth."""
_SEED = 20_260


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the numbers."""

    rounds: int
    """How many rounds of pictures there were."""
    bound: float
    """How many standard errors, on the normal scale, a claim had to be clear by."""


def partial_conjunction_alpha(alpha: float, of: int, wanted: int) -> float:
    """The error each of `of` claims may have so that `wanted` true ones are found wrongly with `alpha` at most.

    "Fewer than `wanted` of `of` hold" is rejected when (of - wanted + 1) times the `wanted`-th smallest p value is
    below `alpha`. Source: Benjamini and Heller, Biometrics 64 (2008), the form after Bonferroni.
    """
    return alpha / max(1, of - wanted + 1)


def next_bound(alpha: float, taken: Sequence[Look], ahead: Sequence[int]) -> float:
    """The bound of every look `ahead` (rounds so far at each, ascending), given the looks that were `taken`.

    With none taken, Pocock's. All looks together, past ones at the bounds they had, err with `alpha`; `FIRMEST` when
    the past ones have used that up. Rounds are equally informative. Source: Pocock, Biometrika 64 (1977); Monte Carlo.
    """
    return _bound(alpha, tuple(taken), tuple(ahead))


def planned_bound(alpha: float, taken: Sequence[Look], ahead: Sequence[int]) -> float:
    """As `next_bound`, with `SAVED` of the error that is left kept for going on later; one look alone keeps none."""
    return _bound(alpha, tuple(taken), tuple(ahead), SAVED if len(ahead) > 1 else 0.0)


def bound_of_end(before: int) -> float:
    """Standard errors that claims about the whole matrix take where rendering ends, having ended so often before."""
    return AGAIN[before] if before < len(AGAIN) else EARLY


def tail_of_end(before: int) -> float:
    """Error beyond the upper end of what is counted exactly, at each look, where rendering ended so often before.

    As much smaller than `EACH_LOOK` as the error of an end's standard errors is than that of the first one's. Looks
    after every round to the 8th, 16th, 24th and 40th err together with 0.05, 0.06, 0.06 and 0.06 at a limit of 0.15,
    where they err with 0.05, 0.10, 0.12 and 0.15 if each end takes what the first one does
    (`tests/test_looks.py`).
    """
    normal = NormalDist()
    return EACH_LOOK * normal.cdf(-bound_of_end(before)) / normal.cdf(-ONE_END)


def early(measurement: Measurement) -> Measurement:
    """The measurement as it counts before the last look: its 90 % interval stretched to `EARLY` standard errors."""
    return stretched(measurement, EARLY / ONE_END)


def stretched(measurement: Measurement, longer: float) -> Measurement:
    """The measurement with its interval so many times as long to either side; 1 = as it is."""
    if measurement.value is None or measurement.interval is None or longer == 1.0:
        return measurement
    value, (low, high) = measurement.value, measurement.interval
    return replace(measurement, interval=(value - (value - low) * longer, value + (high - value) * longer))


def foreseen(
    measurement: Measurement, rounds: int, of: int, luck: float = 0.0, bound: float = ONE_END, side: int = 0
) -> Measurement:
    """The measurement as the last of `of` rounds would leave it, if pictures went on as in the `rounds` so far.

    Its interval, of `bound` standard errors to either side, is as much shorter as that many pictures make it: by the
    root of their number, and of what is counted exactly (`exact_shares.COUNTED`) as a count's interval is. By `luck`
    standard errors the estimate may still move: to a `side` (1 = up, -1 = down) it is moved with its interval; without
    one it stays, and each end is where the kindest such move would leave it, never beyond the estimate. Where one side
    of the interval is longer, as of shares near 0, the move is by the longer one's. Measurements of files gain nothing
    from pictures and are treated like all others: what is foreseen is the most that can be hoped for.
    """
    if measurement.value is None or measurement.interval is None:
        return measurement
    value, (low, high), seen = measurement.value, measurement.interval, rounds / of
    shorter, moved = seen**0.5, luck / bound * (1.0 - seen) ** 0.5
    most, worse = max(value - low, high - value) * moved, measurement.one_worse
    then, kind, kind_worse = value + side * most, 0.0 if side else most, shorter if side else max(0.0, shorter - moved)
    below, above = (max(0.0, abs(end - value) - kind) for end in _ends_with(measurement, of / rounds))
    return replace(
        measurement, value=then, interval=(then - below, then + above),
        one_worse=None if worse is None else then - (value - worse) * kind_worse,
    )  # fmt: skip


def _ends_with(measurement: Measurement, times: float) -> tuple[float, float]:
    """The ends of the measurement's interval with `times` as many pictures, its value staying where it is."""
    assert measurement.value is not None and measurement.interval is not None
    value, ends = measurement.value, measurement.interval
    counted = [closer(value, end, times) if measurement.name in COUNTED else None for end in ends]
    low, high = (value + (end - value) / times**0.5 for end in ends)
    return low if counted[0] is None else counted[0], high if counted[1] is None else counted[1]


@lru_cache(maxsize=256)
def _bound(alpha: float, taken: tuple[Look, ...], ahead: tuple[int, ...], saved: float = 0.0) -> float:
    import numpy as np

    if not ahead:
        return FIRMEST
    last = max([*ahead, *(look.rounds for look in taken)])
    steps = np.random.default_rng(_SEED).standard_normal((DRAWS, last), dtype=np.float32)
    scores = steps.cumsum(axis=1) / np.sqrt(np.arange(1, last + 1, dtype=np.float32))
    crossed = np.zeros(DRAWS, bool)
    for look in taken:
        crossed |= scores[:, look.rounds - 1] > look.bound
    highest = scores[:, [rounds - 1 for rounds in ahead]].max(axis=1)
    left = (alpha - crossed.mean()) * (1.0 - saved)
    if left <= 0:
        return FIRMEST
    return float(np.quantile(np.where(crossed, -np.inf, highest), 1 - left))
