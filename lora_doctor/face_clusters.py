"""Which faces of a picture set are one person's: the character's, another one's, or somebody's who is there once.

No similarity means the same for every recogniser, style and face size, so none is fixed here. All is learned from the
set: how like its own person a face of a given size is, how much that varies, and how like it strangers are. Two
things are used:

- *Each face with the rest*: its cosine with the centre of the others. That of the character's own faces lies around a
  level that falls with the size of the face (a face of 15 pixels holds less of the person) and as the head turns,
  with heavy tails (hats, make-up); that of strangers around a lower one. A mixture of the two gives every face a
  probability.
- *Groups with each other*: the mean cosine between two groups over the geometric mean of those within them. Faces
  that show less of a person, being small or turned, are less like each other too, and by as much: the quotient is 1
  for two framings of one person and about 0 for two people (Spearman's correction for attenuation, 1904).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

MIN_FACES = 5
"""Fewer faces make no centre to compare one with."""
MIN_GROUP = 3
"""Fewer faces do not tell how alike a second person's are among themselves."""
SEED_SHARE = 0.25
"""Share of the faces that a person is looked for with: the closest company that so many of them keep."""
ROUNDS = 25
MOST = 1500
"""Faces compared each with each, evenly taken from larger sets: memory and time grow with the square."""

# ---- How much of its person a face holds: 1 / (1 + (half / side)^STEEP) by its side, times the cosine of its turn.
HALVES = (0.0, 4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 18.0, 21.0, 24.0)
"""Sides, in pixels, tried for the face of which half is left. Verification falls from 0.99 to 0.55 as faces shrink from
112 to 5 pixels (arXiv:2107.03769); how steeply is assumed here, where it begins is learned from the set."""
HALF_WEIGHS = 8.0
"""Scale, in pixels, of the exponential prior on that side: no loss is assumed that the set does not show."""
STEEP = 4.0
LEAST_TURNED = 0.3
"""What a profile still holds."""
SPREAD_OF_LOST = 0.5
"""Spread that a face gets for every part that is lost: what is left of small and turned faces varies."""
POOR_ALIKE = 0.25
"""Cosine of two faces that hold nothing of anybody: recognisers put poor faces in one corner, whoever they are, and two
framings of one person would else look like two people."""

# ---- What is usual, and how many faces it weighs against those of the set.
TAILS = 4.0
"""Degrees of freedom of Student's t around the person's own level: a hat or half a profile is no stranger."""
LEAST_SPREAD = 0.02
OTHER_AT, OTHER_SPREAD, OTHER_WEIGHS = 0.05, 0.12, 3.0
"""Cosine of strangers with a centre: recognisers trained with a margin put people at right angles, about."""
OTHER_CAP = 0.6
"""Strangers' level is at most so much of the person's own: between there and 1 lie hats and beards, not strangers."""
LOOK_ALIKE = 0.15
"""Share of strangers who are anywhere between: relatives, and characters drawn by one hand."""
STRANGERS, STRANGERS_WEIGH = 0.03, 20.0
"""How often a picture of a set shows somebody else."""
AS_LIKE = 0.3
"""How much more alike than strangers a second person's faces must be, in parts of how much the character's large ones
are: those of one who is always far away hold half of the person, and are a third as alike, about."""
ALIKE = 0.75
"""Above this corrected cosine two groups are one person: halves of a set of one person are at 0.9 and above, whatever
its framings, and two people near 0 (the miniature, and simulated recognisers); in between are look-alikes."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """How like the person its own faces are, and how like it strangers are; all cosines with the centre of the
    others."""

    own: float
    """Of a large frontal face of its own."""
    spread: float
    half: float
    """Side of the face, in pixels, of which half is left; 0 = size does not matter."""
    other: float
    other_spread: float
    others: float
    """Share of faces that are somebody else's."""


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


@dataclass(frozen=True, kw_only=True)
class _Set:
    """What is given: n faces."""

    rows: Array
    """(n, d) unit length."""
    sides: Array
    turned: Array
    """(n,) what the turn of the head leaves of a face, 0 to 1."""
    weights: Array

    def kept(self, half: float) -> Array:
        return kept_share(self.sides, half) * self.turned

    def of(self, places: Array) -> _Set:
        """Some of them."""
        return _Set(
            rows=self.rows[places], sides=self.sides[places], turned=self.turned[places], weights=self.weights[places]
        )


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
    given = _Set(rows=np.asarray(embeddings, float), sides=np.asarray(sides, float), turned=turned,
                 weights=np.asarray(weights, float))  # fmt: skip
    members, level, similar, chance = _largest_person(given)
    if level.own - level.other < 2 * level.other_spread and level.own - level.other < 4 * level.spread:
        return "the face instrument cannot tell people apart here: the faces are no more alike than those of strangers"
    kept = given.kept(level.half)
    halves = _halves(given, members, kept)
    likeness = None if halves is None else corrected_cosine(given.rows, *halves, kept)
    people = []
    if halves is not None and likeness is not None and likeness < ALIKE:
        members, second = halves
        people, chance = [second], np.where(members | second, _side(given.rows, members, second), chance)
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


