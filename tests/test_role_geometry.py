"""A face box says how large the face is and what room is around the head."""

from __future__ import annotations

import math

import pytest

from lora_doctor.role_geometry import geometry
from lora_doctor.types import FaceReading, Reading


def reading(top: float, bottom: float, height: int = 100) -> Reading:
    face = FaceReading(faces=1, score=0.9, box=(0.0, top, 10.0, bottom))
    return Reading(width=50, height=height, face=face, probabilities={})


def test_room_is_counted_in_face_heights_below_and_in_shares_of_the_picture_above() -> None:
    place = geometry(reading(30, 50))
    assert place is not None
    assert place.face_share == pytest.approx(0.2)
    assert place.below == pytest.approx(2.5)
    assert place.above == pytest.approx((50 - 20 * 4 / 3) / 100)


def test_only_the_part_of_the_face_inside_the_picture_counts() -> None:
    cut = geometry(reading(-30, 20))
    assert cut is not None
    assert (cut.face_share, cut.above) == (pytest.approx(0.2), 0.0)


def test_a_chin_below_the_picture_leaves_less_than_no_room() -> None:
    cut = geometry(reading(20, 120))
    assert cut is not None
    assert cut.face_share == pytest.approx(0.8)
    assert cut.below == pytest.approx(-0.2)


def test_enlarging_the_picture_changes_nothing() -> None:
    small, large = geometry(reading(20, 50)), geometry(reading(200, 500, 1000))
    assert small is not None
    assert large is not None
    assert small.below == pytest.approx(large.below)
    assert small.above == pytest.approx(large.above)


@pytest.mark.parametrize(("top", "bottom"), [(20, 20), (30, 20), (math.nan, 20), (0, math.inf), (-math.inf, 5)])
def test_a_box_without_a_height_is_no_face(top: float, bottom: float) -> None:
    assert geometry(reading(top, bottom)) is None


def test_no_face_and_no_picture_have_no_geometry() -> None:
    assert geometry(Reading(width=1, height=1, face=FaceReading(faces=0), probabilities={})) is None
    assert geometry(reading(0, 1, height=0)) is None
