"""Marks that few pictures make, move every score between them."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from lora_doctor.metrics.estimates import Estimate
from lora_doctor.metrics.ruler import Mark
from lora_doctor.metrics.ruler_error import with_ruler_error

MARK = Mark(
    floor=Estimate(value=0.2, interval=(0.15, 0.25)), ceiling=Estimate(value=0.7, interval=(0.6, 0.8)),
    gap=Estimate(value=0.5), problem=None,
)  # fmt: skip


def at(score: float, mark: Mark = MARK, longer: float = 1.0) -> tuple[float, float]:
    found = with_ruler_error(Estimate(value=score, interval=(score, score)), mark, longer)
    assert found.value == score and found.interval is not None
    return found.interval


def test_at_the_ceiling_its_error_counts_alone_and_at_the_floor_the_floors() -> None:
    assert at(1.0) == pytest.approx((0.8, 1.2))
    assert at(0.0) == pytest.approx((-0.1, 0.1))
    assert at(0.0, longer=2.0) == pytest.approx((-0.2, 0.2))


def test_a_ceiling_that_may_lie_higher_takes_the_score_down() -> None:
    mark = replace(MARK, ceiling=replace(MARK.ceiling, interval=(0.7, 0.8)), floor=Estimate(value=0.2))
    assert at(1.0, mark) == pytest.approx((0.8, 1.0))


def test_marks_without_an_interval_and_scores_without_one_stay_as_they_are() -> None:
    bare = replace(MARK, floor=Estimate(value=0.2), ceiling=Estimate(value=0.7))
    assert at(0.6, bare) == (0.6, 0.6)
    assert with_ruler_error(Estimate(value=0.6), MARK) == Estimate(value=0.6)
    assert with_ruler_error(Estimate(reason="nothing"), MARK) == Estimate(reason="nothing")


@pytest.mark.parametrize("score", [0.2, 0.6, 1.0])
def test_nine_of_ten_intervals_hold_the_score_on_the_true_ruler(score: float) -> None:
    """Marks and the similarity between them drawn with the errors that their intervals tell."""
    rng, held, trials = random.Random(11), 0, 4000
    for _ in range(trials):
        low, high = rng.gauss(0.2, 0.03), rng.gauss(0.7, 0.06)
        similarity = rng.gauss(0.2 + score * 0.5, 0.03)
        mark = Mark(
            floor=Estimate(value=low, interval=(low - 0.0493, low + 0.0493)),
            ceiling=Estimate(value=high, interval=(high - 0.0987, high + 0.0987)),
            gap=Estimate(value=high - low), problem=None,
        )  # fmt: skip
        seen, half = (similarity - low) / (high - low), 0.0493 / (high - low)
        found = with_ruler_error(Estimate(value=seen, interval=(seen - half, seen + half)), mark).interval
        assert found is not None
        held += found[0] <= score <= found[1]
    assert 0.88 <= held / trials <= 0.92
