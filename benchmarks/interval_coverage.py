"""How often does each kind of interval hold the truth it was drawn around, where it claims nine times of ten?

    python -m benchmarks.interval_coverage [--trials 20000] [--only NAME ...]

One row per kind of interval and truth, with the sizes a check-up has: environments differ among themselves, and units
inside them too. Rates of few units cannot cover any level exactly (their values are few): several truths each, and
the range; and rows whose truth is drawn anew for every table, evenly, which is how often they hold it in the long run.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from lora_doctor.metrics import intervals
from lora_doctor.metrics.calibration import Calibration, carried, jeffreys, without_false
from lora_doctor.metrics.dose_response import half_effect_weight
from lora_doctor.metrics.estimates import (
    Estimate,
    declared_difference,
    declared_rate,
    mean,
    paired_difference,
    spread,
    welch_difference,
)
from lora_doctor.metrics.intervals import LEVEL, Interval
from lora_doctor.metrics.ruler import Mark
from lora_doctor.metrics.ruler_error import with_ruler_error
from lora_doctor.metrics.units import Sample

Draw = Callable[[random.Random], Interval | None]


@dataclass(frozen=True)
class Scenario:
    """One interval on one simulated table."""

    kind: str
    where: str
    truth: float
    draw: Draw


def coverage(scenario: Scenario, trials: int, seed: int = 7) -> float:
    """Share of trials, 0 to 1, in which the interval holds the truth; an interval that is none does not."""
    rng = random.Random(f"{seed}/{scenario.kind}/{scenario.where}")
    ends = (scenario.draw(rng) for _ in range(trials))
    return statistics.fmean(end is not None and end[0] <= scenario.truth <= end[1] for end in ends)


def scenarios() -> Iterator[Scenario]:
    """Every kind of interval with the sizes that check-ups have."""
    yield from _scores()
    yield from _rates()
    yield from _strata()
    yield from _differences()
    yield from _ratios()
    yield from _half_effects()
    yield from _calibrated()
    yield from _declared()
    yield from _spreads()
    yield from _on_a_ruler()


def _scores() -> Iterator[Scenario]:
    def draw(environments: int, floor: float) -> Draw:
        def table(rng: random.Random) -> Interval | None:
            means = [_mean(rng, rng.gauss(0.7, 0.10), 0.15, 6, floor) for _ in range(environments)]
            return intervals.mean_interval(means, 6 * environments, rate=False)

        return table

    for count in (3, 4, 5, 8):
        yield Scenario("mean of scores (t)", f"{count} environments", 0.7, draw(count, 0.0))
    faceless = 0.05
    yield Scenario("mean of scores (t)", "4 environments, 5 % without a face", 0.7 * (1 - faceless), draw(4, faceless))


def _mean(rng: random.Random, centre: float, spread: float, count: int, faceless: float = 0.0) -> float:
    return statistics.fmean(
        0.0 if faceless and rng.random() < faceless else rng.gauss(centre, spread) for _ in range(count)
    )


def _rates() -> Iterator[Scenario]:
    def draw(truth: float, environments: int, correlation: float, units: int) -> Draw:
        spread = 1 / correlation - 1

        def table(rng: random.Random) -> Interval | None:
            rates = [rng.betavariate(truth * spread, (1 - truth) * spread) for _ in range(environments)]
            means = [statistics.fmean(rng.random() < rate for _ in range(units)) for rate in rates]
            return intervals.mean_interval(means, units * environments, rate=True)

        return table

    def evenly(environments: int, correlation: float) -> Draw:
        def table(rng: random.Random) -> Interval | None:
            truth = rng.uniform(0.02, 0.98)
            return _beside(draw(truth, environments, correlation, 12)(rng), truth)

        return table

    for count, correlation in ((2, 0.3), (3, 0.15), (4, 0.05), (4, 0.15), (5, 0.15), (8, 0.15)):
        for truth in (0.5, 0.8, 0.9):
            where = f"{count} environments of 12, correlation {correlation:g}, rate {truth:g}"
            yield Scenario("rate (Wilson with t)", where, truth, draw(truth, count, correlation, 12))
        where = f"{count} environments of 12, correlation {correlation:g}"
        yield Scenario("any rate (Wilson with t)", where, 0.0, evenly(count, correlation))


def _beside(interval: Interval | None, truth: float) -> Interval | None:
    """The interval as seen from the truth: it holds 0 where it holds the truth."""
    return None if interval is None else (interval[0] - truth, interval[1] - truth)


def _strata() -> Iterator[Scenario]:
    levels = (0.9, 0.8, 0.55)

    def draw(replicates: int) -> Draw:
        def table(rng: random.Random) -> Interval | None:
            tables = [[[rng.gauss(level, 0.18) for _ in range(replicates)] for level in levels] for _ in range(4)]
            spread = statistics.fmean(statistics.variance(row) for rows in tables for row in rows)
            return intervals.stratified_interval(tables[0], spread, 1.6448536)

        return table

    for replicates in (2, 3, 5, 8):
        where = f"one environment, 3 framings, {replicates} replicates"
        yield Scenario("environment by framings", where, statistics.fmean(levels), draw(replicates))


def _differences() -> Iterator[Scenario]:
    def paired(environments: int) -> Draw:
        return lambda rng: intervals.difference_interval([rng.gauss(0.2, 0.1) for _ in range(environments)])

    def unpaired(first: int, second: int) -> Draw:
        return lambda rng: intervals.welch_interval(
            [rng.gauss(0.9, 0.1) for _ in range(first)], [rng.gauss(0.5, 0.15) for _ in range(second)]
        )

    def of_rates(first: float, second: float) -> Draw:
        def table(rng: random.Random) -> Interval | None:
            k, m = (sum(rng.random() < rate for _ in range(48)) for rate in (first, second))
            return intervals.square_and_add(k / 48, intervals.wilson(k, 48), m / 48, intervals.wilson(m, 48))

        return table

    def beside(environments: int, units: int, first: float, second: float) -> Draw:
        """Rates of the same places, with the LoRA and without it."""

        def table(rng: random.Random) -> Interval | None:
            return paired_difference(*(_shares(rng, environments, units, rate) for rate in (first, second))).interval

        return table

    def apart(sizes: tuple[int, int], first: float, second: float) -> Draw:
        def table(rng: random.Random) -> Interval | None:
            both = zip(sizes, (first, second), strict=True)
            return welch_difference(*(_shares(rng, count, 12, rate) for count, rate in both)).interval

        return table

    def evenly(tables: Callable[[float, float], Draw]) -> Draw:
        """Any two rates of which the first is the larger, with the tables that are drawn from them."""

        def table(rng: random.Random) -> Interval | None:
            second, first = sorted(rng.uniform(0.02, 0.98) for _ in range(2))
            return _beside(tables(first, second)(rng), first - second)

        return table

    for count in (3, 4, 8):
        yield Scenario("paired difference (t)", f"{count} environments", 0.2, paired(count))
    for sizes in ((2, 2), (2, 3), (4, 4)):
        yield Scenario("unpaired difference (Welch)", f"{sizes[0]} and {sizes[1]} environments", 0.4, unpaired(*sizes))
    for count, units in ((3, 12), (5, 4), (5, 12), (10, 4)):
        for first, second in ((0.9, 0.75), (0.98, 0.9), (0.5, 0.3)):
            where = f"{count} environments of {units}, rates {first:g} and {second:g}"
            yield Scenario("paired difference of rates", where, first - second, beside(count, units, first, second))
        where = f"{count} environments of {units}"
        yield Scenario("any paired difference of rates", where, 0.0, evenly(partial(beside, count, units)))
    for sizes in ((2, 2), (2, 3)):
        for first, second in ((0.95, 0.8), (0.9, 0.5)):
            where = f"{sizes[0]} and {sizes[1]} environments of 12, rates {first:g} and {second:g}"
            yield Scenario("unpaired difference of rates", where, first - second, apart(sizes, first, second))
        where = f"{sizes[0]} and {sizes[1]} environments of 12"
        yield Scenario("any unpaired difference of rates", where, 0.0, evenly(partial(apart, sizes)))
    for first, second in ((0.8, 0.3), (0.95, 0.05)):
        where = f"rates {first:g} and {second:g} of 48"
        yield Scenario("difference of two intervals", where, first - second, of_rates(first, second))


def _shares(rng: random.Random, environments: int, units: int, truth: float) -> Sample:
    """Yes and no in places that differ: their units correlate by 0.1."""
    rates = [rng.betavariate(truth * 9, (1 - truth) * 9) for _ in range(environments)]
    table = {f"e{i}": {("", j): float(rng.random() < rate) for j in range(units)} for i, rate in enumerate(rates)}
    return Sample(rate=True, units=table)


def _ratios() -> Iterator[Scenario]:
    def draw(environments: int, bottom: float) -> Draw:
        def table(rng: random.Random) -> Interval | None:
            shared = [rng.gauss(0, 0.08) for _ in range(environments)]
            pairs = [(rng.gauss(0.3 + s, 0.05), rng.gauss(bottom + s, 0.05)) for s in shared]
            return intervals.fieller_interval([top for top, _ in pairs], [low for _, low in pairs])

        return table

    for count in (3, 4, 5, 8):
        yield Scenario("ratio (Fieller)", f"{count} environments", 0.3 / 0.8, draw(count, 0.8))


def _half_effects() -> Iterator[Scenario]:
    def draw(weights: tuple[float, ...], environments: int) -> Draw:
        def table(rng: random.Random) -> Interval | None:
            tilts = [rng.gauss(1.0, 0.15) for _ in range(environments)]
            columns = {w: _column([w * tilt + rng.gauss(0, 0.05) for tilt in tilts]) for w in weights}
            return half_effect_weight(columns).interval

        return table

    for weights in ((0.0, 0.4, 0.7, 1.0), (0.0, 0.4, 0.6, 0.7, 0.8, 1.0)):
        for count in (4, 5):
            where = f"{len(weights)} weights, {count} environments"
            yield Scenario("half-effect weight (jackknife)", where, 0.5, draw(weights, count))


def _calibrated() -> Iterator[Scenario]:
    """Shares that an instrument reads, which it reads right, or falsely, in as many of the dataset's pictures."""

    def right(truth: float, sensitivity: float, pictures: int) -> Draw:
        def table(rng: random.Random) -> Interval | None:
            seen = sum(rng.random() < sensitivity for _ in range(pictures))
            low, high = jeffreys(seen, pictures)
            read = mean(_shares(rng, 5, 12, truth * sensitivity))
            share = seen / pictures
            whole = estimate_of(read, lambda value: value / share)
            return carried(whole, Calibration(low=low / share, high=high / share)).interval

        return table

    def false(truth: float, wrong: float, pictures: int) -> Draw:
        def table(rng: random.Random) -> Interval | None:
            seen = sum(rng.random() < wrong for _ in range(pictures))
            read = mean(_shares(rng, 5, 12, truth + (1 - truth) * wrong))
            return without_false(read, seen / pictures, jeffreys(seen, pictures)).interval

        return table

    for truth in (0.5, 0.7):
        for sensitivity in (0.8, 0.9):
            where = f"rate {truth:g} read right in {sensitivity:g} of 30 pictures"
            yield Scenario("rate over a measured sensitivity", where, truth, right(truth, sensitivity, 30))
    for truth in (0.3, 0.5):
        for wrong in (0.1, 0.2):
            where = f"rate {truth:g}, {wrong:g} of 30 pictures alarm falsely"
            yield Scenario("rate freed from false alarms", where, truth, false(truth, wrong, 30))


