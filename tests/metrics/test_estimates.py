"""Estimates say how many units they stand on, and losing units never makes them firmer."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from statistics import NormalDist

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lora_doctor.exact_shares import exact
from lora_doctor.metrics.estimates import (
    Estimate,
    declared_difference,
    declared_rate,
    fixed,
    mean,
    paired_difference,
    ratio,
    spread,
    told,
    welch_difference,
)
from lora_doctor.metrics.intervals import square_and_add, t_interval, t_quantile, welch_interval
from lora_doctor.metrics.units import Sample

NORMAL_90 = 1.6448536


def table(*environments: Sequence[float | None], rate: bool = False, start: int = 0) -> Sample:
    """A sample from one list of unit numbers per environment."""
    units = {f"e{start + i}": {("close-up", k): v for k, v in enumerate(row)} for i, row in enumerate(environments)}
    return Sample(rate=rate, units=units)


SCORES = st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=4), min_size=2, max_size=5)


def test_a_mean_is_over_environments_not_over_units() -> None:
    estimate = mean(table([0.0, 0.0, 0.0, 0.0], [1.0], [0.5, 0.5]))
    assert estimate.value == 0.5
    assert estimate.n == 7
    assert estimate.interval == pytest.approx(t_interval([0.0, 1.0, 0.5]))


def test_units_that_agree_within_environments_do_not_narrow_the_interval() -> None:
    few, many = mean(table([0.6], [0.8], [0.7])), mean(table([0.6] * 9, [0.8] * 9, [0.7] * 9))
    assert few.interval == pytest.approx(many.interval)


def test_several_samples_average_inside_each_environment() -> None:
    both = mean(table([0.2], [0.6], [0.4]), table([0.4], [1.0], [0.6]))
    assert both.value == pytest.approx(0.5333, abs=1e-4)
    assert both.interval == pytest.approx(t_interval([0.3, 0.8, 0.5]))


def test_a_corrected_rate_stays_possible() -> None:
    """Divided by a sensitivity of 0.8, a unit that matches is 1.25."""
    perfect = mean(table([1.25], [1.25], [1.25], rate=True))
    assert perfect.value == 1.0
    assert perfect.interval and 0 < perfect.interval[0] < perfect.interval[1] == 1.0
    mixed = mean(table([1.25, 1.25], [1.25, 0.0], [1.25, 0.0], rate=True))
    assert mixed.value == pytest.approx(2.5 / 3)
    assert mixed.interval and 0 <= mixed.interval[0] < mixed.interval[1] <= 1.0


def test_one_environment_gives_the_value_and_says_why_there_is_no_interval() -> None:
    estimate = mean(table([0.5, 0.7]))
    assert estimate.value == pytest.approx(0.6)
    assert estimate.interval is None
    assert estimate.reason == "no interval: too few environments to tell"


def test_nothing_planned_and_nothing_rendered_are_told_apart() -> None:
    assert mean(table()).reason == "no such cell was planned"
    assert mean(table([None, None])).reason == "no render can be read"
    assert mean(Sample(rate=True, absent="there is no ruler")).reason == "there is no ruler"
    for empty in (
        mean(table([None])),
        fixed(table(), table(), 1.6),
        paired_difference(table(), table([1.0])),
        spread(table()),
    ):
        assert empty.value is None
        assert empty.reason


def test_missing_units_are_counted_in_the_reason_and_out_of_n() -> None:
    estimate = mean(table([0.5, None], [0.6, 0.6], [0.7, None]))
    assert estimate.n == 4
    assert estimate.reason == "2 of 6 units are missing: not rendered, or not readable"


@given(SCORES, st.data())
def test_losing_a_render_never_makes_a_score_firmer(rows: list[list[float]], data: st.DataObject) -> None:
    """The t interval's lower end is concave in every number, so it is lowest with the lost one at 0 or at 1."""
    e = data.draw(st.integers(0, len(rows) - 1))
    k = data.draw(st.integers(0, len(rows[e]) - 1))

    def with_unit(value: float | None) -> Sample:
        return table(*[[value if (i, j) == (e, k) else v for j, v in enumerate(row)] for i, row in enumerate(rows)])

    for case in (rows[e][k], 0.0, 1.0):
        means = with_unit(case).means().values()
        assume(max(means) - min(means) > 1e-6)
    whole, torn = mean(with_unit(rows[e][k])).interval, mean(with_unit(None)).interval
    assert whole is not None
    if torn is not None:
        assert torn[0] <= whole[0] + 1e-9
        assert torn[1] >= whole[1] - 1e-9


