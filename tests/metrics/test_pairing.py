"""What the luck of seeds is worth: nothing where pairs do not correlate, and honest intervals where they do."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from lora_doctor.metrics.estimates import fixed, mean
from lora_doctor.metrics.pairing import MIN_PAIRS, UNPAIRED, pair
from lora_doctor.metrics.units import Sample

ENVIRONMENTS, FRAMINGS, REPLICATES = 5, 3, 4
LORA, BASE = 0.12, 0.06
"""Standard deviations of the scores, as table 2.2 of the measurement design has them."""


def table(values: np.ndarray) -> Sample:
    """(environments, framings, replicates) -> a sample."""
    environments, framings, replicates = values.shape
    units = {
        str(e): {(str(f), r): float(values[e, f, r]) for f in range(framings) for r in range(replicates)}
        for e in range(environments)
    }
    return Sample(rate=False, units=units)


def draw(
    rng: np.random.Generator, correlation: float, *, places: float = 0.0, shape: tuple[int, int, int] | None = None
) -> tuple[Sample, Sample, np.ndarray]:
    """(scores, base scores, true mean score of each environment); `places`: how far places move the base model."""
    shape = shape or (ENVIRONMENTS, FRAMINGS, REPLICATES)
    seed, other = rng.standard_normal((2, *shape))
    truth = 0.6 + 0.1 * rng.standard_normal(shape[0])
    base = BASE * seed + places * rng.standard_normal(shape[0])[:, None, None]
    scores = truth[:, None, None] + LORA * (correlation * seed + np.sqrt(1 - correlation**2) * other)
    return table(scores), table(base), truth


def first_of(one: Sample) -> Sample:
    return Sample(rate=False, units={"0": one.units["0"]})


def mean_of(one: Sample) -> float:
    return statistics.fmean(one.means().values())


TABLE = [(0.05, 1.17, 0.99), (0.3, 0.94, 0.90), (0.5, 0.73, 0.73), (0.7, 0.54, 0.50)]
"""Correlation, and the variance relative to no pairing: of plain differences, and with the best slope."""


@pytest.mark.parametrize(("correlation", "naive", "best"), TABLE)
def test_the_variance_ratios_are_those_of_the_design(correlation: float, naive: float, best: float) -> None:
    """Plain differences hurt where pairs hardly correlate; the estimated slope is never worse than no pairing."""
    rng, plain, subtracted, adjusted = np.random.default_rng(1), [], [], []
    for _ in range(1500):
        scores, base, truth = draw(rng, correlation, shape=(6, 2, 6))
        one = first_of(scores)
        moved = pair(scores, base).of_framing(one)
        plain.append(mean_of(one) - truth[0])
        subtracted.append(mean_of(one) - mean_of(first_of(base)) - truth[0])
        adjusted.append(mean_of(moved) - truth[0])
    unpaired = statistics.variance(plain)
    assert statistics.variance(subtracted) / unpaired == pytest.approx(naive, abs=0.08)
    assert statistics.variance(adjusted) / unpaired == pytest.approx(best, abs=0.06)


def test_without_correlation_nothing_changes_in_expectation() -> None:
    rng, moved, slopes = np.random.default_rng(2), [], []
    for _ in range(600):
        scores, base, _ = draw(rng, 0.0)
        pairing = pair(scores, base)
        one = first_of(scores)
        moved.append(mean_of(pairing.of_environment(one)) - mean_of(one))
        slopes.append(pairing.slope.value or 0.0)
    assert abs(statistics.fmean(moved)) < 3 * statistics.stdev(moved) / len(moved) ** 0.5
    assert abs(statistics.fmean(slopes)) < 3 * statistics.stdev(slopes) / len(slopes) ** 0.5
    assert statistics.stdev(moved) < 0.2 * LORA / (FRAMINGS * REPLICATES) ** 0.5


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.7])
@pytest.mark.parametrize("places", [0.0, 0.02, 0.2])
def test_nine_of_ten_intervals_of_an_environment_hold_its_truth(correlation: float, places: float) -> None:
    rng, held = np.random.default_rng(3), 0
    for _ in range(300):
        scores, base, truth = draw(rng, correlation, places=places)
        pairing = pair(scores, base)
        every = pairing.of_environment(scores)
        for place in range(ENVIRONMENTS):
            one = Sample(rate=False, units={str(place): every.units[str(place)]})
            ends = pairing.widened(fixed(one, every, 1.645), str(place), 1.645).interval
            assert ends is not None
            held += ends[0] <= truth[place] <= ends[1]
    assert 0.88 <= held / (300 * ENVIRONMENTS) <= 0.925


@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_nine_of_ten_intervals_of_a_framing_hold_its_mean_over_environments(correlation: float) -> None:
    rng, held = np.random.default_rng(4), 0
    for _ in range(1200):
        scores, base, _ = draw(rng, correlation)
        one = Sample(
            rate=False, units={e: {k: v for k, v in u.items() if k[0] == "0"} for e, u in scores.units.items()}
        )
        ends = mean(pair(scores, base).of_framing(one)).interval
        assert ends is not None
        held += ends[0] <= 0.6 <= ends[1]
    assert 0.87 <= held / 1200 <= 0.93


@pytest.mark.parametrize("slope", [0.0, 0.4, -0.3])
def test_nine_of_ten_intervals_of_the_slope_hold_it(slope: float) -> None:
    rng, held = np.random.default_rng(5), 0
    for _ in range(600):
        base = BASE * rng.standard_normal((5, 3, 4))
        scores = 0.6 + slope * base + LORA * rng.standard_normal((5, 3, 4))
        ends = pair(table(scores), table(base)).slope.interval
        assert ends is not None
        held += ends[0] <= slope <= ends[1]
    assert 0.87 <= held / 600 <= 0.93


def test_what_a_place_does_to_the_base_model_is_no_luck() -> None:
    """Places that always move the base model far move no score; places that never do are all luck."""
    rng = np.random.default_rng(6)
    for places, share in ((5.0, 0.0), (0.0, 0.6)):
        lucky_ones: list[float] = []
        for _ in range(30):
            scores, base, _ = draw(rng, 0.7, places=places)
            lucky_ones += [1 - trust for trust in pair(scores, base).trust.values()]
        assert abs(statistics.fmean(lucky_ones) - share) < 0.2


def test_a_lost_base_render_never_raises_a_score() -> None:
    rng = np.random.default_rng(7)
    for correlation in (0.6, -0.6):
        scores, base, _ = draw(rng, correlation)
        units = {e: dict(table) for e, table in base.units.items()}
        units["0"]["0", 0] = None
        pairing = pair(scores, Sample(rate=False, units=units))
        lost, others = (pairing.of_framing(scores).units["0"][key] for key in (("0", 0), ("0", 1)))
        moves = [
            (score or 0) - (pairing.of_framing(scores).units[e][key] or 0)
            for e, u in scores.units.items()
            for key, score in u.items()
        ]
        assert lost is not None and others is not None
        assert (scores.units["0"]["0", 0] or 0) - lost == pytest.approx(max(moves))


def test_a_base_render_without_a_face_moves_nothing_and_missing_scores_stay_missing() -> None:
    rng = np.random.default_rng(8)
    scores, base, _ = draw(rng, 0.6)
    units = {e: dict(table) for e, table in scores.units.items()}
    units["1"]["0", 0] = None
    gap = {e: dict(table) for e, table in base.units.items()}
    gap["0"]["0", 0] = None
    scores = Sample(rate=False, units=units)
    pairing = pair(scores, Sample(rate=False, units=gap), frozenset({("0", ("0", 0))}))
    moved = pairing.of_environment(scores)
    assert moved.units["0"]["0", 0] == units["0"]["0", 0]
    assert moved.units["1"]["0", 0] is None
    assert (moved.n, moved.planned) == (scores.n, scores.planned)


def test_too_few_pairs_and_a_base_that_never_varies_move_nothing_and_say_so() -> None:
    rng = np.random.default_rng(9)
    scores, base, _ = draw(rng, 0.8, shape=(3, 1, 3))
    few = pair(scores, base)
    assert few.slope.value is None and str(MIN_PAIRS) in (few.slope.reason or "")
    scores, base, _ = draw(rng, 0.8)
    still = pair(scores, base.constant(0.1))
    assert still.slope.reason == "the renders at weight 0 all score the same"
    for pairing in (few, still, UNPAIRED):
        assert pairing.of_framing(scores).units == scores.units


def test_the_order_and_the_level_of_base_scores_do_not_matter_to_an_environment() -> None:
    rng = np.random.default_rng(10)
    scores, base, _ = draw(rng, 0.5)
    higher = base._map(lambda _, __, v: None if v is None else v + 0.3)
    turned = Sample(rate=False, units=dict(reversed(base.units.items())))
    expected = pair(scores, base).of_environment(scores).means()
    for other in (higher, turned):
        assert pair(scores, other).of_environment(scores).means() == pytest.approx(expected)
