"""The benchmark counts what it is shown: found, explained, false alarms."""

from __future__ import annotations

from pathlib import Path

from benchmarks.detection import Job, Outcome, confusion, planned, shares

WORK = Path("work")
RANK = "The rank is too low to hold the character."


def outcome(fault: str, verdict: str, *confirmed: str, cause: str = "") -> Outcome:
    return Outcome(Job(fault, 1, WORK), verdict, confirmed, (), cause)


def test_a_fault_is_found_by_verdict_and_first_finding_and_explained_by_a_planted_cause() -> None:
    right = outcome("low-rank", "HOLD", "low-weight-forgetting", "body-drift", cause=RANK)
    assert (right.found, right.explained) == (True, True)
    other = outcome("low-rank", "HOLD", "low-weight-forgetting", cause="Training stopped too early.")
    assert (other.found, other.explained) == (True, False)
    assert not outcome("low-rank", "HOLD", "body-drift", "low-weight-forgetting", cause=RANK).found
    assert not outcome("low-rank", "INCONCLUSIVE", "low-weight-forgetting", cause=RANK).found


def test_a_healthy_lora_is_found_when_it_ships_without_a_confirmed_finding() -> None:
    assert outcome("healthy", "SHIP").explained
    assert not outcome("healthy", "SHIP", "body-drift").found
    assert not outcome("healthy", "INCONCLUSIVE").found


def test_a_fault_that_only_warns_is_found_whatever_the_verdict_and_by_a_rule_that_is_as_good() -> None:
    again = "The training set holds the same picture several times."
    assert outcome("copies", "INCONCLUSIVE", "memorised", "pose-rigidity", cause=again).explained
    assert outcome("copies", "SHIP", "copied-face", cause="Pictures are in the dataset more than once, and").explained
    assert not outcome("copies", "SHIP", "pose-rigidity", "memorised", cause=again).found


def test_the_confusion_matrix_has_a_row_for_each_fault_and_counts_everybody() -> None:
    lines = list(confusion([outcome("low-rank", "HOLD", "low-weight-forgetting"), outcome("low-rank", "INCONCLUSIVE")]))
    assert lines[0] == "| planted | INCONCLUSIVE | low-weight-forgetting |"
    assert lines[2:] == ["| low-rank | 1 | 1 |"]


def test_false_alarms_are_summed_over_the_healthy() -> None:
    lines = list(shares([outcome("healthy", "SHIP"), outcome("healthy", "HOLD", "body-drift", "hair-flip")]))
    assert lines[-1] == "\nConfirmed symptoms in 2 healthy LoRAs: 2."
    assert lines[1].startswith("| healthy | 1 of 2 [")


def test_no_two_patients_share_a_character_and_none_is_bundled() -> None:
    jobs = planned(WORK, ["healthy", "low-rank", "hair-flip", "closeup-only"], 6, 12)
    seeds = [job.seed for job in jobs]
    assert len(set(seeds)) == len(seeds) and min(seeds) > 108 and max(seeds) < 100_000


def test_a_faults_characters_do_not_depend_on_the_others_asked_for() -> None:
    alone = [job.seed for job in planned(WORK, ["low-rank"], 3, 0)]
    assert alone == [job.seed for job in planned(WORK, ["healthy", "low-rank"], 3, 2) if job.fault == "low-rank"]
