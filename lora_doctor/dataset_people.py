"""Whose faces a dataset's pictures show, and which of them are other people's than the character's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lora_doctor.face_clusters import Faces, sort_faces
from lora_doctor.face_mixture import MIN_GROUP
from lora_doctor.face_shares import sure_faces
from lora_doctor.head_pose import drawn_proportions, eyes_apart, yaw
from lora_doctor.types import Case, FaceReading, OtherPeople

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

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


def other_people(case: Case, copies: Sequence[Sequence[int]] = ()) -> OtherPeople:
    """The people beside the character who return: those that `people_of` tells apart.

    `copies`: groups of near-duplicates, each of which counts as one picture. Somebody who is in fewer than three
    pictures is a stray, which the fence of outliers looks after (`metrics/ceiling.py`).
    """
    people = people_of(case)
    if isinstance(people.faces, str):
        return OtherPeople(unknown=people.faces)
    return _returning(dict(zip(people.places, people.faces.person, strict=True)), case, copies)


def other_people_by_mark(
    case: Case, similarity: Callable[[Any, Any], Any], same_from: float, copies: Sequence[Sequence[int]] = ()
) -> OtherPeople:
    """The same with an instrument that compares pairs and whose makers say from which similarity two are one person.

    Groups are joined while the mean similarity between them is that or more (average linkage). The character is who is
    shown most often.
    """
    import numpy as np
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    shown = [
        (place, reading.face.embedding)
        for place, (image, reading) in enumerate(zip(case.dataset.images, case.references, strict=True))
        if reading is not None and reading.face.embedding is not None and image.repeats > 0
    ]
    if len(shown) < MIN_GROUP:
        return OtherPeople(unknown=f"{len(shown)} pictures show somebody, too few to tell people apart")
    rows = np.stack([np.asarray(row) for _, row in shown])
    apart = 1 - np.asarray(similarity(rows, rows), float)
    apart = (apart + apart.T) / 2
    np.fill_diagonal(apart, 0.0)
    joined = linkage(squareform(np.maximum(apart, 0.0), checks=False), "average")
    labels = fcluster(joined, 1 - same_from, "distance").tolist()
    often: dict[int, float] = dict.fromkeys(labels, 0.0)
    for (place, _), label in zip(shown, labels, strict=True):
        often[label] += case.dataset.images[place].repeats
    order = {label: rank for rank, label in enumerate(sorted(often, key=lambda one: (-often[one], one)))}
    found = {place: order[label] for (place, _), label in zip(shown, labels, strict=True)}
    return _returning(found, case, copies)


def _returning(person: dict[int, int], case: Case, copies: Sequence[Sequence[int]]) -> OtherPeople:
    """Of who is in each picture (0 = the character), the others who return.

    Pictures that could not be read may show one of them: with too many nobody can say that there are no more.
    """
    first = {place: min(group) for group in copies for place in group}
    groups = [tuple(p for p, each in person.items() if each == one) for one in sorted(set(person.values()) - {0})]
    counts = [len({first.get(place, place) for place in group}) for group in groups]
    strays = sum(count for count in counts if count < MIN_GROUP)  # too few of one person are told as several
    lost = sum(reading is None for reading in case.references)
    unknown = None
    if lost and lost + strays >= MIN_GROUP:
        unknown = f"{lost} pictures of the dataset could not be read, and may show somebody else: mend or remove them"
    returning = (group for group, count in zip(groups, counts, strict=True) if count >= MIN_GROUP)
    return OtherPeople(groups=tuple(returning), unknown=unknown)


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
