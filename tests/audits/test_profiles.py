"""From how many sides the pictures show the head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from lora_doctor.audits.profiles import audit
from lora_doctor.head_pose import Points
from lora_doctor.types import Case, FaceReading
from tests.audits.make_case import Picture, get, make_case
from tests.test_head_pose import project


def case_of(read: Sequence[Points | None], repeats: Sequence[int] | None = None) -> Case:
    case = make_case([Picture(repeats=each) for each in repeats or [1] * len(read)])
    faces = [
        FaceReading(faces=1, score=0.9, box=(0, 0, 50, 50), landmarks=None if one is None else tuple(one))
        for one in read
    ]
    references = [replace(one, face=face) for one, face in zip(case.references, faces, strict=True) if one is not None]
    return replace(case, references=tuple(references))


def drawn(points: Points) -> Points:
    """The face with its mouth close below the eyes, as anime has it."""
    return [(x, 300 + (y - 300) * 0.5) for x, y in points]


def test_known_angles_come_back_as_quantiles_and_shares() -> None:
    found = audit(case_of([project(angle) for angle in (-60, -40, -20, -5, 0, 0, 5, 10, 20, 35)]))
    assert get(found, "faces.yaw", quantile="50").value == pytest.approx(0, abs=1e-6)
    assert get(found, "faces.yaw", quantile="90").value == pytest.approx(20)
    assert get(found, "faces.yaw_share", beyond="30").value == pytest.approx(0.3)
    assert get(found, "faces.yaw_share", beyond="30").pictures == (0, 1, 9)
    assert get(found, "faces.yaw_share", beyond="45").value == pytest.approx(0.1)


def test_repeats_count() -> None:
    found = audit(case_of([project(0), project(50)], repeats=[3, 1]))
    assert get(found, "faces.yaw_share", beyond="30").value == 0.25


def test_angles_near_the_limit_make_the_share_uncertain() -> None:
    near = get(audit(case_of([project(31)] * 10)), "faces.yaw_share", beyond="30")
    far = get(audit(case_of([project(60)] * 10)), "faces.yaw_share", beyond="30")
    assert near.value == far.value == 1
    assert near.interval is not None and far.interval is not None
    assert near.interval[0] < 0.9 < far.interval[0]


def test_drawn_faces_have_a_spread_but_no_degrees() -> None:
    found = audit(case_of([drawn(project(angle)) for angle in (-8, -4, 0, 4, 8)]))
    assert {one.value for one in found if one.name.startswith("faces.yaw")} == {None}
    assert "drawn" in (get(found, "faces.yaw_share", beyond="30").reason or "")
    assert (get(found, "faces.turn_spread").value or 0) > 0.05


def test_turns_spread_and_frontal_heads_do_not() -> None:
    rng = np.random.default_rng(0)
    turned = get(audit(case_of([project(float(a)) for a in rng.uniform(-8, 8, 42)])), "faces.turn_spread")
    frontal = get(audit(case_of([project(float(a)) for a in rng.uniform(-0.5, 0.5, 42)])), "faces.turn_spread")
    assert turned.interval is not None and frontal.interval is not None
    assert frontal.interval[1] < 0.018 < turned.interval[0]


def test_one_side_has_a_middle_and_no_spread() -> None:
    found = audit(case_of([project(float(angle)) for angle in np.linspace(24, 25, 20)]))
    assert (get(found, "faces.turn_middle").value or 0) > 0.2
    assert (get(found, "faces.turn_spread").value or 1) < 0.018


def test_one_misplaced_nose_is_no_turn() -> None:
    rng = np.random.default_rng(1)
    frontal = [project(float(angle)) for angle in rng.normal(0, 0.5, 41)]
    with_one = get(audit(case_of([*frontal, project(70)])), "faces.turn_spread")
    assert (with_one.value or 1) < 0.018


@pytest.mark.parametrize("read", [[], [None] * 8, [[(5.0, 5.0)] * 5] * 8])
def test_no_landmarks_give_a_reason_not_zero(read: list[Points | None]) -> None:
    found = audit(case_of(read))
    assert {one.value for one in found} == {None}
    assert all(one.reason for one in found)
