"""What is to go, how sure that is, and what is balanced without it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from lora_doctor.ratio_ways import Ways, ways_to
from lora_doctor.removals import gone_of, removals_of, several_characters, told_of, ways_without
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, Finding, Fix, Measurement, RankedCause
from tests.audits.make_case import Picture, dataset_of

DATASET = dataset_of([*[Picture(role=IDENTITY_EMPHASIS)] * 6, *[Picture(role=IN_CONTEXT)] * 6])


def finding(rule: str, state: Literal["confirmed", "suspected"], *pictures: int) -> Finding:
    cause = RankedCause(because="", fix=Fix(dataset={"leave_out": "pictures"}), log_odds=1.0, evidence=())
    measured = Measurement(name="x", value=1.0, pictures=pictures)
    return Finding(
        rule=rule, symptom="Odd.", why="", state=state, severity="warning", strength=1.0, measurements=(measured,),
        causes=(cause,),
    )  # fmt: skip


def test_a_picture_goes_once_by_its_surest_finding() -> None:
    found = removals_of(DATASET, [finding("a", "suspected", 0, 1), finding("b", "confirmed", 1)], several=False)
    assert {each.path: (each.why, each.sure) for each in found} == {
        DATASET.images[0].path: ("a: Odd", False),
        DATASET.images[1].path: ("b: Odd", True),
    }
    assert gone_of(found) == {DATASET.images[1].path}


def test_among_several_characters_no_picture_is_certain_to_go() -> None:
    found = removals_of(DATASET, [finding("b", "confirmed", 1)], several=True)
    assert [each.sure for each in found] == [False] and gone_of(found) == frozenset()


@pytest.mark.parametrize(
    ("apart", "rule", "state", "told"),
    [
        (("yuki", "misa"), "x", "confirmed", "yuki and misa each stand in a part of the captions"),
        ((), "two-identities", "confirmed", "the pictures show two people"),
        ((), "two-identities", "suspected", None),
        ((), "another-person", "confirmed", None),
    ],
)
def test_several_characters_are_told_by_words_apart_or_by_faces(
    apart: tuple[str, ...], rule: str, state: Literal["confirmed", "suspected"], told: str | None
) -> None:
    assert several_characters(apart, [finding(rule, state)]) == told


def test_the_plan_is_that_of_the_pictures_that_stay() -> None:
    gone = {image.path for image in DATASET.images[:3]}
    left = replace(DATASET, images=DATASET.images[3:])
    ways = ways_without(DATASET, gone, several=False)
    assert ways == ways_to(left) != ways_to(DATASET)
    assert told_of(ways, gone, None) == ("Without the 3 pictures that are certain to go:", *ways.says)
    assert told_of(ways, (), None) == ways.says


def test_several_characters_have_no_plan_together() -> None:
    assert ways_without(DATASET, (), several=True) == Ways(says=(), repeats={})
    [says] = told_of(Ways(says=(), repeats={}), {Path("x")}, "two")
    assert says.startswith("The set may hold several characters (two)")
