"""Cure trials: what counts as cured, how pairs are tested, and that another treatment is wrong in each respect."""

from __future__ import annotations

from math import comb

import pytest

from benchmarks.cure_arms import ARMS, PLACEBO, PRESCRIBED, WRONG
from benchmarks.cure_tables import Trial, mcnemar, pairs, shares, side_by_side


def trial(arm: str, left: str = "gone", seed: int = 11, new: tuple[str, ...] = ()) -> Trial:
    return Trial(
        patient="low-rank-206", fault="low-rank", arm=arm, seed=seed, treated="low-weight-forgetting", told="",
        verdict="HOLD", left=left, new_blockers=new, confirmed=new,
    )  # fmt: skip


@pytest.mark.parametrize("better, worse", [(5, 0), (8, 1), (3, 3), (0, 4), (12, 2)])
def test_exact_mcnemar_is_twice_the_binomial_tail(better: int, worse: int) -> None:
    n, few = better + worse, min(better, worse)
    tail = sum(comb(n, k) for k in range(few + 1)) / 2**n
    assert mcnemar(better, worse) == pytest.approx(min(1.0, 2 * tail))


def test_no_discordant_pair_tells_nothing() -> None:
    assert mcnemar(0, 0) == 1.0


@pytest.mark.parametrize("left", ["suspected", "confirmed", "not judged"])
def test_a_finding_that_is_not_gone_is_not_cured(left: str) -> None:
    assert not trial(PRESCRIBED, left).cured


def test_a_new_blocker_is_no_cure() -> None:
    assert trial(PRESCRIBED).cured and not trial(PRESCRIBED, new=("overbaked",)).cured


def test_pairs_are_of_the_same_patient_and_seed() -> None:
    trials = [trial(PRESCRIBED), trial(PLACEBO, "confirmed"), trial(PRESCRIBED, seed=12), trial(WRONG, seed=12)]
    assert list(pairs(trials))[2:] == [
        "| placebo | 1 | 0 | 1 | 0 | 0 | 1 |",
        "| wrong | 1 | 1 | 0 | 0 | 0 | 1 |",
    ]
    assert list(shares(trials))[2].startswith("| low-rank | 2 of 2 | 0 of 1 | 1 of 1 |")
    assert ARMS == (PRESCRIBED, PLACEBO, WRONG)


def test_the_arms_of_a_patient_and_seed_stand_side_by_side() -> None:
    new = trial(WRONG, new=("overbaked",))
    told = list(side_by_side([trial(PRESCRIBED), trial(PLACEBO, "confirmed"), new, trial(PLACEBO, seed=12)]))[2:]
    whose = "| low-rank-206 | low-weight-forgetting |"
    assert told == [
        f"{whose}  | 11 | **gone**, HOLD | confirmed, HOLD | gone, HOLD, new: overbaked |",
        f"{whose} - | 12 | - | **gone**, HOLD | - |",
    ]
