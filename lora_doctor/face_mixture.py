"""Which faces are the person's who is in most of a picture set: a mixture of its own faces and strangers'. Pure.

No similarity means the same for every recogniser, style and face size, so none is fixed here. All is learned from the
set: how like its own person a face of a given size is, how much that varies, and how like it strangers are. The cosine
of the person's own faces with the centre of the others lies around a level that falls with the size of the face (a face
of 15 pixels holds less of the person) and as the head turns, with heavy tails (hats, make-up); that of strangers around
a lower one. The mixture gives every face a probability.
"""

from __future__ import annotations

import math
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
class FaceSet:
    """What is given: n faces."""

    rows: Array
    """(n, d) unit length."""
    sides: Array
    turned: Array
    """(n,) what the turn of the head leaves of a face, 0 to 1."""
    weights: Array

    def kept(self, half: float) -> Array:
        """(n,) how much of its person each face holds, 0 to 1, where half is left at `half` pixels."""
        return kept_share(self.sides, half) * self.turned

    def of(self, places: Array) -> FaceSet:
        """Some of them."""
        return FaceSet(
            rows=self.rows[places], sides=self.sides[places], turned=self.turned[places], weights=self.weights[places]
        )


def kept_share(sides: Array, half: float) -> Array:
    """(n,) how much of its person a face of each side (pixels) holds, 0 to 1, where half is left at `half` pixels."""
    import numpy as np

    kept: Array = 1 / (1 + (half / np.maximum(sides, 1e-9)) ** STEEP)
    return kept


def evenly_taken(places: Array) -> Array:
    """At most `MOST` of them, evenly taken."""
    import numpy as np

    return places if len(places) <= MOST else places[np.linspace(0, len(places) - 1, MOST).astype(int)]


# ---------------------------------------------------------------- the person


def largest_person(given: FaceSet) -> tuple[Array, Level, Array, Array]:
    """The person whose faces weigh most: mask of its faces, levels, cosines with the centre, chance of a stranger.

    The closest company may be another's, so that among all who are left out it is looked for too.
    """
    import numpy as np

    fits = [closest_person(given, np.ones(len(given.rows), bool))]
    rest = ~fits[0][0]
    if rest.sum() >= MIN_FACES:
        fits.append(closest_person(given, rest))
    return max(fits, key=lambda fit: float(given.weights[fit[0]].sum()))


def closest_person(given: FaceSet, among: Array) -> tuple[Array, Level, Array, Array]:
    """The person whose faces keep the closest company among some of the faces (mask): mask of its faces among all,
    levels, cosines with the centre of its others, chance of a stranger."""
    return _fit(given, _company(given.rows, among))


def _company(rows: Array, among: Array) -> Array:
    """(n,) 1 for the faces that keep the closest company among some of them, 0 for all others."""
    import numpy as np

    places = evenly_taken(np.flatnonzero(among))
    count = max(MIN_GROUP, round(SEED_SHARE * len(places)))
    cosines = rows[places] @ rows[places].T
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    closeness = np.take_along_axis(cosines, nearest, axis=1).mean(axis=1)
    chosen = np.zeros(len(rows))
    chosen[places[nearest[int(closeness.argmax())]]] = 1.0
    return chosen


def _fit(given: FaceSet, share: Array) -> tuple[Array, Level, Array, Array]:
    """The mixture, from the shares (n,) with which faces are first taken for the person's."""
    level = Level(own=0, spread=0, half=0, other=OTHER_AT, other_spread=OTHER_SPREAD, others=0.5)
    for _ in range(ROUNDS):
        similar = with_others(given.rows, share)
        level = _levels(given, similar, share)
        share = 1 - _chance(given, similar, level)
    return share > 0.5, level, similar, 1 - share


def with_others(rows: Array, share: Array) -> Array:
    """(n,) cosine of each face with the centre of the person's others."""
    import numpy as np

    others = share @ rows - share[:, None] * rows
    others = others / np.maximum(np.linalg.norm(others, axis=1, keepdims=True), 1e-12)
    similar: Array = (rows * others).sum(axis=1)
    return similar


def _levels(given: FaceSet, similar: Array, share: Array) -> Level:
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


def _densities(given: FaceSet, similar: Array, level: Level) -> tuple[Array, Array]:
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


def _chance(given: FaceSet, similar: Array, level: Level) -> Array:
    """(n,) probability that each face is somebody else's; 0 for one more like the person than its own let expect."""
    import numpy as np

    own, other = _densities(given, similar, level)
    odds = level.others * other / np.maximum((1 - level.others) * own, 1e-300)
    chance: Array = np.where(similar >= level.own * given.kept(level.half), 0.0, odds / (1 + odds))
    return chance
