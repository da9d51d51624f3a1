"""Whose faces a dataset's pictures show, and which of them are a second person's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lora_doctor.face_clusters import Faces, sort_faces
from lora_doctor.face_mixture import MIN_GROUP
from lora_doctor.face_shares import sure_faces
from lora_doctor.head_pose import drawn_proportions, eyes_apart, yaw
from lora_doctor.types import Case, FaceReading

UNIT_ERROR = 0.01
"""By how much the square of an embedding's length may miss 1: float16 and rounding, not NaN or zeros."""


@dataclass(frozen=True, kw_only=True, slots=True)
class People:
    """The pictures that show a face for sure, and whose it is."""

    faces: Faces | str
    """Who is who among them, in the order of `places`; or why nobody can say."""
    places: tuple[int, ...]
    """Index of each picture into the dataset's."""
    weights: tuple[float, ...]
    """How often each is shown."""
    sure: tuple[int, ...]
    """Indexes of all pictures with a face for sure, those without a usable embedding too."""
    unsure: int
    """How many faces were left out because the detector is not sure that they are some."""


def people_of(case: Case) -> People:
    """Who is in the pictures that are shown."""
    sure, unsure = sure_faces(case)
    seen = [(index, face) for index, face in sure if _usable(face)]
    weights = tuple(float(case.dataset.images[index].repeats) for index, _ in seen)
    return People(
        faces=_sorted([face for _, face in seen], weights), places=tuple(index for index, _ in seen), weights=weights,
        sure=tuple(index for index, _ in sure), unsure=unsure,
    )  # fmt: skip


def second_person(people: People) -> tuple[int, ...]:
    """Indexes of the pictures of a second person, or of a second look that makes another one of the same person.

    Empty where there is none. Somebody who is in fewer than three pictures is a stray, which the fence of outliers
    looks after (`metrics/ceiling.py`).
    """
    if isinstance(people.faces, str):
        return ()
    second = tuple(place for place, person in zip(people.places, people.faces.person, strict=True) if person == 1)
    return second if len(second) >= MIN_GROUP else ()


def _sorted(faces: Sequence[FaceReading], weights: Sequence[float]) -> Faces | str:
    import numpy as np

    if not faces:
        return "no picture with a face could be read"
    rows = np.stack([np.asarray(face.embedding, float) for face in faces])
    return sort_faces(rows, [_side(face) for face in faces], _yaws(faces), weights)


def _usable(face: FaceReading) -> bool:
    """Whether there is an embedding, and one of numbers: a broken model's output is no evidence."""
    return face.embedding is not None and bool(abs(float(face.embedding @ face.embedding) - 1) < UNIT_ERROR)


def _side(face: FaceReading) -> float:
    """Shorter side of the face in pixels; a large one where no box is told."""
    return math.inf if face.box is None else max(1.0, min(face.box[2] - face.box[0], face.box[3] - face.box[1]))


def _yaws(faces: Sequence[FaceReading]) -> list[float]:
    """Degrees; 0 where the landmarks do not tell, as of drawn faces."""
    apart = [each for face in faces if face.landmarks and (each := eyes_apart(face.landmarks)) is not None]
    if drawn_proportions(apart):
        return [0.0] * len(faces)
    return [(yaw(face.landmarks) if face.landmarks else None) or 0.0 for face in faces]
