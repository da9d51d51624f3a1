"""Whose faces a dataset's pictures show."""

from __future__ import annotations

from lora_doctor.dataset_people import people_of, second_person
from tests.audits.test_people import case_of
from tests.make_faces import faces


def test_a_second_person_is_named_by_the_pictures() -> None:
    people = [0] * 30 + [1] * 12
    assert sorted(second_person(people_of(case_of(faces(people, far=[False] * 42))))) == list(range(30, 42))


def test_of_two_people_the_one_who_is_shown_less_often_is_the_second() -> None:
    people = [0] * 12 + [1] * 18
    often = [4] * 12 + [1] * 18
    assert sorted(second_person(people_of(case_of(faces(people, far=[False] * 30), often)))) == list(range(12, 30))


def test_one_person_has_no_second() -> None:
    assert second_person(people_of(case_of(faces([0] * 42)))) == ()


def test_strays_are_no_second_person() -> None:
    assert second_person(people_of(case_of(faces([0] * 30 + [1, 2, 3, 4], far=[False] * 34)))) == ()


def test_a_look_alike_is_a_second_person_too() -> None:
    crowd = faces([0] * 24 + [1] * 14, alike=0.5, far=[False] * 38)
    people = people_of(case_of(crowd))
    assert not isinstance(people.faces, str)
    assert people.faces.likeness is not None
    assert people.faces.likeness > 0.3
    assert set(second_person(people)) <= set(range(24, 38))
    assert len(second_person(people)) >= 10


def test_too_few_faces_name_nobody() -> None:
    assert second_person(people_of(case_of(faces([0] * 3)))) == ()
