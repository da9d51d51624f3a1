"""What became of one render, in one word: the same word in measurements and in the report. Pure.

A face is scored where the instrument can be trusted with it: not smaller than those it is made for, or than the
smallest the dataset itself was scored by, and not turned further than it stands, or than the dataset's own are turned.
The dataset may widen these limits, never narrow them: it has shown that the instrument tells this character there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from lora_doctor.face_boxes import SECOND_FACE, second_size, short_side
from lora_doctor.head_pose import drawn_proportions, eyes_apart, yaw
from lora_doctor.types import Cell, FaceReading, Reading

State = Literal[
    "held", "drift", "base", "no face", "too small", "pose", "several people", "broken", "not rendered", "not measured"
]
STATES: tuple[State, ...] = ("held", "drift", "no face", "too small", "pose", "several people", "broken")
"""What a render of the LoRA can be, of those that were made."""
BROKEN_PICTURE = "the picture"
"""How the reason begins for which a render that was made is none: it is flat, black, not finite, not decodable."""
UNREADABLE = f"{BROKEN_PICTURE} cannot be decoded"
"""The one such reason that is the file's doing, not the LoRA's."""
LEAST_CONTRAST = 1.5
"""Standard deviation of CIE lightness, 0 to 50, below which a picture shows nothing."""
JITTER = 0.1
"""Share by which the boxes of one face differ from picture to picture."""
WIDEST_TURN = 40.0
"""Degrees of yaw that face recognisers stand (lora-dataset-studio's gate for references)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Which faces can be scored."""

    least_side: float
    """Pixels, shorter side of the box."""
    widest_turn: float | None
    """Degrees of yaw; None = the dataset's faces are drawn, and landmarks do not tell degrees."""


NO_LIMITS = Limits(least_side=0.0, widest_turn=None)


def limits_of(usable: Iterable[FaceReading], least_face: float) -> Limits:
    """The limits, from the dataset's faces that serve as references.

    `least_face`: pixels that the instrument is made for; it counts only as far as no smaller face serves.
    """
    faces = list(usable)
    sides = [short_side(face.box) for face in faces if face.box is not None]
    smallest = min(sides, default=least_face) * (1 - JITTER)
    apart = [each for face in faces if face.landmarks and (each := eyes_apart(face.landmarks)) is not None]
    turns = [abs(turn) for face in faces if (turn := _turn(face)) is not None]
    widest = None if drawn_proportions(apart) or not turns else max(WIDEST_TURN, *turns)
    return Limits(least_side=min(least_face, smallest), widest_turn=widest)


def broken(reading: Reading | None, reason: str | None) -> bool:
    """Whether a render was made and shows nothing; `reason` = why there is no reading."""
    if reading is None:
        return (reason or "").startswith(BROKEN_PICTURE)
    return reading.pixels is not None and reading.pixels.lightness_spread < LEAST_CONTRAST


def came_out_empty(cell: Cell, reason: str | None) -> bool:
    """Whether the LoRA made nothing of a cell: flat, black, not finite. A failure of its own, as a missing face is.

    `reason` = why the cell has no reading; None = none is known.
    """
    return cell.weight > 0 and broken(None, reason) and reason != UNREADABLE


def unscorable(reading: Reading, limits: Limits) -> State | None:
    """Why identity cannot be told from a render, or None. `no face` is a failure, the others say nothing."""
    face = reading.face
    if broken(reading, None):
        return "broken"
    if face.embedding is None:
        return "no face"
    if face.box is not None and short_side(face.box) < limits.least_side:
        return "too small"
    turn = None if limits.widest_turn is None else _turn(face)
    return "pose" if turn is not None and abs(turn) > (limits.widest_turn or 0.0) else None


def state_of(
    reading: Reading | None,
    reason: str | None,
    weight: float,
    identity: float | None,
    limits: Limits,
    held: float | None,
    verified: bool | None = None,
) -> State:
    """The state of one render.

    `identity`: its score, None where there is no ruler; `held`: the score that is asked; `verified`: whether the
    instrument's own mark calls it the character too, None where it has none.
    """
    if broken(reading, reason):
        return "broken"
    if reading is None:
        return "not rendered"
    if (why := unscorable(reading, limits)) is not None:
        return why
    if second_size(reading.face.boxes) >= SECOND_FACE:
        return "several people"
    if weight == 0:
        return "base"
    if identity is None or held is None:
        return "not measured"
    return "held" if identity >= held and verified is not False else "drift"


def _turn(face: FaceReading) -> float | None:
    return yaw(face.landmarks) if face.landmarks is not None and len(face.landmarks) == 5 else None