def kept_share(sides: Array, half: float) -> Array:
    """(n,) how much of its person a face of each side (pixels) holds, 0 to 1, where half is left at `half` pixels."""
    import numpy as np

    kept: Array = 1 / (1 + (half / np.maximum(sides, 1e-9)) ** STEEP)
    return kept


def corrected_cosine(rows: Array, first: Array, second: Array, kept: Array | None = None) -> float | None:
    """Mean cosine between two groups of faces (masks) over the geometric mean of those within them.

    1 for two samples of one person, however poor one of them is; 0 for people at right angles. `kept` (n,): how
    much of its person each face holds; what poor faces have in common is then not counted. None where a group has fewer
    than two faces, or where its faces are not like each other at all.
    """
    import numpy as np

    poor = np.zeros(len(rows)) if kept is None else np.sqrt(POOR_ALIKE * (1 - kept))
    own = [_mean_within(rows[mask], poor[mask]) for mask in (first, second)]
    if any(each is None or each <= 0 for each in own):
        return None
    between = float(rows[first].mean(axis=0) @ rows[second].mean(axis=0) - poor[first].mean() * poor[second].mean())
    return between / math.sqrt(float(own[0] or 0) * float(own[1] or 0))


def _mean_within(rows: Array, poor: Array) -> float | None:
    """Mean cosine of different faces of one group, without what poor faces have in common."""
    n = len(rows)
    if n < 2:
        return None
    total, common = rows.sum(axis=0), poor.sum()
    return float(total @ total - (rows * rows).sum() - common**2 + (poor**2).sum()) / (n * (n - 1))


def _any(masks: Sequence[Array], count: int) -> Array:
    import numpy as np

    found = np.zeros(count, bool)
    for mask in masks:
        found |= mask
    return found


def _sample(places: Array) -> Array:
    """At most `MOST` of them, evenly taken."""
    import numpy as np

    return places if len(places) <= MOST else places[np.linspace(0, len(places) - 1, MOST).astype(int)]


# ---------------------------------------------------------------- the character


def _largest_person(given: _Set) -> tuple[Array, Level, Array, Array]:
    """The person whose faces weigh most: mask of its faces, levels, cosines with the centre, chance of a stranger.

    The closest company may be another's, so that among all who are left out it is looked for too.
    """
    import numpy as np

    fits = [_fit(given, _company(given.rows, np.ones(len(given.rows), bool)))]
    rest = ~fits[0][0]
    if rest.sum() >= MIN_FACES:
        fits.append(_fit(given, _company(given.rows, rest)))
    return max(fits, key=lambda fit: float(given.weights[fit[0]].sum()))


def _company(rows: Array, among: Array) -> Array:
    """(n,) 1 for the faces that keep the closest company among some of them, 0 for all others."""
    import numpy as np

    places = _sample(np.flatnonzero(among))
    count = max(MIN_GROUP, round(SEED_SHARE * len(places)))
    cosines = rows[places] @ rows[places].T
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    closeness = np.take_along_axis(cosines, nearest, axis=1).mean(axis=1)
    chosen = np.zeros(len(rows))
    chosen[places[nearest[int(closeness.argmax())]]] = 1.0
    return chosen


def _fit(given: _Set, share: Array) -> tuple[Array, Level, Array, Array]:
    """The mixture, from the shares (n,) with which faces are first taken for the person's."""
    level = Level(own=0, spread=0, half=0, other=OTHER_AT, other_spread=OTHER_SPREAD, others=0.5)
    for _ in range(ROUNDS):
        similar = _with_others(given.rows, share)
        level = _levels(given, similar, share)
        share = 1 - _chance(given, similar, level)
    return share > 0.5, level, similar, 1 - share


def _with_others(rows: Array, share: Array) -> Array:
    """(n,) cosine of each face with the centre of the person's others."""
    import numpy as np

    others = share @ rows - share[:, None] * rows
    others = others / np.maximum(np.linalg.norm(others, axis=1, keepdims=True), 1e-12)
    similar: Array = (rows * others).sum(axis=1)
    return similar


def _levels(given: _Set, similar: Array, share: Array) -> Level:
    """The levels that fit the shares best, for the likeliest loss by size."""
    import numpy as np

    other_share = 1 - share
    weigh = OTHER_WEIGHS + float(other_share.sum())
    usual_other = (OTHER_WEIGHS * OTHER_AT + float(other_share @ similar)) / weigh
    others = (STRANGERS * STRANGERS_WEIGH + float(other_share.sum())) / (STRANGERS_WEIGH + len(share))
    fits = []
    for half in HALVES:
        kept = given.kept(half)
        own = _median(similar / np.maximum(kept, 0.05), share * kept)
        spread = max(LEAST_SPREAD, 1.4826 * _median(np.abs(similar - own * kept), share * kept))
        other = min(OTHER_CAP * own, usual_other)
        wide = OTHER_WEIGHS * OTHER_SPREAD**2 + float(other_share @ (similar - other) ** 2)
        level = Level(
            own=own, spread=spread, half=half, other=other, other_spread=math.sqrt(wide / weigh), others=others
        )
        mine, theirs = _densities(given, similar, level)
        mixed = others * theirs + (1 - others) * mine
        fits.append((float(np.log(np.maximum(mixed, 1e-300)).sum()) - half / HALF_WEIGHS, -half, level))
    return max(fits, key=lambda fit: fit[:2])[2]


