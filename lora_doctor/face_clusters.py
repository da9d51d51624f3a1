"""Which faces of a picture set are one person's: the character's, another one's, or somebody's who is there once.

Two things are used, both learned from the set: each face with the centre of the rest (`face_mixture`), and groups of
faces with each other (`face_halves`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lora_doctor.face_halves import corrected_cosine, mean_within, side_chance, two_halves
from lora_doctor.face_mixture import LEAST_TURNED, MIN_FACES, MIN_GROUP, FaceSet, Level, closest_person, largest_person

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

AS_LIKE = 0.3
"""How much more alike than strangers a second person's faces must be, in parts of how much the character's large ones
are: those of one who is always far away hold half of the person, and are a third as alike, about."""
ALIKE = 0.75
"""Above this corrected cosine two groups are one person: halves of a set of one person are at 0.9 and above, whatever
its framings, and two people near 0 (the miniature, and simulated recognisers); in between are look-alikes."""


@dataclass(frozen=True, kw_only=True)
class Faces:
    """Who is who among n faces."""

    person: tuple[int, ...]
    """0 = the character, the person whose faces weigh most; 1, 2 ... = other people, the most frequent first."""
    stranger: tuple[float, ...]
    """Probability that a face is not the character's, 0 to 1."""
    similarity: tuple[float, ...]
    """Cosine with the centre of the character's other faces."""
    expected: tuple[float, ...]
    """The same of a face of the character of this size and turn."""
    level: Level
    likeness: float | None
    """Corrected cosine of the second person with the character, or where there is none, of the most different halves
    of the character's own faces; None where there are too few faces."""


def sort_faces(
    embeddings: Array, sides: Sequence[float], yaws: Sequence[float], weights: Sequence[float]
) -> Faces | str:
    """Who is who, or why nobody can say.

    `embeddings` (n, d) of unit length, `sides` (n,) shorter side of the face box in pixels, `yaws` (n,) turn of the
    head in degrees (0 = not known), `weights` (n,) how often each is shown, positive.
    """
    import numpy as np

    if len(embeddings) < MIN_FACES:
        return f"{len(embeddings)} faces were found, and {MIN_FACES} are needed to tell whose they are"
    turned = np.maximum(np.cos(np.radians(np.asarray(yaws, float))), LEAST_TURNED)
    given = FaceSet(rows=np.asarray(embeddings, float), sides=np.asarray(sides, float), turned=turned,
                    weights=np.asarray(weights, float))  # fmt: skip
    members, level, similar, chance = largest_person(given)
    if level.own - level.other < 2 * level.other_spread and level.own - level.other < 4 * level.spread:
        return "the face instrument cannot tell people apart here: the faces are no more alike than those of strangers"
    kept = given.kept(level.half)
    halves = two_halves(given, members, kept)
    likeness = None if halves is None else corrected_cosine(given.rows, *halves, kept)
    people = []
    if halves is not None and likeness is not None and likeness < ALIKE:
        members, second = halves
        people, chance = [second], np.where(members | second, side_chance(given.rows, members, second), chance)
    for group in _groups(given, ~members & ~_any(people, len(given.rows)), level):
        same = corrected_cosine(given.rows, members, group, kept) if group.sum() >= MIN_GROUP else None
        if same is None or same < ALIKE:
            people.append(group)
        else:  # the character in another framing
            members, chance = members | group, np.where(group, 1 - chance, chance)
    people.sort(key=lambda group: (-float(given.weights[group].sum()), int(np.flatnonzero(group)[0])))
    if people and people[0].sum() >= MIN_GROUP:
        likeness = corrected_cosine(given.rows, members, people[0], kept)
    person = np.zeros(len(given.rows), int)
    for number, group in enumerate(people, start=1):
        person[group] = number
    chance = np.where(person > 0, np.maximum(chance, 0.5), np.minimum(chance, 0.5))
    expected = level.own * kept
    return Faces(
        person=tuple(person.tolist()), stranger=tuple(chance.tolist()), similarity=tuple(similar.tolist()),
        expected=tuple(expected.tolist()), level=level, likeness=likeness,
    )  # fmt: skip


def _any(masks: Sequence[Array], count: int) -> Array:
    import numpy as np

    found = np.zeros(count, bool)
    for mask in masks:
        found |= mask
    return found


def _groups(given: FaceSet, left: Array, level: Level) -> list[Array]:
    """Masks of the people among the faces that are left: each is looked for as the character was, and has levels of its
    own; who then is left is there once.
    """
    import numpy as np

    # The cosine of two faces of one person is the square of that with its centre, about.
    same, strange = level.own**2, max(0.0, level.own * level.other)
    groups, left = [], left.copy()
    while left.sum() >= MIN_GROUP:
        places = np.flatnonzero(left)
        among = given.of(places)
        members = closest_person(among, np.ones(len(places), bool))[0]
        alike = mean_within(among.rows[members], np.zeros(int(members.sum())))
        if members.sum() < MIN_GROUP or alike is None or alike - strange < AS_LIKE * (same - strange):
            break
        groups.append(_mask(places[members], len(left)))
        left &= ~groups[-1]
    return [*groups, *(_mask(np.array([place]), len(left)) for place in np.flatnonzero(left))]


def _mask(places: Array, count: int) -> Array:
    import numpy as np

    mask = np.zeros(count, bool)
    mask[places] = True
    return mask