def estimate_of(read: Estimate, change: Callable[[float], float]) -> Estimate:
    """The estimate with its value and both ends changed."""
    if read.value is None or read.interval is None:
        return read
    return replace(read, value=change(read.value), interval=(change(read.interval[0]), change(read.interval[1])))


def _declared() -> Iterator[Scenario]:
    """Exact intervals of declared places, alike or not, and of what is lost and gained there."""
    tail = (1 - LEVEL) / 2

    def one(rates: tuple[float, ...], units: int) -> Draw:
        return lambda rng: declared_rate(_places(rng, rates, units), tail).interval

    def two(lost: float, gained: float, units: int) -> Draw:
        def table(rng: random.Random) -> Interval | None:
            rows = [[rng.random() for _ in range(units)] for _ in range(5)]
            base = _of_rows([[float(not lost <= v < lost + gained) for v in row] for row in rows])
            ship = _of_rows([[float(v >= lost) for v in row] for row in rows])
            return declared_difference(base, ship, tail).interval

        return table

    for units in (4, 8):
        for rates in ((0.15,) * 5, (0.5, 0.2, 0.05, 0.0, 0.0)):
            where = f"5 places of {units}, rates {', '.join(f'{rate:g}' for rate in rates)}"
            yield Scenario("declared rate (exact)", where, statistics.fmean(rates), one(rates, units))
        for lost, gained in ((0.2, 0.0), (0.3, 0.1)):
            where = f"5 places of {units}, {lost:g} lost and {gained:g} gained"
            yield Scenario("declared difference (exact)", where, lost - gained, two(lost, gained, units))


