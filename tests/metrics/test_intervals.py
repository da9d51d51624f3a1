"""Intervals are what the textbooks say, and hold the truth as often as they claim."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.metrics.intervals import (
    LEVEL,
    Interval,
    clip,
    clustered_wilson,
    end_with_one_worse,
    exclusive_correlation,
    fieller_interval,
    mean_interval,
    square_and_add,
    stratified_interval,
    t_interval,
    t_quantile,
    welch_interval,
    wilson,
)

NUMBERS = st.lists(st.floats(-2, 2).map(lambda x: round(x, 3)), min_size=3, max_size=8)


def coverage(truth: float, draw: Callable[[random.Random], Interval | None], trials: int = 1500) -> float:
    """How often the interval holds the truth."""
    rng = random.Random(7)
    ends = [draw(rng) for _ in range(trials)]
    return statistics.fmean(end is not None and end[0] <= truth <= end[1] for end in ends)


def test_students_t_is_the_published_table() -> None:
    assert [round(t_quantile(df), 3) for df in (1, 2, 4, 9)] == [6.314, 2.920, 2.132, 1.833]


def test_wilson_is_the_published_example() -> None:
    low, high = wilson(81, 263, 0.95)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)  # Newcombe 1998, table I


@given(st.integers(1, 200), st.data())
def test_wilson_mirrors_holds_its_share_and_stays_possible(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    low, high = wilson(k, n)
    assert 0 <= low <= k / n <= high <= 1
    assert low < high
    assert wilson(n - k, n) == pytest.approx((1 - high, 1 - low))


def test_wilson_narrows_with_more_units() -> None:
    widths = [high - low for low, high in (wilson(n // 2, n) for n in (4, 16, 64, 256))]
    assert widths == sorted(widths, reverse=True)


def test_a_t_interval_is_worked_out_by_hand() -> None:
    half = 2.919986 * 1 / math.sqrt(3)
    assert t_interval([1, 2, 3]) == pytest.approx((2 - half, 2 + half))
    assert t_interval([1]) is None


@given(NUMBERS, st.randoms())
def test_the_order_of_environments_does_not_matter(values: list[float], rng: random.Random) -> None:
    shuffled = rng.sample(values, len(values))
    assert mean_interval(values, 9, rate=False) == pytest.approx(mean_interval(shuffled, 9, rate=False))


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_agreeing_environments_are_not_certain(rate: float) -> None:
    low, high = mean_interval([rate] * 5, 30, rate=True) or (1, 1)
    assert 0 <= low <= rate <= high <= 1
    assert high - low > 0.1
    more = mean_interval([rate] * 5, 300, rate=True) or (1, 1)
    assert more[1] - more[0] < high - low


@pytest.mark.parametrize("units", [3, 30, 1000])
def test_in_the_middle_a_rate_from_many_environments_has_the_t_interval(units: int) -> None:
    rates = [0.4, 0.6] * 100
    assert clustered_wilson(rates, units) == pytest.approx(t_interval(rates), abs=1e-4)


def test_two_environments_give_a_rate_a_wider_interval_than_independent_units_would() -> None:
    low, high = mean_interval([0.5, 0.5], 12, rate=True) or (0, 0)
    alone = wilson(6, 12)
    assert high - low > alone[1] - alone[0]


def test_one_environment_gives_a_score_no_interval() -> None:
    assert mean_interval([0.8], 6, rate=False) is None
    assert mean_interval([0.8], 6, rate=True) is not None


@pytest.mark.parametrize("environments", [3, 4, 5, 8])
def test_nine_of_ten_intervals_hold_the_mean_over_a_population_of_environments(environments: int) -> None:
    def draw(rng: random.Random) -> Interval | None:
        means = []
        for _ in range(environments):
            centre = rng.gauss(0.7, 0.10)
            means.append(statistics.fmean(rng.gauss(centre, 0.15) for _ in range(6)))
        return mean_interval(means, 6 * environments, rate=False)

    assert 0.87 <= coverage(0.7, draw) <= 0.93


RATES = [(0.5, 5, 0.15), (0.8, 5, 0.15), (0.8, 4, 0.05), (0.9, 8, 0.15), (0.8, 3, 0.3), (0.5, 2, 0.3), (0.8, 2, 0.3)]


@pytest.mark.parametrize(("truth", "environments", "correlation"), RATES)
def test_nine_of_ten_intervals_hold_a_rate(truth: float, environments: int, correlation: float) -> None:
    """Environments differ (beta distributed), twelve units in each."""
    spread = 1 / correlation - 1

    def draw(rng: random.Random) -> Interval | None:
        rates = [rng.betavariate(truth * spread, (1 - truth) * spread) for _ in range(environments)]
        means = [statistics.fmean(rng.random() < rate for _ in range(12)) for rate in rates]
        return mean_interval(means, 12 * environments, rate=True)

    assert 0.86 <= coverage(truth, draw) <= 0.95


def test_nine_of_ten_welch_intervals_hold_the_difference_of_two_and_three_environments() -> None:
    def draw(rng: random.Random) -> Interval | None:
        return welch_interval([rng.gauss(0.9, 0.1) for _ in range(2)], [rng.gauss(0.5, 0.15) for _ in range(3)])

    assert 0.85 <= coverage(0.4, draw) <= 0.95


def test_nine_of_ten_fieller_intervals_hold_the_ratio() -> None:
    def draw(rng: random.Random) -> Interval | None:
        shared = [rng.gauss(0, 0.08) for _ in range(5)]
        return fieller_interval([rng.gauss(0.3 + s, 0.05) for s in shared], [rng.gauss(0.8 + s, 0.05) for s in shared])

    assert 0.87 <= coverage(0.3 / 0.8, draw) <= 0.93


def test_fieller_is_exact_when_the_lower_side_is_known() -> None:
    top = [0.2, 0.3, 0.4]
    low, high = t_interval(top) or (0, 0)
    assert fieller_interval(top, [0.5, 0.5, 0.5]) == pytest.approx((low / 0.5, high / 0.5))


def test_fieller_solves_its_own_equation() -> None:
    """Its ends are the ratios r for which the mean of top - r * bottom is exactly t standard errors from zero."""
    top, bottom = [0.2, 0.35, 0.4, 0.3], [0.7, 0.9, 1.0, 0.75]
    for r in fieller_interval(top, bottom) or (0, 0):
        rest = [a - r * b for a, b in zip(top, bottom, strict=True)]
        t = statistics.fmean(rest) / (statistics.stdev(rest) / 2)
        assert abs(t) == pytest.approx(t_quantile(3))


def test_fieller_refuses_a_lower_side_that_may_be_zero() -> None:
    assert fieller_interval([0.1, 0.2, 0.3], [-0.1, 0.1, 0.2]) is None


@given(NUMBERS, NUMBERS)
def test_welch_is_antisymmetric(first: list[float], second: list[float]) -> None:
    forward, backward = welch_interval(first, second), welch_interval(second, first)
    assert (forward is None) == (backward is None)
    if forward and backward:
        assert forward == pytest.approx((-backward[1], -backward[0]))


def test_square_and_add_is_the_published_example() -> None:
    """Newcombe 1998, example (a): 56/70 minus 48/80 at 95 % gives 0.0524 to 0.3339."""
    low, high = square_and_add(56 / 70, wilson(56, 70, 0.95), 48 / 80, wilson(48, 80, 0.95))
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)


def test_things_that_exclude_each_other_move_against_each_other() -> None:
    """Two halves of a coin exclude nothing else; of three equal shares, as the multinomial distribution has it."""
    assert exclusive_correlation(0.5, 0.5) == pytest.approx(-1.0)
    assert exclusive_correlation(1 / 3, 1 / 3) == pytest.approx(-0.5)
    assert exclusive_correlation(0.2, 0.0) == 0.0
    wider = square_and_add(0.3, (0.2, 0.4), 0.2, (0.1, 0.3), -1.0)
    assert wider == pytest.approx((-0.1, 0.3))


def test_the_level_is_ninety_percent_and_clipping_keeps_nothing_impossible() -> None:
    assert LEVEL == 0.90
    assert clip((-0.2, 1.3), 0, 1) == (0, 1)
    assert clip(None, 0, 1) is None


def test_a_stratified_interval_without_a_pool_is_students() -> None:
    values = [0.4, 0.7, 0.9, 0.6]
    assert stratified_interval([values], None, 1.6448536) == pytest.approx(t_interval(values))


def test_strata_that_differ_among_themselves_do_not_widen_a_stratified_interval() -> None:
    near, far = [[0.5, 0.6], [0.5, 0.6]], [[0.1, 0.2], [0.9, 1.0]]
    widths = [high - low for low, high in (stratified_interval(s, 0.005, 2.0) or (0, 0) for s in (near, far))]
    assert widths[0] == pytest.approx(widths[1])


def test_one_value_a_stratum_tells_nothing_and_no_spread_is_no_certainty() -> None:
    assert stratified_interval([[0.5], [0.7]], 0.01, 2.0) is None
    ends = stratified_interval([[1.0, 1.0], [1.0, 1.0]], 0.0, 2.0)
    assert ends is not None and ends[0] < 0.6 and ends[1] == 1.0


@pytest.mark.parametrize("replicates", [2, 3, 8])
def test_a_stratified_interval_covers_what_it_claims(replicates: int) -> None:
    """Three framings of their own level, four environments: 90 % of intervals hold this environment's mean."""
    levels = (0.9, 0.8, 0.55)

    def draw(rng: random.Random) -> Interval | None:
        tables = [[[rng.gauss(level, 0.18) for _ in range(replicates)] for level in levels] for _ in range(4)]
        spread = statistics.fmean(statistics.variance(row) for table in tables for row in table)
        return stratified_interval(tables[0], spread, 1.6448536)

    assert 0.88 <= coverage(statistics.fmean(levels), draw) <= 0.925


