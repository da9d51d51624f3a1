"""A LoRA of two people under one name is measured against each of them, and not against their mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lora_doctor.metrics import identity, second_person
from lora_doctor.types import FRAMINGS, Cell, OtherPeople, Reading, Study
from tests.metrics.make_study import CEILING, DIMENSIONS, FLOOR, get, make_study, reading, references

SHIP = {"weight": "ship"}
OTHER = DIMENSIONS - 1
"""The axis of the second person."""


def turned(one: Reading, first: float, second: float) -> Reading:
    """The picture with these cosines with the two people's axes."""
    assert one.face.embedding is not None
    embedding = np.array(one.face.embedding)
    embedding[[0, OTHER]] = 0
    embedding *= math.sqrt(1 - first**2 - second**2) / np.linalg.norm(embedding)
    embedding[[0, OTHER]] = first, second
    return replace(one, face=replace(one.face, embedding=embedding))


def study_of(drawn: Callable[[Cell], tuple[float, float]], others: int = 12) -> Study:
    """Eighteen references of the character, `others` of somebody else, and renders with so much of the two."""
    refs = references((*FRAMINGS * 6, *[FRAMINGS[i % 3] for i in range(others)]))
    refs = (*refs[:18], *(turned(one, 0.0, CEILING) for one in refs[18:] if one is not None))
    study = make_study(refs=refs, replicates=6)
    cells = {cell.key: cell for cell in study.cells}
    renders = {key: turned(one, *drawn(cells[key])) for key, one in study.renders.items()}
    return replace(study, renders=renders, others=OtherPeople(groups=(tuple(range(18, 18 + others)),)))


def blended(cell: Cell) -> tuple[float, float]:
    half = FLOOR + cell.weight / 2 * (CEILING - FLOOR)
    return half, half


def test_a_face_between_two_people_is_half_of_each_and_no_likeness_of_the_character() -> None:
    study = study_of(blended)
    other = get(second_person.measure(study), "identity.second_person", **SHIP)
    assert other.value == pytest.approx(0.425, abs=0.02)
    assert other.interval is not None
    assert other.interval[0] > 0.25
    own = get(identity.measure(study), "identity.score", weight="1")
    assert own.value == pytest.approx(0.5, abs=0.02)


def test_against_the_mean_of_both_a_blend_would_pass_for_the_character() -> None:
    """What leaving the second person out of the references is for."""
    untold = get(
        identity.measure(replace(study_of(blended, others=18), others=OtherPeople())), "identity.score", weight="1"
    )
    assert (untold.value or 0) > 0.65


def test_a_lora_of_the_character_has_nothing_of_the_other() -> None:
    study = study_of(lambda cell: (FLOOR + cell.weight * (CEILING - FLOOR), 0.0))
    other = get(second_person.measure(study), "identity.second_person", **SHIP)
    assert other.value == pytest.approx(0.0, abs=0.02)
    assert get(identity.measure(study), "identity.score", weight="1").value == pytest.approx(1.0, abs=0.02)


def test_where_there_is_no_second_person_nothing_is_of_them() -> None:
    other = get(second_person.measure(make_study()), "identity.second_person", **SHIP)
    assert (other.value, other.interval) == (0.0, (0.0, 0.0))
    assert "nobody returns" in (other.reason or "")


def test_faces_that_cannot_be_held_against_each_other_give_a_reason_not_zero() -> None:
    study = replace(study_of(blended, others=3), copies=((18, 19, 20),))
    other = get(second_person.measure(study), "identity.second_person", **SHIP)
    assert other.value is None
    assert "somebody else is in 3 pictures" in (other.reason or "") and "too few faces" in (other.reason or "")


def test_too_few_pictures_of_the_character_are_told_with_those_of_the_other() -> None:
    study = replace(study_of(blended), others=OtherPeople(groups=(tuple(range(2, 30)),)))
    score = get(identity.measure(study), "identity.score", **SHIP)
    assert score.value is None
    assert "28 show somebody else" in (score.reason or "")


def test_what_is_left_out_is_told() -> None:
    ceiling = get(identity.measure(study_of(blended)), "identity.ceiling")
    assert "12 pictures of somebody else left out" in (ceiling.reason or "")


def test_the_reading_without_a_face_is_no_picture_of_the_other() -> None:
    faceless = reading(cosine=None, noise=1, labels={})
    study = study_of(blended)
    refs = (*study.references[:29], faceless)
    other = get(second_person.measure(replace(study, references=refs)), "identity.second_person", **SHIP)
    assert other.value == pytest.approx(0.425, abs=0.03)


def alike(second: float) -> Study:
    """Two people with a cosine of 0.5 between them, and renders that have of the second what everything like the first
    has, and `second` more at weight 1."""

    def drawn(cell: Cell) -> tuple[float, float]:
        first = FLOOR + cell.weight * (1 - second) * (CEILING - FLOOR)
        return first, second * cell.weight * (CEILING - FLOOR)

    study = study_of(drawn)
    refs = tuple(
        turned(one, CEILING / 2, CEILING * math.sqrt(0.75)) if place >= 18 and one is not None else one
        for place, one in enumerate(study.references)
    )
    return replace(study, references=refs)


@pytest.mark.parametrize("part", [0.0, 0.3])
def test_what_two_people_have_in_common_is_no_part_of_the_second(part: float) -> None:
    study = alike(part)
    found = get(second_person.measure(study), "identity.second_person", **SHIP).value
    # Of the second axis alone, at the mean ship weight of 0.85, in parts of what the second's pictures have of it.
    assert found == pytest.approx(part * 0.85 * (CEILING - FLOOR) / (CEILING * math.sqrt(0.75)), abs=0.02)


def test_where_nobody_can_say_who_else_is_there_it_is_a_reason_and_no_zero() -> None:
    study = replace(make_study(), others=OtherPeople(unknown="the face instrument cannot tell people apart here"))
    other = get(second_person.measure(study), "identity.second_person", **SHIP)
    assert other.value is None
    assert "cannot tell people apart" in (other.reason or "")


def test_of_several_others_the_one_of_whom_the_renders_have_most_is_told() -> None:
    """The character, a second person whom nothing is like, and a third of whom every render has half."""
    study = study_of(blended)
    stranger = [turned(one, 0.0, 0.0) for one in references(FRAMINGS * 2) if one is not None]
    for place, one in enumerate(stranger):
        assert one.face.embedding is not None
        embedding = np.array(one.face.embedding) * math.sqrt(1 - CEILING**2)
        embedding[OTHER - 1] = CEILING
        stranger[place] = replace(one, face=replace(one.face, embedding=embedding))
    refs = (*study.references, *stranger)
    (blend,) = study.others.groups
    both = replace(study, references=refs, others=OtherPeople(groups=(tuple(range(30, 36)), blend)))
    other = get(second_person.measure(both), "identity.second_person", **SHIP)
    assert other.value == pytest.approx(0.425, abs=0.02)
    assert other.pictures == blend
    assert get(identity.measure(both), "identity.score", weight="1").value == pytest.approx(0.5, abs=0.02)


def test_the_interval_knows_of_the_error_of_the_ruler() -> None:
    few, many = (get(second_person.measure(study_of(blended, n)), "identity.second_person", **SHIP) for n in (3, 18))
    assert few.interval is not None and many.interval is not None
    assert few.interval[1] - few.interval[0] >= many.interval[1] - many.interval[0]
