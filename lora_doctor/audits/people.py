"""Who is in the pictures: the character alone, strangers among it, two people under one name, several in one picture.

Read off the face embeddings (`face_clusters`); pictures without a face are left out, `dataset.no_face_share` counts
them. Shares are weighted by repeats. Their intervals hold what a face does not tell for sure: small and turned ones
least.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from lora_doctor.dataset_people import people_of
from lora_doctor.face_boxes import SECOND_FACE, second_size
from lora_doctor.face_clusters import Faces
from lora_doctor.face_mixture import MIN_GROUP
from lora_doctor.face_shares import left_out, share
from lora_doctor.types import Case, Measurement

LOOKS = True
"""It asks what the instruments read."""

FACE_ERROR = 0.02
"""How often a second face as large as the first is none. Assumed; detectors reach an average precision of 0.95 on large
faces (SCRFD-10GF, WIDER FACE easy), which counts missed ones too."""
TOO_CLOSE = 0.4
"""Share of the second person from which the face instrument does not say which of the two is the character."""


def audit(case: Case) -> list[Measurement]:
    """`people.stranger_share`, `.second_share`, `.identities`, `.likeness` and `.crowd_share`."""
    people = people_of(case)
    found, places, weights = people.faces, people.places, people.weights
    if isinstance(found, str):
        names = (("stranger_share", "share"), ("second_share", "share"), ("identities", "people"), ("likeness", ""))
        none = [Measurement(name=f"people.{name}", value=None, unit=unit, n=len(places), reason=found)
                for name, unit in names]  # fmt: skip
        return [*none, _crowds(case, people.sure)]
    return [
        _strangers(found, places, weights, left_out(people.unsure)), _second(found, places, weights),
        _identities(found, weights), _likeness(found), _crowds(case, people.sure),
    ]  # fmt: skip


# ---------------------------------------------------------------- one by one, and together


def _strangers(found: Faces, places: Sequence[int], weights: Sequence[float], caveat: str | None) -> Measurement:
    """Share of the pictures whose largest face is not the character's; no interval where that may be either of two."""
    held = [person > 0 for person in found.person]
    value, interval = share(weights, held, found.stranger)
    second = _weight_of(found, weights, 1) / sum(weights)
    doubt = "which of the two people is the character, the faces do not say" if second >= TOO_CLOSE else None
    reason = "; ".join(each for each in (doubt, caveat) if each) or None
    worst = sorted((i for i, one in enumerate(held) if one), key=lambda i: (-found.stranger[i], found.similarity[i], i))
    return Measurement(
        name="people.stranger_share", value=value, unit="share", n=len(places), interval=None if doubt else interval,
        reason=reason,
        pictures=tuple(places[i] for i in worst),
    )  # fmt: skip


def _second(found: Faces, places: Sequence[int], weights: Sequence[float]) -> Measurement:
    """Share of the second most frequent person, if three or more faces agree that they are one; 0 without one."""
    group = [person == 1 for person in found.person]
    if sum(group) < MIN_GROUP:
        group = [False] * len(group)
    chances = [chance if mine else 0.0 for chance, mine in zip(found.stranger, group, strict=True)]
    value, interval = share(weights, group, chances)
    worst = sorted((i for i, mine in enumerate(group) if mine), key=lambda i: (-found.stranger[i], i))
    return Measurement(
        name="people.second_share", value=value, unit="share", n=len(places), interval=interval,
        pictures=tuple(places[i] for i in worst),
    )  # fmt: skip


def _identities(found: Faces, weights: Sequence[float]) -> Measurement:
    """The effective number of people, exp of the entropy of their shares; each stranger seen once is one.

    Its interval is that of the number of two people of which the other has the interval of the strangers' share.
    """
    total = sum(weights)
    parts = [_weight_of(found, weights, person) / total for person in sorted(set(found.person))]
    value = math.exp(-sum(part * math.log(part) for part in parts if part > 0))
    other, ends = share(weights, [person > 0 for person in found.person], found.stranger)
    low, high = (value + _of_two(end) - _of_two(other) for end in ends)
    return Measurement(
        name="people.identities", value=value, unit="people", n=len(weights),
        interval=(max(1.0, min(value, low)), max(value, high)),
    )  # fmt: skip


def _of_two(part: float) -> float:
    """Effective number of two people, of whom one has this share."""
    return math.exp(-sum(each * math.log(each) for each in (part, 1 - part) if each > 0))


def _weight_of(found: Faces, weights: Sequence[float], person: int) -> float:
    return sum(weight for weight, each in zip(weights, found.person, strict=True) if each == person)


def _likeness(found: Faces) -> Measurement:
    """How like the character the second person is, corrected for poor faces: 0 = at right angles, 1 = the same."""
    few = "too few faces to compare two groups of them" if found.likeness is None else None
    return Measurement(name="people.likeness", value=found.likeness, n=len(found.person), reason=few)


# ---------------------------------------------------------------- several in one picture


def _crowds(case: Case, sure: Sequence[int]) -> Measurement:
    """Share of the pictures that show two faces or more of similar size, out of those that show any.

    `sure`: the pictures whose largest face certainly is one; elsewhere only the others are compared.
    """
    known = set(sure)
    seen = [
        (index, reading.face.boxes if index in known else reading.face.boxes[1:])
        for index, reading in enumerate(case.references)
        if reading is not None and reading.face.faces and case.dataset.images[index].repeats > 0
    ]
    if not seen:
        reason = "no picture with a face could be read"
        return Measurement(name="people.crowd_share", value=None, unit="share", reason=reason)
    weights = [float(case.dataset.images[index].repeats) for index, _ in seen]
    sizes = [second_size(boxes) for _, boxes in seen]
    held = [size >= SECOND_FACE for size in sizes]
    # Only what was seen may be none: faces that were missed would have to be guessed at.
    value, interval = share(weights, held, [1 - FACE_ERROR if one else 0.0 for one in held])
    worst = sorted((i for i, one in enumerate(held) if one), key=lambda i: (-sizes[i], i))
    return Measurement(
        name="people.crowd_share", value=value, unit="share", n=len(seen), interval=interval,
        pictures=tuple(seen[i][0] for i in worst),
    )  # fmt: skip
