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


def test_full_bodies_framed_otherwise_ship_as_rarely_as_faces_that_are_lost() -> None:
    found = [check((0.86, 0.90), Design(reframed=0.2), "interval", f"test-{trial}")[0] for trial in range(TRIALS)]
    assert statistics.fmean(one == "SHIP" for one in found) <= 0.05 + 3 * (0.05 * 0.95 / TRIALS) ** 0.5


def test_going_on_with_an_open_verdict_hardly_ships_what_is_right_at_the_limit() -> None:
    """With as many rounds as are said to bring it in reach."""
    found = [check((0.60, 0.80), Design(), "interval", f"test-{trial}", again=1)[0] for trial in range(TRIALS)]
    assert statistics.fmean(one == "SHIP" for one in found) <= 0.06 + 3 * (0.06 * 0.94 / TRIALS) ** 0.5
