"""Who is shipped: the best verdict first, then the highest lower end; and when nobody can say."""

from __future__ import annotations

import itertools
import random

import pytest

from lora_doctor.comparison_choice import Candidate, choose, pareto
from lora_doctor.comparison_samples import sign
from lora_doctor.types import Measurement


def candidate(run: str, value: float, outcome: str = "SHIP", weight: str = "1", half: float | None = 0.1) -> Candidate:
    ends = None if half is None else (value - half, value + half)
    return Candidate(run=run, weight=weight, outcome=outcome, levels={"identity": measured(value, ends)})


def measured(value: float | None, interval: tuple[float, float] | None = None) -> Measurement:
    return Measurement(name="x", value=value, unit="score", interval=interval, reason="why not")


def told(value: float | None, low: float = 0.0, high: float = 0.0) -> object:
    return lambda one, other: measured(value, None if value is None else (low, high))


def test_the_highest_lower_end_wins_and_not_the_highest_point() -> None:
    sure, wild = candidate("sure", 0.8, half=0.02), candidate("wild", 0.9, half=0.3)
    choice = choose([wild, sure], told(0.1, 0.02, 0.2), 0.1)
    assert (choice.answer, choice.best, choice.runner_up) == ("ship", sure, wild)
    assert choice.sentence.startswith("Ship sure at weight 1")


def test_the_best_weight_is_named_and_the_runner_up_is_another_version() -> None:
    rows = [candidate("a", 0.9), candidate("a", 0.95, weight="0.8"), candidate("b", 0.7)]
    choice = choose(rows, told(0.2, 0.1, 0.3), 0.1)
    assert choice.best == rows[1] and choice.runner_up == rows[2]


@pytest.mark.parametrize(
    ("low", "high", "answer", "words"),
    [(0.01, 0.3, "ship", "above b"), (-0.05, 0.08, "ship", "less than matters"), (-0.02, 0.3, "close", "Too close")],
)
def test_two_that_can_both_be_shipped(low: float, high: float, answer: str, words: str) -> None:
    choice = choose([candidate("a", 0.9), candidate("b", 0.8)], told(0.1, low, high), 0.1)
    assert choice.answer == answer and words in choice.sentence


def test_a_difference_that_cannot_be_measured_is_too_close_to_call() -> None:
    choice = choose([candidate("a", 0.9), candidate("b", 0.8)], told(None), 0.1)
    assert choice.answer == "close" and "not measured" in choice.sentence


def test_a_verdict_goes_before_any_score() -> None:
    held, shipped = candidate("held", 0.99, "HOLD"), candidate("shipped", 0.7)
    choice = choose([held, shipped], told(-0.2, -0.3, -0.1), 0.1)
    assert choice.best == shipped and choice.answer == "ship" and "the only version" in choice.sentence


@pytest.mark.parametrize(("outcome", "answer"), [("HOLD", "none"), ("INCONCLUSIVE", "inconclusive")])
def test_where_none_ships_the_least_bad_is_named_and_said_to_be_that(outcome: str, answer: str) -> None:
    choice = choose([candidate("a", 0.2, "HOLD"), candidate("b", 0.1, outcome)], told(0.1, 0.0, 0.2), 0.1)
    assert choice.answer == answer
    assert choice.sentence.startswith("None can be shipped. The least bad is ")
    assert choice.best is not None and choice.best.run == ("a" if outcome == "HOLD" else "b")


def test_what_has_no_interval_is_never_chosen() -> None:
    choice = choose([candidate("a", 0.9, half=None), candidate("b", 0.2)], told(0.1), 0.1)
    assert choice.best is not None and choice.best.run == "b"
    assert choose([candidate("a", 0.9, half=None)], told(0.1), 0.1).answer == "inconclusive"


EFFECTS = {"identity": 0.1, "no_face": 0.1}


def row(run: str, identity: float, no_face: float) -> Candidate:
    return Candidate(run=run, weight="1", outcome="SHIP",
                     levels={"identity": measured(identity), "no_face": measured(no_face)})  # fmt: skip


def beaten(*rows: Candidate) -> list[str | None]:
    return [each.beaten_by for each in pareto(rows, EFFECTS, sign)]


def test_ahead_somewhere_and_behind_nowhere_beats() -> None:
    assert beaten(row("a", 0.9, 0.0), row("b", 0.7, 0.0)) == [None, "a at weight 1"]
    assert beaten(row("a", 0.9, 0.05), row("b", 0.7, 0.0)) == [None, "a at weight 1"]  # behind by less than matters
    assert beaten(row("a", 0.9, 0.2), row("b", 0.7, 0.0)) == [None, None]
    assert beaten(row("a", 0.9, 0.0), row("b", 0.85, 0.0)) == [None, None]  # ahead by less than matters


def test_two_never_beat_each_other() -> None:
    rng = random.Random(2)
    for _ in range(300):
        rows = [row(name, rng.random(), rng.random()) for name in "abc"]
        for one, other in itertools.combinations(rows, 2):
            assert beaten(one, other).count(None) >= 1
