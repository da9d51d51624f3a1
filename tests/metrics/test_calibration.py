"""Calibrated shares: closed forms, and intervals that hold the truth as often as they say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lora_doctor.metrics import intervals
from lora_doctor.metrics.calibration import Calibration, carried, jeffreys, pooled, ratio_interval, without_false
from lora_doctor.metrics.estimates import Estimate

TABLES = 1500
PLACES, UNITS = 5, 6


def estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, interval=(low, high), n=30)


def test_a_sensitivity_taken_as_known_changes_nothing() -> None:
    one = estimate(0.6, 0.4, 0.75)
    found = carried(one, Calibration())
    assert found.value == 0.6 and found.interval == pytest.approx((0.4, 0.75))


def test_an_uncertain_sensitivity_widens_and_never_leaves_0_to_1() -> None:
    wide = carried(estimate(0.9, 0.8, 1.0), Calibration(low=0.9, high=1.1))
    assert wide.interval is not None and wide.interval[0] < 0.8 and wide.interval[1] == 1.0
    assert carried(Estimate(reason="none"), Calibration(low=0.5)).value is None


def test_a_difference_may_be_negative_and_is_widened_alike_on_both_sides() -> None:
    up = carried(estimate(0.3, 0.1, 0.5), Calibration(low=0.9, high=1.1), least=-1)
    down = carried(estimate(-0.3, -0.5, -0.1), Calibration(low=0.9, high=1.1), least=-1)
    assert up.interval is not None and down.interval == pytest.approx((-up.interval[1], -up.interval[0]))


def test_the_ratio_of_two_known_numbers_is_known() -> None:
    assert ratio_interval(0.4, (0.4, 0.4), (1.0, 1.0)) == pytest.approx((0.4, 0.4))
    assert ratio_interval(0.4, (0.4, 0.4), (0.8, 1.25)) == pytest.approx((0.4 / 1.25, 0.4 / 0.8))


def test_errors_of_several_attributes_average_out() -> None:
    one = Calibration(low=0.9, high=1.1)
    four = pooled([(1.0, one)] * 4)
    assert (four.low, four.high) == pytest.approx((0.95, 1.05))
    assert pooled([(1.0, one)]) == one and pooled([]) == Calibration()


def test_jeffreys_has_its_known_values_and_mirrors() -> None:
    assert jeffreys(0, 20) == pytest.approx((0.0, 0.0911), abs=1e-3)
    low, high = jeffreys(6, 20)
    assert jeffreys(14, 20) == pytest.approx((1 - high, 1 - low)) and low < 0.3 < high
    assert jeffreys(0, 20)[0] == 0 and jeffreys(20, 20)[1] == 1


def test_false_flips_are_taken_off() -> None:
    found = without_false(estimate(0.28, 0.2, 0.4), 0.1, (0.05, 0.2))
    assert found.value == pytest.approx(0.2)
    assert found.interval is not None and found.interval[0] < 0.1
    assert without_false(estimate(0.05, 0.0, 0.1), 0.1, (0.05, 0.2)).value == 0.0
    exact = without_false(estimate(0.3, 0.2, 0.4), 0.0, (0.0, 0.0))
    assert exact.value == 0.3 and exact.interval == pytest.approx((0.2, 0.4))


Interval = Callable[[list[float], int], tuple[float, float]]


def coverage(wanted: float, read: float, of_references: float, count: int, interval: Interval) -> float:
    """How often an interval holds `wanted`: 5 x 6 renders of which a share `read`, and `count` references of which a
    share `of_references`, are read in some way."""
    rng = np.random.default_rng(7)
    renders = rng.binomial(UNITS, read, size=(TABLES, PLACES)) / UNITS
    references = rng.binomial(count, of_references, size=TABLES)
    held = 0
    for rates, right in zip(renders, references, strict=True):
        low, high = interval(list(rates), int(right))
        held += low <= wanted <= high
    return held / TABLES


@pytest.mark.parametrize("truth", [0.5, 0.7, 0.85])
@pytest.mark.parametrize(("sensitivity", "count"), [(0.85, 20), (0.85, 40), (0.92, 20), (0.92, 40)])
def test_a_corrected_share_is_covered(truth: float, sensitivity: float, count: int) -> None:
    def interval(rates: list[float], right: int) -> tuple[float, float]:
        share, ends = right / count, intervals.mean_interval(rates, PLACES * UNITS, rate=True)
        assert ends is not None
        raw = float(np.mean(rates)) / share
        low, high = jeffreys(right, count)
        return ratio_interval(raw, (ends[0] / share, ends[1] / share), (low / share, high / share))

    assert 0.88 <= coverage(truth, truth * sensitivity, sensitivity, count, interval) <= 0.945


@pytest.mark.parametrize(
    ("false", "truth", "count"), [(0.05, 0.1, 40), (0.05, 0.3, 20), (0.1, 0.1, 40), (0.1, 0.3, 20)]
)
def test_a_rate_of_flips_without_the_false_ones_is_covered(false: float, truth: float, count: int) -> None:
    def interval(rates: list[float], wrong: int) -> tuple[float, float]:
        ends = intervals.mean_interval(rates, PLACES * UNITS, rate=True)
        one = Estimate(value=float(np.mean(rates)), interval=ends, n=PLACES * UNITS)
        found = without_false(one, wrong / count, jeffreys(wrong, count)).interval
        assert found is not None
        return found

    assert coverage(truth, truth * (1 - false) + false, false, count, interval) >= 0.88
