"""Whose faces a dataset's pictures show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from lora_doctor.dataset_people import other_people, other_people_by_mark
from lora_doctor.types import Case, OtherPeople
from tests.audits.test_people import case_of
from tests.make_faces import faces


def crowd(people: Sequence[int], repeats: Sequence[int] | None = None) -> Case:
    """One large face of each of these people."""
    return case_of(faces(people, far=[False] * len(people)), repeats)


def lost(case: Case, *places: int) -> Case:
    """The same with these pictures unreadable."""
    return replace(case, references=tuple(None if i in places else one for i, one in enumerate(case.references)))


def pictures(found: OtherPeople) -> list[list[int]]:
    return [sorted(group) for group in found.groups]


def test_a_second_person_is_named_by_the_pictures() -> None:
    assert pictures(other_people(crowd([0] * 30 + [1] * 12))) == [list(range(30, 42))]


def test_a_third_person_is_named_too() -> None:
    found = other_people(crowd([0] * 20 + [1] * 12 + [2] * 10))
    assert pictures(found) == [list(range(20, 32)), list(range(32, 42))]


def test_of_two_people_the_one_who_is_shown_less_often_is_the_second() -> None:
    found = other_people(crowd([0] * 12 + [1] * 18, [4] * 12 + [1] * 18))
    assert pictures(found) == [list(range(12, 30))]


def test_one_person_has_nobody_else() -> None:
    assert other_people(case_of(faces([0] * 42))) == OtherPeople()


def test_strays_are_nobody_who_returns() -> None:
    assert other_people(crowd([0] * 30 + [1, 2, 3, 4])) == OtherPeople()


def test_copies_of_one_picture_are_a_stray() -> None:
    case = crowd([0] * 30 + [1] * 3)
    assert pictures(other_people(case)) == [[30, 31, 32]]
    assert other_people(case, copies=[(30, 31, 32)]) == OtherPeople()


def test_a_look_alike_is_somebody_else_too() -> None:
    (group,) = other_people(case_of(faces([0] * 24 + [1] * 14, alike=0.5, far=[False] * 38))).groups
    assert set(group) <= set(range(24, 38))
    assert len(group) >= 10


def test_too_few_faces_give_a_reason_and_name_nobody() -> None:
    found = other_people(case_of(faces([0] * 3)))
    assert found.groups == ()
    assert "5 are needed" in (found.unknown or "")


@pytest.mark.parametrize(("gone", "says"), [((60,), None), ((60, 61), "2 pictures"), ((60, 61, 62, 63), "4 pictures")])
def test_pictures_that_cannot_be_read_may_show_somebody_else(gone: tuple[int, ...], says: str | None) -> None:
    """Four of sixty-four pictures show somebody else: losing some of them must not clear the set of the suspicion."""
    found = other_people(lost(crowd([0] * 60 + [1] * 4), *gone))
    assert bool(found.groups) == (says is None)
    assert found.unknown is None if says is None else says in (found.unknown or "")


def test_one_lost_picture_of_one_person_is_no_doubt() -> None:
    assert other_people(lost(case_of(faces([0] * 42)), 3)) == OtherPeople()


def cosines(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return np.asarray(one @ two.T)


def test_by_the_mark_of_an_instrument_for_pairs_the_same_people_are_told_apart() -> None:
    case = crowd([0] * 20 + [1] * 12 + [2] * 10 + [3])
    found = other_people_by_mark(case, cosines, 0.28)
    assert pictures(found) == [list(range(20, 32)), list(range(32, 42))]


def test_by_the_mark_one_person_is_one() -> None:
    assert other_people_by_mark(crowd([0] * 42), cosines, 0.28) == OtherPeople()


def test_by_the_mark_too_few_pictures_give_a_reason() -> None:
    assert "too few to tell" in (other_people_by_mark(crowd([0] * 2), cosines, 0.28).unknown or "")
