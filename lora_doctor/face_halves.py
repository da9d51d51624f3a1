"""Whether two groups of faces are one person's, and the two most different halves of one. Pure.

Faces that show less of a person, being small or turned, are less like each other too, and by as much: the mean cosine
between two groups over the geometric mean of those within them is 1 for two framings of one person and about 0 for two
people (Spearman's correction for attenuation, 1904).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lora_doctor.face_mixture import LEAST_SPREAD, MIN_GROUP, FaceSet, evenly_taken, with_others

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

POOR_ALIKE = 0.25
"""Cosine of two faces that hold nothing of anybody: recognisers put poor faces in one corner, whoever they are, and two
framings of one person would else look like two people."""


def corrected_cosine(rows: Array, first: Array, second: Array, kept: Array | None = None) -> float | None:
    """Mean cosine between two groups of faces (masks) over the geometric mean of those within them.

    1 for two samples of one person, however poor one of them is; 0 for people at right angles. `kept` (n,): how
    much of its person each face holds; what poor faces have in common is then not counted. None where a group has fewer
    than two faces, or where its faces are not like each other at all.
    """
    import numpy as np

    poor = np.zeros(len(rows)) if kept is None else np.sqrt(POOR_ALIKE * (1 - kept))
    own = [mean_within(rows[mask], poor[mask]) for mask in (first, second)]
    if any(each is None or each <= 0 for each in own):
        return None
    between = float(rows[first].mean(axis=0) @ rows[second].mean(axis=0) - poor[first].mean() * poor[second].mean())
    return between / math.sqrt(float(own[0] or 0) * float(own[1] or 0))


def mean_within(rows: Array, poor: Array) -> float | None:
    """Mean cosine of different faces of one group, without what poor faces have in common; None of fewer than two.

    `rows` (n, d) of unit length; `poor` (n,) what each face has in common with other poor ones, as a factor, 0 to 1.
    """
    n = len(rows)
    if n < 2:
        return None
    total, common = rows.sum(axis=0), poor.sum()
    return float(total @ total - (rows * rows).sum() - common**2 + (poor**2).sum()) / (n * (n - 1))


def two_halves(given: FaceSet, members: Array, kept: Array) -> tuple[Array, Array] | None:
    """The two most different groups among one person's faces, the weightier first; None where one is too small.

    If all are one person's, the cosine of two faces is the product of what each holds of it. What differs from the
    best such products has the groups in its strongest direction.
    """
    import numpy as np

    places = evenly_taken(np.flatnonzero(members))
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


def side_chance(rows: Array, first: Array, second: Array) -> Array:
    """(n,) probability that a face is one of the second group rather than of the first: two normal laws of one spread
    along the difference of its cosines with both centres."""
    import numpy as np

    gap = with_others(rows, second.astype(float)) - with_others(rows, first.astype(float))
    means = [float(gap[mask].mean()) for mask in (first, second)]
    both = np.concatenate([gap[first] - means[0], gap[second] - means[1]])
    spread = max(LEAST_SPREAD, float(np.sqrt((both**2).mean())))
    odds = (gap - (means[0] + means[1]) / 2) * (means[1] - means[0]) / spread**2
    chance: Array = 1 / (1 + np.exp(-np.clip(odds, -50, 50)) * first.sum() / second.sum())
    return chance
