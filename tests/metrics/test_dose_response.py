"""Identity against weight: what is left at low weight, the plateau, and the weight of half the effect."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from lora_doctor.metrics.dose_response import half_effect_weight, measure, monotone
from lora_doctor.metrics.units import Sample
from lora_doctor.types import Cell, Measurement
from tests.metrics.make_arm import with_arm
from tests.metrics.make_study import get, make_study, references


def noisy(cell: Cell) -> float:
    return cell.weight * 0.9 + random.Random(cell.key).gauss(0, 0.02)


def test_a_linear_response_has_its_ratio_plateau_and_half() -> None:
    found = measure(make_study(identity=noisy))
    assert get(found, "dose.low_weight_ratio").value == pytest.approx(0.4, abs=0.02)
    assert get(found, "dose.plateau").value == pytest.approx(0.9, abs=0.02)
    assert get(found, "dose.half_effect_weight").value == pytest.approx(0.5, abs=0.02)
    for one in found[:3]:
        assert one.interval and one.value is not None
        assert one.interval[0] <= one.value <= one.interval[1]
        assert one.interval[1] - one.interval[0] < 0.1


def test_a_lora_that_is_forgotten_at_low_weight_has_a_low_ratio_and_a_late_half() -> None:
    found = measure(make_study(identity=lambda c: noisy(c) if c.weight >= 0.7 else noisy(c) * 0.1))
    ratio = get(found, "dose.low_weight_ratio")
    assert ratio.interval and ratio.interval[1] < 0.15
    assert 0.4 < (get(found, "dose.half_effect_weight").value or 0) < 0.7


def test_a_lora_that_never_learned_has_no_ratio() -> None:
    chance = {"library": 0.05, "forest": -0.05, "beach": 0.03, "city": -0.02, "snow": 0.01}
    found = measure(make_study(identity=lambda c: chance[c.environment] if c.weight else 0.0))
    ratio = get(found, "dose.low_weight_ratio")
    assert (ratio.value, ratio.reason) == (None, "the value it would be divided by is not clearly above zero")
    assert get(found, "dose.plateau").value == pytest.approx(0.004, abs=1e-4)


def test_planned_weights_stand_in_and_say_so() -> None:
    found = measure(make_study(identity=noisy, weights=(0.0, 0.3, 0.45, 0.8)))
    one = get(found, "dose.low_weight_ratio")
    assert one.value == pytest.approx(0.45 / 0.8, abs=0.03)
    assert one.reason == (
        "at weight 0.8 instead of 1, which was not planned; at weight 0.45 instead of 0.4, which was not planned"
    )


@pytest.mark.parametrize("weights", [(0.0, 0.2, 0.6, 1.0), (0.0, 0.25, 0.7, 1.0)])
def test_a_lower_weight_in_its_place_does_not_make_a_linear_lora_forget(weights: tuple[float, ...]) -> None:
    one = get(measure(make_study(identity=noisy, weights=weights)), "dose.low_weight_ratio")
    assert one.value == pytest.approx(0.4, abs=0.02)
    assert one.reason == f"between weight {weights[1]:g} and {weights[2]:g}, for 0.4 was not planned"


def test_weights_that_were_not_planned_leave_reasons() -> None:
    found = measure(make_study(identity=noisy, weights=(0.0, 0.7, 1.0)))
    ratio = get(found, "dose.low_weight_ratio")
    assert (ratio.value, ratio.reason) == (None, "no weight between 0 and 0.5 was planned")
    assert get(found, "dose.half_effect_weight").value == pytest.approx(0.5, abs=0.02)
    plateau = get(measure(make_study(identity=noisy, weights=(0.0,))), "dose.plateau")
    assert (plateau.value, plateau.reason) == (None, "no weight above 0 was planned")


def test_without_a_ruler_everything_has_its_reason() -> None:
    found: list[Measurement] = measure(make_study(refs=references(["close-up"]), weights=(0.0, 0.4, 1.0, 1.2)))
    assert len(found) == 4
    assert all(m.value is None and (m.reason or "").startswith("cannot measure identity") for m in found)


def test_identity_that_falls_beyond_the_full_weight_is_a_peak() -> None:
    falls = with_arm(make_study(identity=noisy), "strong", weights=(1.2,), identity=lambda c: noisy(c) - 0.3)
    rises = with_arm(make_study(identity=noisy), "strong", weights=(1.2,), identity=noisy)
    assert get(measure(falls), "dose.peak_loss").value == pytest.approx(0.3 - 0.2 * 0.9, abs=0.03)
    assert get(measure(rises), "dose.peak_loss").value == pytest.approx(-0.2 * 0.9, abs=0.03)


def test_a_matrix_that_goes_beyond_the_full_weight_needs_no_arm() -> None:
    found = measure(make_study(identity=lambda c: min(noisy(c), 2.1 - c.weight), weights=(0.0, 0.4, 1.0, 1.3, 1.5)))
    assert get(found, "dose.peak_loss").value == pytest.approx(0.1, abs=0.03)  # the first weight above it, 1.3


def test_where_nothing_goes_beyond_the_full_weight_there_is_no_peak() -> None:
    one = get(measure(make_study(identity=noisy)), "dose.peak_loss")
    assert (one.value, one.reason) == (None, "no weight above 1 was rendered")


def column(*means: float) -> Sample:
    return Sample(rate=False, units={f"e{i}": {("close-up", 0): mean} for i, mean in enumerate(means)})


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=8))
def test_the_monotone_curve_is_the_nearest_one(values: list[float]) -> None:
    assert monotone(values) == pytest.approx(list(isotonic_regression(values).x), abs=1e-9)


def test_over_baked_weights_do_not_break_the_curve() -> None:
    """Means that fall after a peak are pooled, not extrapolated."""
    bumpy = {0.0: column(0.0, 0.0), 0.4: column(0.2, 0.2), 0.7: column(0.9, 0.9), 1.0: column(0.7, 0.7)}
    assert half_effect_weight(bumpy).value == pytest.approx(0.4 + 0.3 * 0.2 / 0.6)


def test_a_curve_that_ends_at_zero_has_no_half() -> None:
    flat = {0.0: column(0.1, 0.0), 1.0: column(-0.1, -0.2)}
    assert half_effect_weight(flat).value is None
    assert half_effect_weight({}).reason == "no environment was read at every weight"


def test_nine_of_ten_intervals_hold_the_half_effect_weight() -> None:
    rng, held = random.Random(4), 0
    for _ in range(400):
        tilt = [rng.gauss(1.0, 0.15) for _ in range(5)]
        curve = {w: column(*(w * t + rng.gauss(0, 0.05) for t in tilt)) for w in (0.0, 0.4, 0.6, 0.7, 0.8, 1.0)}
        ends = half_effect_weight(curve).interval
        held += ends is not None and ends[0] <= 0.5 <= ends[1]
    assert 0.85 <= held / 400 <= 0.95
