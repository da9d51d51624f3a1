"""Which faces are one person's: on embeddings whose people are known."""

from __future__ import annotations

import numpy as np
import pytest

from lora_doctor.face_clusters import Faces, sort_faces
from tests.make_faces import DIMENSIONS, LARGE, Crowd, directions, faces

SEEDS = range(6)


def sort(crowd: Crowd, weights: list[float] | None = None) -> Faces:
    found = sort_faces(crowd.rows, crowd.sides, crowd.yaws, weights or [1.0] * len(crowd.sides))
    assert isinstance(found, Faces)
    return found


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [8, 42, 150])
def test_one_person_near_and_far_is_one_person(count: int, seed: int) -> None:
    found = sort(faces([0] * count, seed))
    assert set(found.person) == {0}
    assert max(found.stranger) < 0.5
    assert found.likeness is None or found.likeness > 0.85


@pytest.mark.parametrize("seed", SEEDS)
def test_one_stranger_among_42_is_found(seed: int) -> None:
    found = sort(faces([0] * 30 + [1] + [0] * 11, seed))
    assert [i for i, person in enumerate(found.person) if person] == [30]
    assert found.stranger[30] > 0.95


@pytest.mark.parametrize("seed", SEEDS)
def test_different_strangers_are_different_people(seed: int) -> None:
    people = [0] * 30 + list(range(1, 13))
    near = [place % 3 == 2 and person == 0 for place, person in enumerate(people)]
    found = sort(faces(people, seed, far=near))
    assert [person > 0 for person in found.person] == [person > 0 for person in people]
    assert len(set(found.person)) == 13


def mistakes(found: Faces, people: list[int], crowd: Crowd) -> tuple[int, int]:
    """How many large faces of the second person were not found, and how many of the character's were given away.

    A small face of the second person may stay in doubt: half of a person is no proof against anybody.
    """
    triples = list(zip(found.person, people, crowd.sides, strict=True))
    missed = sum(truth == 1 and person != 1 and side == LARGE for person, truth, side in triples)
    return missed, sum(truth == 0 and person > 0 for person, truth, _ in triples)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("second", [6, 9, 13, 20])
def test_a_second_person_is_one_group_and_the_smaller(second: int, seed: int) -> None:
    people = [0] * (42 - second) + [1] * second
    crowd = faces(people, seed)
    found = sort(crowd)
    assert mistakes(found, people, crowd) == (0, 0)
    assert found.likeness is not None
    assert abs(found.likeness) < 0.25


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("alike", [0.3, 0.5])
def test_a_look_alike_is_another_person(alike: float, seed: int) -> None:
    people = [0] * 28 + [1] * 14
    crowd = faces(people, seed, alike)
    found = sort(crowd)
    missed, given_away = mistakes(found, people, crowd)
    assert missed == 0
    assert given_away <= 2, "small faces of either lie between two who are alike"
    assert found.likeness == pytest.approx(alike, abs=0.2)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_second_person_who_has_all_far_pictures_is_no_framing_of_the_first(seed: int) -> None:
    people = [0] * 26 + [1] * 16
    crowd = faces(people, seed, far=[person == 1 for person in people])
    found = sort(crowd)
    assert mistakes(found, people, crowd) == (0, 0)
    assert found.person.count(1) >= 10, "some of them hold too little to tell"


def test_repeats_decide_who_the_character_is() -> None:
    people = [0] * 20 + [1] * 15
    crowd = faces(people, 1)
    assert [person > 0 for person in sort(crowd).person] == [person == 1 for person in people]
    shown_more = sort(crowd, [1.0] * 20 + [10.0] * 15)
    assert [person > 0 for person in shown_more.person] == [person == 0 for person in people]


def test_the_order_of_the_pictures_does_not_matter() -> None:
    people = [0] * 24 + [1] * 9 + [2]
    crowd = faces(people, 2)
    order = np.random.default_rng(0).permutation(len(people))
    mixed = Crowd(rows=crowd.rows[order], sides=[crowd.sides[i] for i in order], yaws=crowd.yaws)
    assert [sort(crowd).person[i] for i in order] == list(sort(mixed).person)


def test_a_profile_is_no_stranger_but_a_frontal_face_so_unlike_is() -> None:
    crowd = faces([0] * 30, 3, far=[False] * 30)
    rng = np.random.default_rng(9)
    away = rng.standard_normal(DIMENSIONS)
    poor = 0.45 * crowd.rows[:20].mean(axis=0) / np.linalg.norm(crowd.rows[:20].mean(axis=0))
    row = poor + np.sqrt(1 - poor @ poor) * away / np.linalg.norm(away)
    rows = np.vstack([crowd.rows, row / np.linalg.norm(row)])
    frontal = sort_faces(rows, [300.0] * 31, [0.0] * 31, [1.0] * 31)
    profile = sort_faces(rows, [300.0] * 31, [0.0] * 30 + [65.0], [1.0] * 31)
    assert isinstance(frontal, Faces) and isinstance(profile, Faces)
    assert frontal.stranger[30] > profile.stranger[30]
    assert profile.person[30] == 0


def test_too_few_faces_and_faces_of_nobody_in_particular_are_a_reason() -> None:
    few = faces([0] * 4)
    assert sort_faces(few.rows, few.sides, few.yaws, [1.0] * 4) == (
        "4 faces were found, and 5 are needed to tell whose they are"
    )
    everybody = directions(40, np.random.default_rng(4))
    said = sort_faces(everybody, [100.0] * 40, [0.0] * 40, [1.0] * 40)
    assert isinstance(said, str)
    assert "cannot tell people apart" in said


def test_equal_faces_are_one_person() -> None:
    rows = np.tile(directions(1, np.random.default_rng(5)), (10, 1))
    found = sort_faces(rows, [50.0] * 10, [0.0] * 10, [1.0] * 10)
    assert isinstance(found, Faces)
    assert set(found.person) == {0}
    assert found.similarity == pytest.approx([1.0] * 10)


def test_thousands_of_faces_are_sorted_without_comparing_each_with_each() -> None:
    people = [0] * 1500 + list(range(1, 51)) * 10
    found = sort(faces(people, 8, far=[False] * 2000))
    assert [person > 0 for person in found.person] == [person > 0 for person in people]