def test_an_estimate_says_how_many_environments_its_units_are_of() -> None:
    one, other = table([0.5, 0.6], [0.7, 0.8], [None, None]), table([0.1, 0.2], [0.3, 0.3], [0.2, 0.2])
    assert (mean(one).n, mean(one).environments) == (4, 2)
    assert paired_difference(one, other.masked(one)).environments == 2
    assert told(mean(other), "a.b", {}, "score").environments == 3 and spread(other).environments == 3


def test_losing_the_failures_does_not_lift_a_rate() -> None:
    row = [1.0, 1.0, 1.0, 1.0]
    whole = mean(table(row, row, row, [1.0, 1.0, 0.0, 0.0], rate=True))
    torn = mean(table(row, row, row, [1.0, 1.0, None, None], rate=True))
    assert whole.interval and torn.interval
    assert torn.interval[0] <= whole.interval[0]


def test_within_one_environment_units_are_the_draws() -> None:
    one = table([0.5, 0.7, 0.9, 0.7])
    estimate, alone = fixed(one, one, NORMAL_90), t_interval([0.5, 0.7, 0.9, 0.7])
    assert estimate.value == pytest.approx(0.7)
    assert estimate.interval and alone
    narrower = t_quantile(6) / t_quantile(3)  # what others tell of the spread doubles the degrees of freedom
    assert estimate.interval[1] - 0.7 == pytest.approx(narrower * (alone[1] - 0.7))


def test_a_render_lost_elsewhere_makes_nothing_firmer_here() -> None:
    one, noisy = table([0.9, 0.8]), table([0.9, 0.8], [0.9, 0.3])
    whole, torn = (fixed(one, others, 2.4) for others in (noisy, table([0.9, 0.8], [0.9, None])))
    assert whole.interval and torn.interval
    assert torn.interval[0] <= whole.interval[0]
    assert torn.interval[1] >= whole.interval[1]


def test_one_replicate_shows_no_spread() -> None:
    estimate = fixed(table([0.9]), table([0.9], [0.8]), 2.4)
    assert (estimate.value, estimate.interval) == (0.9, None)
    assert estimate.reason


def test_pairing_removes_what_environments_share() -> None:
    first, second = table([0.9], [0.5], [0.7], [0.3]), table([0.7], [0.31], [0.5], [0.09])
    paired = paired_difference(first, second)
    assert paired.value == pytest.approx(0.2)
    assert paired.interval == pytest.approx(t_interval([0.2, 0.19, 0.2, 0.21]))
    unpaired = welch_difference(first, table([0.7], [0.31], [0.5], [0.09], start=4))
    assert paired.interval and unpaired.interval
    assert paired.interval[0] > unpaired.interval[0]


@pytest.mark.parametrize("contrast", [paired_difference, welch_difference])
@pytest.mark.parametrize("rate", [True, False])
def test_a_contrast_is_antisymmetric(contrast: Callable[[Sample, Sample], Estimate], rate: bool) -> None:
    a, b = table([1.0, 0.0], [1.0, 1.0], [0.0, 0.0], rate=rate), table([0.0, 0.0], [1.0, 0.0], [0.0, 0.0], rate=rate)
    there, back = contrast(a, b), contrast(b, a)
    assert there.value == pytest.approx(-(back.value or 0))
    assert there.interval and back.interval
    assert there.interval == pytest.approx((-back.interval[1], -back.interval[0]))


def test_a_contrast_without_any_spread_is_still_uncertain() -> None:
    estimate = paired_difference(table(*[[1.0, 1.0]] * 5, rate=True), table(*[[0.0, 0.0]] * 5, rate=True))
    assert estimate.value == 1.0
    assert estimate.interval is not None
    assert 0.3 < estimate.interval[0] < 1 <= estimate.interval[1]


def test_a_contrast_of_two_groups_is_welchs() -> None:
    estimate = welch_difference(table([0.9], [0.8]), table([0.4], [0.5], [0.3], start=2))
    assert estimate.value == pytest.approx(0.45)
    assert estimate.interval == pytest.approx(welch_interval([0.9, 0.8], [0.4, 0.5, 0.3]))


