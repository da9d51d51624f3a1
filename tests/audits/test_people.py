"""Who is in the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from lora_doctor.audits.people import audit
from lora_doctor.types import Case, FaceReading
from tests.audits.make_case import Picture, get, make_case
from tests.make_faces import Crowd, faces

Box = tuple[float, float, float, float]


def case_of(crowd: Crowd, repeats: Sequence[int] | None = None) -> Case:
    """The faces as a dataset, one picture each."""
    case = make_case([Picture(repeats=each) for each in repeats or [1] * len(crowd.sides)])
    read = [
        FaceReading(faces=1, score=0.9, box=(0, 0, side, 1.2 * side), boxes=((0, 0, side, 1.2 * side),), embedding=row)
        for side, row in zip(crowd.sides, crowd.rows, strict=True)
    ]
    return with_faces(case, read)


def with_faces(case: Case, read: Sequence[FaceReading]) -> Case:
    references = [replace(one, face=face) for one, face in zip(case.references, read, strict=True) if one is not None]
    return replace(case, references=tuple(references))


def test_a_set_of_one_person_has_one() -> None:
    found = audit(case_of(faces([0] * 42)))
    assert get(found, "people.stranger_share").value == 0
    assert get(found, "people.second_share").value == 0
    assert get(found, "people.identities").value == 1
    assert (get(found, "people.likeness").value or 0) > 0.85
    strangers = get(found, "people.stranger_share")
    assert strangers.interval is not None
    assert strangers.interval[1] < 0.015
    assert strangers.pictures == ()


def test_strangers_are_named_worst_first_and_weighted_by_repeats() -> None:
    people = [0] * 20 + [1, 2] + [0] * 18
    near = [place % 3 == 2 and not person for place, person in enumerate(people)]
    repeats = [1] * 20 + [5, 1] + [1] * 18
    found = audit(case_of(faces(people, far=near), repeats))
    strangers = get(found, "people.stranger_share")
    assert strangers.value == pytest.approx(6 / 44)
    assert sorted(strangers.pictures) == [20, 21]
    assert strangers.interval is not None
    assert strangers.interval[0] > 0.1
    assert get(found, "people.second_share").value == 0


def test_a_second_person_is_counted_and_named() -> None:
    people = [0] * 30 + [1] * 12
    found = audit(case_of(faces(people, far=[False] * 42)))
    second = get(found, "people.second_share")
    assert second.value == pytest.approx(12 / 42)
    assert sorted(second.pictures) == list(range(30, 42))
    assert get(found, "people.identities").value == pytest.approx(
        np.exp(-5 / 7 * np.log(5 / 7) - 2 / 7 * np.log(2 / 7))
    )
    assert (get(found, "people.likeness").value or 0) < 0.2


def test_two_halves_do_not_say_who_is_the_character() -> None:
    strangers = get(audit(case_of(faces([0] * 21 + [1] * 21, far=[False] * 42))), "people.stranger_share")
    assert strangers.value == pytest.approx(0.5)
    assert strangers.interval is None
    assert "which of the two" in (strangers.reason or "")


@pytest.mark.parametrize("count", [0, 3])
def test_too_few_faces_are_a_reason_not_a_zero(count: int) -> None:
    found = audit(case_of(faces([0] * count)) if count else make_case([Picture(face=None)] * 9))
    for name in ("stranger_share", "second_share", "identities", "likeness"):
        one = get(found, f"people.{name}")
        assert one.value is None
        assert one.reason


def test_faces_the_detector_doubts_and_broken_embeddings_are_nobody() -> None:
    crowd = faces([0] * 20 + [1, 2], far=[False] * 22)
    case = case_of(crowd)
    read = [one.face for one in case.references if one is not None]
    read[20] = replace(read[20], score=0.51)
    read[21] = replace(read[21], embedding=np.full(crowd.rows.shape[1], np.nan))
    found = audit(with_faces(case, read))
    assert get(found, "people.stranger_share").value == 0
    assert "without 1 " in (get(found, "people.stranger_share").reason or "")


def boxes(*found: Box) -> FaceReading:
    return FaceReading(faces=len(found), score=0.9, box=found[0], boxes=found)


@pytest.mark.parametrize(
    ("seen", "crowd"),
    [
        (boxes((0, 0, 40, 40)), False),
        (boxes((0, 0, 40, 40), (50, 0, 85, 35)), True),
        (boxes((0, 0, 40, 40), (60, 0, 85, 25)), False),
        (boxes((0, 0, 40, 40), (2, 2, 38, 40)), False),
        (boxes((0, 0, 40, 40), (2, 2, 38, 40), (50, 0, 85, 35)), True),
    ],
    ids=["alone", "two", "far behind", "found twice", "twice and another"],
)
def test_a_crowd_is_two_faces_of_similar_size(seen: FaceReading, crowd: bool) -> None:
    share = get(audit(with_faces(make_case([Picture()] * 2), [seen, boxes((0, 0, 40, 40))])), "people.crowd_share")
    assert share.value == (0.5 if crowd else 0)
    assert share.pictures == ((0,) if crowd else ())


def test_a_doubted_pattern_beside_a_face_makes_no_crowd() -> None:
    pattern = replace(boxes((0, 0, 40, 40), (50, 0, 85, 35)), score=0.5)
    read = [boxes((0, 0, 40, 40))] * 4 + [pattern]
    assert get(audit(with_faces(make_case([Picture()] * 5), read)), "people.crowd_share").value == 0


def test_pictures_without_faces_are_no_crowd_and_no_evidence() -> None:
    share = get(audit(make_case([Picture(face=None), Picture(readable=False)])), "people.crowd_share")
    assert share.value is None
    assert share.reason
