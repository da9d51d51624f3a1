"""What a policy makes of a finding, one at a time; the whole is tested in test_verdict.py."""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path

import pytest

from lora_doctor.effects import rule_of, weigh
from lora_doctor.policy import load_policy
from lora_doctor.types import Finding, NotEvaluated, Waiver

STANDARD = load_policy(Path(__file__).parents[1] / "rules", "standard")
FINDING = Finding(
    rule="hair-flip", symptom="", why="", state="confirmed", severity="blocker", strength=0.5, worst=0.5,
    measurements=(), causes=(),
)  # fmt: skip
WAIVER = Waiver(rule="hair-flip", reason="a wig", expires="2027-03-01")


@pytest.mark.parametrize(
    ("changes", "effect"),
    [
        ({}, "holds"),
        ({"state": "suspected"}, "leaves open"),
        ({"worst": 0.01}, "warns"),
        ({"severity": "warning"}, "warns"),
        ({"severity": "note"}, "told"),
    ],
)
def test_the_effect_of_a_finding(changes: dict[str, object], effect: str) -> None:
    (weighed,) = weigh([dataclasses.replace(FINDING, **changes)], STANDARD, today=None)  # type: ignore[arg-type]
    assert weighed.effect == effect and weighed.waiver is None


def test_weighing_twice_is_weighing_once_and_yesterdays_waiver_is_forgotten() -> None:
    policy = dataclasses.replace(STANDARD, waivers=(WAIVER,))
    once = weigh([FINDING], policy, today=date(2026, 11, 23))
    assert once[0].effect == "waived" and once[0].waiver == WAIVER
    assert weigh(once, policy, today=date(2026, 11, 23)) == once
    assert weigh(once, policy, today=date(2028, 1, 1))[0].effect == "holds"


def test_the_slice_of_an_unevaluated_rule_is_no_part_of_its_name() -> None:
    assert rule_of(NotEvaluated(rule="hair-flip {attribute: hair}", reason="")) == "hair-flip"
