"""The distribution of a weighted share is exact, and its interval is as wide as the classifier is unsure."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest

from lora_doctor.ratio_interval import FINEST, distribution, likely_share, whole_units


def enumerated(probabilities: list[float], units: list[int]) -> np.ndarray:  # type: ignore[type-arg]
    """By all outcomes, one by one."""
    found = np.zeros(sum(units) + 1)
    for outcome in itertools.product((0, 1), repeat=len(units)):
        chance = math.prod(p if hit else 1 - p for p, hit in zip(probabilities, outcome, strict=True))
        found[sum(unit for unit, hit in zip(units, outcome, strict=True) if hit)] += chance
    return found


@pytest.mark.parametrize("seed", range(8))
def test_the_distribution_is_that_of_all_outcomes_one_by_one(seed: int) -> None:
    rng = random.Random(seed)
    units = [rng.choice((0, 1, 1, 2, 3, 10)) for _ in range(10)]
    probabilities = [rng.choice((0.0, 1.0, rng.random())) for _ in units]
    np.testing.assert_allclose(distribution(probabilities, units), enumerated(probabilities, units), atol=1e-12)


def test_equal_pictures_are_binomial_also_when_there_are_thousands() -> None:
    from scipy.stats import binom

    np.testing.assert_allclose(
        distribution([0.3] * 3000, [1] * 3000), binom.pmf(np.arange(3001), 3000, 0.3), atol=1e-12
    )


def test_mean_and_variance_are_the_sums_of_those_of_the_pictures() -> None:
    rng = random.Random(1)
    p, w = [rng.random() for _ in range(700)], [rng.choice((1, 4, 7)) for _ in range(700)]
    found = distribution(p, w)
    at = np.arange(len(found))
    mean = (found * at).sum()
    assert mean == pytest.approx(sum(a * b for a, b in zip(p, w, strict=True)))
    variance = sum(b * b * a * (1 - a) for a, b in zip(p, w, strict=True))
    assert (found * (at - mean) ** 2).sum() == pytest.approx(variance)


def test_certain_roles_have_an_interval_of_no_width() -> None:
    share = likely_share([1.0] * 14 + [0.0] * 28, [1] * 42, error=0.003, lean=1.2)
    assert share.value == pytest.approx(1 / 3)
    assert share.interval == (share.value, share.value)


def test_even_the_surest_classifier_leaves_room_for_its_measured_error() -> None:
    sure = [1 - 1e-9] * 140 + [1e-9] * 280
    share = likely_share(sure, [1] * 420, error=0.003, lean=1.2)
    assert share.value == pytest.approx(1 / 3)
    low, high = share.interval
    assert low < 1 / 3 < high
    assert high - low < 0.06


def test_the_interval_holds_the_value_and_widens_with_doubt_and_with_a_common_lean() -> None:
    widths = []
    for doubt, lean in ((0.02, 0.0), (0.2, 0.0), (0.2, 1.0), (0.2, 2.0)):
        share = likely_share([1 - doubt] * 20 + [doubt] * 40, [1] * 60, error=0.003, lean=lean)
        assert share.interval[0] <= share.value <= share.interval[1]
        widths.append(share.interval[1] - share.interval[0])
    assert widths == sorted(widths)
    assert len(set(widths)) == 4


def test_counting_the_other_role_mirrors_the_share() -> None:
    rng = random.Random(5)
    p, w = [rng.random() for _ in range(31)], [rng.choice((1, 2)) for _ in range(31)]
    one = likely_share(p, w, error=0.003, lean=1.0)
    other = likely_share([1 - each for each in p], w, error=0.003, lean=1.0)
    step = 1 / sum(w)
    assert one.interval[0] + other.interval[1] == pytest.approx(1, abs=1.01 * step)
    assert one.interval[1] + other.interval[0] == pytest.approx(1, abs=1.01 * step)


def test_calibrated_probabilities_hold_the_truth_nine_times_in_ten() -> None:
    rng, held, runs = random.Random(7), 0, 300
    for _ in range(runs):
        p = [rng.betavariate(0.3, 0.3) for _ in range(40)]
        truth = sum(rng.random() < each for each in p) / 40
        low, high = likely_share(p, [1] * 40, error=0.0001, lean=0.0).interval
        held += low - 1e-9 <= truth <= high + 1e-9
    assert 0.88 <= held / runs <= 0.98  # a count cannot be cut at exactly 5 %


def test_doubling_every_exposure_changes_nothing() -> None:
    p, w = [0.9, 0.2, 0.6, 0.1], [1.5, 3, 2, 1]
    one, two = (likely_share(p, [k * each for each in w], error=0.01, lean=0.5) for k in (1, 2))
    assert one == two


def test_repeats_are_whole_units_and_so_are_samples_shared_by_pictures() -> None:
    assert whole_units([10, 10, 1]) == [10, 10, 1]
    assert whole_units([2, 4]) == [1, 2]
    assert whole_units([100 / 7] * 7 + [1.0]) == [100] * 7 + [7]
    assert whole_units([0, 3]) == [0, 1]


def test_exposures_without_a_common_measure_are_rounded_together() -> None:
    rng = random.Random(3)
    exposures = [rng.random() for _ in range(50)] + [1e-9]
    units = whole_units(exposures)
    assert sum(units) == FINEST
    for unit, each in zip(units, exposures, strict=True):
        assert unit == pytest.approx(each / sum(exposures) * FINEST, abs=1)


@pytest.mark.parametrize("exposures", [[], [0, 0], [math.nan], [math.inf, 1], [-1, 2]])
def test_exposures_that_are_none_are_refused(exposures: list[float]) -> None:
    with pytest.raises(ValueError, match="exposures"):
        whole_units(exposures)
