"""How alike two groups of faces are, and the halves of one: on embeddings whose people are known."""

from __future__ import annotations

import numpy as np
import pytest

from lora_doctor.face_halves import corrected_cosine, mean_within, side_chance, two_halves
from lora_doctor.face_mixture import FaceSet
from tests.make_faces import DIMENSIONS, Crowd, faces


def face_set(crowd: Crowd, weights: list[float] | None = None) -> FaceSet:
    count = len(crowd.sides)
    return FaceSet(rows=crowd.rows, sides=np.array(crowd.sides), turned=np.ones(count),
                   weights=np.array(weights or [1.0] * count))  # fmt: skip


def test_the_corrected_cosine_forgets_how_poor_faces_are() -> None:
    people = [0] * 200 + [0] * 200 + [1] * 200
    crowd = faces(people, 6, alike=0.4, far=[False] * 600)
    poor = np.random.default_rng(7).standard_normal(crowd.rows.shape) / np.sqrt(DIMENSIONS)
    rows = np.where(np.arange(600)[:, None] >= 200, crowd.rows + 1.5 * poor, crowd.rows)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    first, again, other = (np.arange(600) // 200 == part for part in range(3))
    assert corrected_cosine(rows, first, again) == pytest.approx(1.0, abs=0.03)
    assert corrected_cosine(rows, first, other) == pytest.approx(0.4, abs=0.05)
    assert corrected_cosine(rows, other, first) == pytest.approx(corrected_cosine(rows, first, other))
    assert corrected_cosine(rows, first, np.arange(600) == 599) is None


def test_the_mean_within_a_group_is_that_of_all_its_pairs() -> None:
    rows = faces([0] * 7, 1).rows
    pairs = [rows[i] @ rows[j] for i in range(7) for j in range(7) if i != j]
    assert mean_within(rows, np.zeros(7)) == pytest.approx(np.mean(pairs))
    poor = np.linspace(0, 0.5, 7)
    common = [poor[i] * poor[j] for i in range(7) for j in range(7) if i != j]
    assert mean_within(rows, poor) == pytest.approx(np.mean(pairs) - np.mean(common))
    assert mean_within(rows[:1], np.zeros(1)) is None


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("second", [12, 16])
def test_two_people_taken_for_one_come_into_different_halves(second: int, seed: int) -> None:
    people = np.array([0] * (32 - second) + [1] * second)
    crowd = faces(list(people), seed, far=[False] * 32)
    parts = two_halves(face_set(crowd), np.ones(32, bool), np.ones(32))
    assert parts is not None
    strays = min((parts[number] != (people == 1)).sum() for number in (0, 1))
    assert strays <= 5, "chance alone halves them with about 13 strays"
    likeness = corrected_cosine(crowd.rows, *parts)
    assert likeness is not None
    assert likeness < 0.4


def test_the_weightier_half_comes_first() -> None:
    people = np.array([0] * 16 + [1] * 16)
    crowd = faces(list(people), 0, far=[False] * 32)
    for heavy in (0, 1):
        weights = [2.0 if person == heavy else 1.0 for person in people]
        parts = two_halves(face_set(crowd, weights), np.ones(32, bool), np.ones(32))
        assert parts is not None
        assert [list(part) for part in parts] == [list(people == heavy), list(people != heavy)]


def test_faces_that_are_no_members_are_in_neither_half() -> None:
    crowd = faces([0] * 10 + [1] * 10 + [2] * 5, 3, far=[False] * 25)
    members = np.arange(25) < 20
    parts = two_halves(face_set(crowd), members, np.ones(25))
    assert parts is not None
    assert list(parts[0] | parts[1]) == list(members)
    assert not (parts[0] & parts[1]).any()


def test_five_faces_have_no_halves() -> None:
    crowd = faces([0] * 3 + [1] * 2, 4, far=[False] * 5)
    assert two_halves(face_set(crowd), np.ones(5, bool), np.ones(5)) is None


@pytest.mark.parametrize("seed", range(4))
def test_the_side_of_a_face_is_that_of_the_centre_it_is_nearer_to(seed: int) -> None:
    people = np.array([0] * 20 + [1] * 12)
    chance = side_chance(faces(list(people), seed, far=[False] * 32).rows, people == 0, people == 1)
    assert max(chance[people == 0]) < 0.01
    assert min(chance[people == 1]) > 0.99