def test_a_group_of_one_unit_has_no_spread_of_scores() -> None:
    estimate = welch_difference(table([0.9]), table([0.4], [0.5], start=1))
    assert estimate.value == pytest.approx(0.45)
    assert estimate.interval is None
    assert estimate.reason


def test_a_group_of_one_environment_stands_for_itself_with_its_replicates() -> None:
    alone, others = table([0.85, 0.9, 0.95, 0.9]), table([0.4, 0.5], [0.5, 0.6], [0.3, 0.4], start=1)
    one, two = fixed(alone, alone, NormalDist().inv_cdf(0.95)), mean(others)
    assert one.value and one.interval and two.value and two.interval
    found = welch_difference(alone, others)
    assert found.interval == pytest.approx(square_and_add(one.value, one.interval, two.value, two.interval))
    back = welch_difference(others, alone)
    assert back.interval and found.interval
    assert back.interval == pytest.approx((-found.interval[1], -found.interval[0]))


def test_two_groups_of_one_environment_say_nothing_of_places() -> None:
    assert welch_difference(table([0.9, 0.8]), table([0.4, 0.5], start=1)).interval is None


def test_a_group_that_lost_all_but_one_environment_does_not_stand_for_it() -> None:
    lost = welch_difference(table([0.9, 0.8], [None, None]), table([0.4, 0.5], [0.5, 0.6], [0.4, 0.3], start=2))
    assert lost.value is not None and lost.interval is None


def test_nine_of_ten_intervals_hold_the_difference_of_one_declared_environment_and_three_of_many() -> None:
    rng, held = random.Random(4), 0
    for _ in range(600):
        places = [rng.gauss(0.5, 0.15) for _ in range(3)]
        alone, others = (
            table(*([rng.gauss(mean_of, 0.1) for _ in range(8)] for mean_of in group), start=start)
            for start, group in ((0, [0.9]), (1, places))
        )
        low, high = welch_difference(alone, others).interval or (0.0, 0.0)
        held += low <= 0.4 <= high
    assert 0.87 <= held / 600 <= 0.97  # square-and-add is a little wide where one side rests on three means


def test_missing_units_widen_a_contrast_to_both_sides() -> None:
    whole = paired_difference(table([0.9, 0.9], [0.8, 0.8], [0.7, 0.7]), table([0.5], [0.5], [0.4]))
    torn = paired_difference(table([0.9, None], [0.8, 0.8], [0.7, 0.7]), table([0.5], [0.5], [0.4]))
    assert whole.interval and torn.interval
    assert torn.interval[0] < whole.interval[0]
    assert torn.interval[1] >= whole.interval[1]
    assert torn.reason == "1 of 6 units are missing: not rendered, or not readable"


def test_a_ratio_needs_something_to_divide_by() -> None:
    fine = ratio(table([0.2], [0.3], [0.25]), table([0.8], [0.9], [0.85]))
    assert fine.value == pytest.approx(0.25 / 0.85)
    assert fine.interval and fine.interval[0] < 0.25 / 0.85 < fine.interval[1]
    lost = ratio(table([0.2], [0.3], [0.25]), table([0.3], [-0.2], [0.1]))
    assert lost.value is None
    assert lost.reason == "the value it would be divided by is not clearly above zero"


def test_a_ratio_of_environments_that_agree_is_still_uncertain() -> None:
    estimate = ratio(table([0.4] * 6, [0.4] * 6, [0.4] * 6), table([0.8] * 6, [0.8] * 6, [0.8] * 6))
    assert estimate.value == pytest.approx(0.5)
    assert estimate.interval and estimate.interval[0] < 0.45 < 0.55 < estimate.interval[1]


def test_a_spread_allows_for_having_picked_the_extremes() -> None:
    wide = spread(table([1.0] * 12, [0.0] * 12, [0.0] * 12, rate=True))
    assert wide.value == 1.0
    assert wide.interval and 0.4 < wide.interval[0] < 1
    chance = spread(table([1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], rate=True))
    assert chance.value == 0.25
    assert chance.interval and chance.interval[0] == 0.0


