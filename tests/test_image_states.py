"""Every render has one state, and what counts as too small, turned or broken is told by instrument and dataset."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lora_doctor.image_states import BROKEN_PICTURE, NO_LIMITS, STATES, Limits, limits_of, state_of, unscorable
from lora_doctor.render import _picture
from lora_doctor.types import FaceReading, PixelFacts, Reading

FRONTAL = ((30.0, 40.0), (70.0, 40.0), (50.0, 60.0), (36.0, 86.0), (64.0, 86.0))


def face(side: float = 100.0, *, turn: float = 0.0, boxes: int = 1, found: bool = True) -> FaceReading:
    """A face of this side whose nose lies `turn` eye distances beside the middle."""
    if not found:
        return FaceReading(faces=0)
    points = tuple((x + 40 * turn * (i == 2), y) for i, (x, y) in enumerate(FRONTAL))
    box = (0.0, 0.0, side, side)
    every = tuple((200.0 * i, 0.0, 200.0 * i + side, side) for i in range(boxes))
    return FaceReading(faces=boxes, score=0.9, box=box, boxes=every, landmarks=points, embedding=np.ones(1))


def seen(one: FaceReading, contrast: float = 20.0) -> Reading:
    pixels = PixelFacts(colour=(50.0, 0.0, 0.0), lightness_spread=contrast, chroma=20.0, detail=0.1, clipped=0.0)
    return Reading(width=512, height=512, face=one, probabilities={}, pixels=pixels)


def state(reading: Reading | None, **other: Any) -> str:
    known: dict[str, Any] = {"reason": None, "weight": 1.0, "identity": 0.8, "held": 0.6}
    return state_of(reading, **{**known, "limits": Limits(least_side=20, widest_turn=40), **other})


@pytest.mark.parametrize(
    ("reading", "other", "expected"),
    [
        (seen(face()), {}, "held"),
        (seen(face()), {"identity": 0.59}, "drift"),
        (seen(face()), {"verified": False}, "drift"),
        (seen(face()), {"verified": True}, "held"),
        (seen(face()), {"verified": True, "identity": 0.59}, "drift"),
        (seen(face()), {"weight": 0.0}, "base"),
        (seen(face(found=False)), {}, "no face"),
        (seen(face(19.0)), {}, "too small"),
        (seen(face(turn=0.6)), {}, "pose"),
        (seen(face(boxes=2)), {}, "several people"),
        (seen(face(), contrast=1.0), {}, "broken"),
        (None, {"reason": f"{BROKEN_PICTURE} is flat"}, "broken"),
        (None, {"reason": "the prompt is too long"}, "not rendered"),
        (seen(face()), {"identity": None}, "not measured"),
        (seen(face()), {"held": None}, "not measured"),
    ],
)
def test_the_state_of_a_render(reading: Reading | None, other: dict[str, Any], expected: str) -> None:
    assert state(reading, **other) == expected
    assert expected in (*STATES, "base", "not rendered", "not measured")


def test_what_cannot_be_scored_stays_so_at_weight_zero() -> None:
    for reading, expected in ((seen(face(10.0)), "too small"), (seen(face(found=False)), "no face")):
        assert state(reading, weight=0.0) == expected


@pytest.mark.parametrize("pixels", [np.full((8, 8, 3), 0.0), np.full((8, 8, 3), 0.4), np.full((8, 8, 3), np.nan)])
def test_what_the_renderer_refuses_as_a_picture_is_broken(pixels: np.ndarray[Any, Any]) -> None:
    reason = _picture(pixels)
    assert isinstance(reason, str) and state(None, reason=reason) == "broken"


def test_a_dataset_widens_what_the_instrument_stands_and_never_narrows_it() -> None:
    assert limits_of([face(200.0)], 64.0).least_side == 64.0
    assert limits_of([face(200.0), face(20.0)], 64.0).least_side == pytest.approx(18.0)
    assert limits_of([face()], 64.0).widest_turn == 40.0
    turned = limits_of([face(), face(turn=0.9)], 64.0).widest_turn
    assert turned is not None and turned > 55


def test_drawn_faces_and_those_without_landmarks_have_no_limit_of_pose() -> None:
    wide = tuple((x * 3, y) for x, y in FRONTAL)
    assert limits_of([replace(face(), landmarks=wide)], 64.0).widest_turn is None
    assert limits_of([replace(face(), landmarks=None)], 64.0).widest_turn is None
    assert unscorable(seen(face(turn=2.0)), NO_LIMITS) is None


def test_a_nearer_limit_only_ever_makes_more_faces_unscorable() -> None:
    for side in (5.0, 15.0, 30.0, 90.0):
        limits = [Limits(least_side=least, widest_turn=None) for least in (0.0, 10.0, 20.0, 60.0)]
        told = [unscorable(seen(face(side)), each) for each in limits]
        assert told == sorted(told, key=lambda each: each is not None)
