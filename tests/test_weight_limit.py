"""A LoRA right at the limit at weight 0.7 ships as rarely as is promised, whatever it is at weight 1."""

from __future__ import annotations

import statistics

import pytest

from benchmarks.weight_limit import Design, check

TRIALS = 60


def shipped(truth: tuple[float, float], claim: str) -> float:
    found = [check(truth, Design(), claim, f"test-{truth}-{trial}")[0] for trial in range(TRIALS)]  # type: ignore[arg-type]
    return statistics.fmean(outcome == "SHIP" for outcome in found)


def test_at_the_limit_one_in_twenty_ships_and_by_points_alone_it_would_be_half() -> None:
    """Three standard errors of so many trials are left to chance."""
    assert shipped((0.60, 0.80), "interval") <= 0.05 + 3 * (0.05 * 0.95 / TRIALS) ** 0.5
    assert shipped((0.60, 0.80), "point") > 0.25


@pytest.mark.parametrize(("truth", "share"), [((0.74, 0.84), 0.9), ((0.67, 0.80), 0.7)])
def test_a_lora_that_is_clear_of_the_limit_ships(truth: tuple[float, float], share: float) -> None:
    assert shipped(truth, "interval") >= share
