"""Whose faces are most of a set, and how much of its person a face holds: where both are known."""

from __future__ import annotations

import numpy as np
import pytest

from lora_doctor.face_mixture import MOST, FaceSet, evenly_taken, kept_share, largest_person, with_others
from tests.make_faces import HELD, faces


def face_set(people: list[int], seed: int, weights: list[float] | None = None) -> FaceSet:
    crowd = faces(people, seed)
    return FaceSet(rows=crowd.rows, sides=np.array(crowd.sides), turned=np.ones(len(people)),
                   weights=np.array(weights or [1.0] * len(people)))  # fmt: skip


def test_what_is_kept_of_a_face_grows_with_its_side() -> None:
    kept = kept_share(np.array([1.0, 12.0, 24.0, 112.0, np.inf]), 12.0)
    assert list(kept) == sorted(kept)
    assert kept[1] == 0.5
    assert kept[-1] == 1.0
    assert set(kept_share(np.array([3.0, 300.0]), 0.0)) == {1.0}


@pytest.mark.parametrize("seed", range(6))
def test_the_level_of_large_faces_is_what_they_hold_of_their_person(seed: int) -> None:
    level = largest_person(face_set([0] * 60, seed))[1]
    # A face's cosine with the centre of n others that hold h: h * h / sqrt(h**2 + (1 - h**2) / n).
    assert level.own == pytest.approx(HELD, abs=0.06)
    assert 15 <= level.half <= 24, "the small faces, of 26 pixels, hold half of the person, and share a blur"


@pytest.mark.parametrize("seed", range(6))
def test_the_person_whose_faces_weigh_most_is_the_largest(seed: int) -> None:
    people = [0] * 24 + [1] * 16
    first = largest_person(face_set(people, seed))[0]
    heavier = largest_person(face_set(people, seed, [1.0] * 24 + [4.0] * 16))[0]
    large = np.arange(40) % 3 != 2
    assert list(first[large]) == [person == 0 for person in np.array(people)[large]]
    assert list(heavier[large]) == [person == 1 for person in np.array(people)[large]]


def test_the_chance_of_a_stranger_goes_with_the_members() -> None:
    members, _, _, chance = largest_person(face_set([0] * 30 + [1] * 2, 1))
    assert list(members) == list(chance < 0.5)
    assert min(chance[30:]) > 0.9


def test_a_face_is_compared_with_the_centre_of_the_others_alone() -> None:
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    centre = rows[1] + rows[2]
    assert with_others(rows, np.ones(3))[0] == pytest.approx(rows[0] @ centre / np.linalg.norm(centre))
    assert with_others(rows, np.array([1.0, 1.0, 0.0]))[0] == pytest.approx(0.0)


def test_of_many_faces_so_many_are_taken_evenly_and_of_few_all() -> None:
    assert list(evenly_taken(np.arange(MOST))) == list(range(MOST))
    some = evenly_taken(np.arange(3 * MOST))
    assert len(some) == MOST
    assert (some[0], some[-1]) == (0, 3 * MOST - 1)
    assert set(np.diff(some)) <= {2, 3, 4}