def _median(values: Array, weights: Array) -> float:
    import numpy as np

    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return float(values[order][int(np.searchsorted(total, total[-1] / 2))])


def _densities(given: _Set, similar: Array, level: Level) -> tuple[Array, Array]:
    """(n,) density of each cosine if the face is the person's, and if it is a stranger's."""
    import numpy as np

    kept = given.kept(level.half)
    spread = np.hypot(level.spread, SPREAD_OF_LOST * level.own * (1 - kept))
    off = (similar - level.own * kept) / spread
    scale = math.gamma((TAILS + 1) / 2) / math.gamma(TAILS / 2) / math.sqrt(TAILS * math.pi)
    own = scale * (1 + off**2 / TAILS) ** (-(TAILS + 1) / 2) / spread
    away = (similar - level.other) / level.other_spread
    near = np.exp(-0.5 * away**2) / level.other_spread / math.sqrt(2 * math.pi)
    between = ((similar > level.other) & (similar < level.own)) / max(1e-3, level.own - level.other)
    return own, (1 - LOOK_ALIKE) * near + LOOK_ALIKE * between


def _chance(given: _Set, similar: Array, level: Level) -> Array:
    """(n,) probability that each face is somebody else's; 0 for one more like the person than its own let expect."""
    import numpy as np

    own, other = _densities(given, similar, level)
    odds = level.others * other / np.maximum((1 - level.others) * own, 1e-300)
    chance: Array = np.where(similar >= level.own * given.kept(level.half), 0.0, odds / (1 + odds))
    return chance


# ---------------------------------------------------------------- two people taken for one


def _halves(given: _Set, members: Array, kept: Array) -> tuple[Array, Array] | None:
    """The two most different groups among one person's faces, the weightier first; None where one is too small.

    If all are one person's, the cosine of two faces is the product of what each holds of it. What differs from the
    best such products has the groups in its strongest direction.
    """
    import numpy as np

    places = _sample(np.flatnonzero(members))
    poor = np.sqrt(POOR_ALIKE * (1 - kept[places]))
    cosines = given.rows[places] @ given.rows[places].T - np.outer(poor, poor)
    np.fill_diagonal(cosines, 0.0)
    if len(places) < 2 * MIN_GROUP or not cosines.sum() > 0:
        return None
    holds = np.full(len(places), math.sqrt(cosines.sum() / (len(places) * (len(places) - 1))))
    for _ in range(50):
        holds = np.clip((cosines @ holds) / np.maximum(holds @ holds - holds**2, 1e-9), 0.02, 1.0)
    rest = cosines - np.outer(holds, holds)
    np.fill_diagonal(rest, 0.0)
    direction = np.linalg.eigh(rest)[1][:, -1]
    centres = [given.rows[places[side]].mean(axis=0) for side in (direction > 0, direction <= 0) if side.any()]
    if len(centres) < 2:
        return None
    # The others of a large set follow the nearer centre; in a small one every face has its place already.
    first = np.zeros(len(members), bool)
    first[members] = given.rows[members] @ centres[0] > given.rows[members] @ centres[1]
    first[places] = direction > 0
    second = members & ~first
    if min(first.sum(), second.sum()) < MIN_GROUP:
        return None
    return (first, second) if given.weights[first].sum() >= given.weights[second].sum() else (second, first)


def _side(rows: Array, first: Array, second: Array) -> Array:
    """(n,) probability that a face is one of the second group rather than of the first: two normal laws of one spread
    along the difference of its cosines with both centres."""
    import numpy as np

    gap = _with_others(rows, second.astype(float)) - _with_others(rows, first.astype(float))
    means = [float(gap[mask].mean()) for mask in (first, second)]
    both = np.concatenate([gap[first] - means[0], gap[second] - means[1]])
    spread = max(LEAST_SPREAD, float(np.sqrt((both**2).mean())))
    odds = (gap - (means[0] + means[1]) / 2) * (means[1] - means[0]) / spread**2
    chance: Array = 1 / (1 + np.exp(-np.clip(odds, -50, 50)) * first.sum() / second.sum())
    return chance


# ---------------------------------------------------------------- everybody else


def _groups(given: _Set, left: Array, level: Level) -> list[Array]:
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
        members = _fit(among, _company(among.rows, np.ones(len(places), bool)))[0]
        alike = _mean_within(among.rows[members], np.zeros(int(members.sum())))
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