def test_caveats_join_a_value_and_are_silent_without_one() -> None:
    with_value = told(Estimate(value=1.0, n=3, reason="a"), "x.y", {}, "share", "b", None, "a")
    assert (with_value.reason, with_value.unit, with_value.n) == ("a; b", "share", 3)
    assert told(Estimate(reason="a"), "x.y", {}, "share", "b").reason == "a"
    assert told(Estimate(value=1.0), "x.y", {}, "share").reason is None


# ---------------------------------------------------------------- declared rates


def test_a_declared_rate_counts_each_environment_as_often_as_the_fewest() -> None:
    even = declared_rate(table([0.0] * 4, [0.0] * 4, rate=True), 0.05)
    lopsided = declared_rate(table([0.0] * 4, [0.0] * 12, rate=True), 0.05)
    assert even.interval == lopsided.interval == pytest.approx(exact(0, 8, 0.05))
    assert (even.n, lopsided.n) == (8, 16)


@pytest.mark.parametrize("rates", [(0.15,) * 5, (0.75, 0.0, 0.0, 0.0, 0.0), (0.35, 0.3, 0.1, 0.0, 0.0)])
def test_wherever_the_losses_are_no_loss_in_so_many_pictures_is_as_unlikely_as_it_says(
    rates: tuple[float, ...],
) -> None:
    """15 % over five places, four pictures of each: below 5 % of such LoRAs show no loss."""
    rng, below = random.Random(3), 0
    for _ in range(4000):
        drawn = [[float(rng.random() < rate) for _ in range(4)] for rate in rates]
        interval = declared_rate(table(*drawn, rate=True), 0.05).interval
        assert interval is not None
        below += interval[1] < 0.15
    assert below / 4000 <= 0.05


def test_pictures_of_a_declared_rate_that_are_lost_widen_its_interval() -> None:
    whole = declared_rate(table([0.0] * 4, [0.0] * 4, rate=True), 0.05)
    less = declared_rate(table([0.0, 0.0, 0.0, None], [0.0] * 4, rate=True), 0.05)
    assert whole.interval is not None and less.interval is not None
    assert less.interval[1] > whole.interval[1]


def test_a_declared_rate_without_pictures_gives_a_reason() -> None:
    found = declared_rate(table([None], [None], rate=True), 0.05)
    assert found.value is None and found.reason


def test_a_declared_difference_without_gains_is_as_sure_as_the_rate_of_its_losses() -> None:
    base, ship = table([1.0] * 4, [1.0] * 4, rate=True), table([1.0, 0.0, 1.0, 1.0], [1.0] * 4, rate=True)
    found, lost = declared_difference(base, ship, 0.05), declared_rate(table([0.0, 1.0, 0.0, 0.0], [0.0] * 4), 0.05)
    assert found.value == lost.value == 0.125
    assert found.interval is not None and lost.interval is not None
    assert found.interval[1] == pytest.approx(lost.interval[1])


def test_a_declared_difference_turns_over_with_its_sides() -> None:
    one, other = table([1.0, 0.0, 1.0], [0.0, 0.0, 1.0], rate=True), table([1.0, 1.0, 0.0], [1.0, 0.0, 1.0], rate=True)
    there, back = declared_difference(one, other, 0.05), declared_difference(other, one, 0.05)
    assert there.value == pytest.approx(-(back.value or 0.0))
    assert there.interval is not None and back.interval is not None
    assert there.interval == pytest.approx((-back.interval[1], -back.interval[0]))


@pytest.mark.parametrize(("lost", "gained"), [(0.2, 0.0), (0.3, 0.1), (0.4, 0.2), (0.5, 0.3)])
@pytest.mark.parametrize("apart", [False, True])
def test_a_declared_difference_is_told_too_small_no_more_often_than_it_says(
    lost: float, gained: float, apart: bool
) -> None:
    """A loss of 0.2 in all; over five places alike, or all of it in places that lose twice as much as the others."""
    rng, below = random.Random(5), 0
    for _ in range(3000):
        base, ship = [], []
        for place in range(5):
            more = (1.4 if place % 2 else 0.733) if apart else 1.0
            drawn = [rng.random() for _ in range(4)]
            base.append([float(not lost * more < one < lost * more + gained) for one in drawn])
            ship.append([float(one >= lost * more) for one in drawn])
        interval = declared_difference(table(*base, rate=True), table(*ship, rate=True), 0.05).interval
        assert interval is not None
        below += interval[1] < 0.2
    assert below / 3000 <= 0.055