def _places(rng: random.Random, rates: tuple[float, ...], units: int) -> Sample:
    return _of_rows([[float(rng.random() < rate) for _ in range(units)] for rate in rates])


def _of_rows(rows: list[list[float]]) -> Sample:
    return Sample(rate=True, units={f"e{i}": {("", j): v for j, v in enumerate(row)} for i, row in enumerate(rows)})


def _spreads() -> Iterator[Scenario]:
    def draw(rates: tuple[float, ...]) -> Draw:
        return lambda rng: spread(_places(rng, rates, 12)).interval

    for rates in ((0.1, 0.1, 0.1, 0.1, 0.7), (0.1, 0.3, 0.5, 0.7), (0.3,) * 5):
        where = f"places of 12, rates {', '.join(f'{rate:g}' for rate in rates)}"
        yield Scenario("spread between places", where, max(rates) - min(rates), draw(rates))


def _on_a_ruler() -> Iterator[Scenario]:
    """A score whose floor and ceiling are means of few pictures."""

    def draw(score: float, references: int) -> Draw:
        def table(rng: random.Random) -> Interval | None:
            floors = [rng.gauss(0.1, 0.05) for _ in range(5)]
            shown = [rng.gauss(0.7, 0.1) for _ in range(references)]
            seen = [rng.gauss(0.1 + score * 0.6, 0.05) for _ in range(5)]
            floor, ceiling = (_by_t(values) for values in (floors, shown))
            gap = (ceiling.value or 0.0) - (floor.value or 0.0)
            mark = Mark(floor=floor, ceiling=ceiling, gap=Estimate(value=gap), problem=None)
            return with_ruler_error(_by_t([(one - (floor.value or 0.0)) / gap for one in seen]), mark).interval

        return table

    for references in (9, 30):
        for score in (0.3, 0.6, 0.9):
            where = f"score {score:g}, {references} references"
            yield Scenario("score with the ruler's error", where, score, draw(score, references))


def _by_t(values: list[float]) -> Estimate:
    return Estimate(value=statistics.fmean(values), interval=intervals.t_interval(values))


def _column(means: list[float]) -> Sample:
    return Sample(rate=False, units={f"e{i}": {("close-up", 0): mean} for i, mean in enumerate(means)})


def main() -> None:
    """Print the table, a row per kind of interval."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="kinds whose name contains one of these")
    asked = parser.parse_args()
    print(f"| interval | table | holds the truth ({LEVEL:.0%} claimed) |\n|---|---|---|")
    found: dict[str, list[float]] = {}
    for one in scenarios():
        if not asked.only or any(name in one.kind for name in asked.only):
            share = coverage(one, asked.trials)
            found.setdefault(one.kind, []).append(share)
            print(f"| {one.kind} | {one.where} | {share:.3f} |", flush=True)
    print("", *ranges(found), sep="\n")


def ranges(found: Mapping[str, list[float]]) -> Iterator[str]:
    """Markdown: least and most of each kind."""
    yield "| interval | least | most |\n|---|---|---|"
    for kind, shares in found.items():
        yield f"| {kind} | {min(shares):.3f} | {max(shares):.3f} |"


if __name__ == "__main__":
    main()
