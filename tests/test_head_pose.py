"""The turn of a head, on a head of known shape that is turned, nodded, tilted and projected."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lora_doctor.head_pose import NOSE_DEPTH, Points, drawn_proportions, eyes_apart, nose_shift, yaw

MOUTH, FORWARD = 1.15, 0.1
"""How far the mouth lies below the eyes, and before them."""
HEAD = np.array([[-0.5, 0, 0], [0.5, 0, 0], [0, 0.57, 0], [-0.42, MOUTH, FORWARD], [0.42, MOUTH, FORWARD]], dtype=float)
"""Eyes, nose, corners of the mouth, in eye distances: x to image right, y down, z to the viewer."""


def project(turn: float = 0, nod: float = 0, tilt: float = 0, size: float = 80, depth: float = NOSE_DEPTH) -> Points:
    """The head in pixels, turned first, then nodded, then tilted (degrees)."""
    a, b, c = (math.radians(angle) for angle in (turn, nod, tilt))
    turned = np.array([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])
    nodded = np.array([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    tilted = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    head = HEAD.copy()
    head[2, 2] = depth + 0.57 / MOUTH * FORWARD  # before the plane of eyes and mouth
    return [(float(x) * size + 200, float(y) * size + 300) for x, y, _ in head @ (tilted @ nodded @ turned).T]


@pytest.mark.parametrize("turn", [-75, -45, -30, -10, 0, 5, 15, 30, 60])
@pytest.mark.parametrize("tilt", [-40, 0, 90])
def test_a_turn_is_read_exactly_whatever_the_tilt_and_size(turn: float, tilt: float) -> None:
    assert yaw(project(turn, tilt=tilt)) == pytest.approx(turn, abs=1e-9)
    assert yaw(project(turn, tilt=tilt, size=7)) == pytest.approx(turn, abs=1e-9)


@pytest.mark.parametrize("nod", [-20, -10, 10, 20])
@pytest.mark.parametrize("turn", [-30, 0, 15, 30, 45])
def test_a_nod_falsifies_a_turn_by_little(turn: float, nod: float) -> None:
    assert yaw(project(turn, nod)) == pytest.approx(turn, abs=3)


def test_a_nod_alone_is_no_turn() -> None:
    assert yaw(project(0, nod=35)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("depth", "read"), [(0.8 * NOSE_DEPTH, 24.8), (1.2 * NOSE_DEPTH, 34.7)])
def test_other_noses_read_other_angles_by_the_documented_error(depth: float, read: float) -> None:
    assert yaw(project(30, depth=depth)) == pytest.approx(read, abs=0.1)


def test_a_mirrored_face_turns_the_other_way() -> None:
    points = project(25, nod=5)
    left, right, nose, low_left, low_right = ((400 - x, y) for x, y in points)
    assert yaw([right, left, nose, low_right, low_left]) == pytest.approx(-(yaw(points) or 0))


def test_landmarks_without_extent_have_no_turn() -> None:
    assert yaw([(5.0, 5.0)] * 5) is None
    assert nose_shift([(5.0, 5.0)] * 5) is None
    assert eyes_apart([(5.0, 5.0)] * 5) is None


def test_proportions_tell_people_from_drawings() -> None:
    people = [eyes_apart(project(turn, nod)) or 0 for turn in (0, 20, 50) for nod in (-15, 0, 15)]
    assert eyes_apart(project()) == pytest.approx(1 / MOUTH)
    assert not drawn_proportions(people)
    assert drawn_proportions([1.7, 1.8, 1.2])
    assert not drawn_proportions([])