def test_one_worse_is_the_plain_interval_of_the_values_with_one_more() -> None:
    values = [0.7, 0.8, 0.75, 0.72, 0.9, 0.66]
    worst = -0.5
    fuller = [*values, statistics.fmean(values) + worst]
    end = end_with_one_worse([values], None, 1.6448536, worst)
    # the same mean; its sum of squares over n instead of n - 1, one degree of freedom less
    n, centre = len(values), statistics.fmean(values)
    variance = statistics.variance(values) + worst**2 / (n + 1)
    by_hand = centre + worst / (n + 1) - 2.0150484 * (variance / (n + 1)) ** 0.5
    assert end == pytest.approx(by_hand) and end < min(fuller) + 0.6
    assert statistics.fmean(fuller) == pytest.approx(centre + worst / (n + 1))


def test_one_worse_that_is_no_worse_costs_nothing_but_never_helps_beyond_a_value_more() -> None:
    strata = [[0.7, 0.8, 0.75], [0.6, 0.7, 0.62]]
    low, _ = stratified_interval(strata, None, 1.6448536) or (0.0, 0.0)
    ends = [end_with_one_worse(strata, None, 1.6448536, worse) for worse in (0.0, -0.1, -0.3, -0.7)]
    assert ends == sorted(ends, reverse=True) and ends[0] == pytest.approx(low, abs=0.01)
    assert end_with_one_worse([[0.7]], None, 1.6448536, -0.1) is None
