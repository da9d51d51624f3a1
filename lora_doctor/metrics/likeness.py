"""How like the references a picture is: the cosine with their centroid, or the mean likeness to each of them.

Most recognisers embed on a sphere, where a centroid is the best there is. Some (CCIP) only compare pairs. Either way a
render is compared with as many references as a reference was for the ceiling, so that a perfect likeness scores 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

Similarity = Callable[[Any, Any], Any]
"""(k, d) and (n, d) embeddings -> (k, n) similarities, greater for those more alike."""
Likeness = Callable[[Any], float]
"""A (d,) embedding -> its similarity with the references together."""


def to_centroid(centroid: Array) -> Likeness:
    """The cosine with a (d,) centroid, times the centroid's length."""
    return lambda embedding: float(embedding @ centroid)


def to_each(
    references: Sequence[Any], similarity: Similarity, copies: Sequence[int] | None = None
) -> tuple[Likeness, list[float], Array]:
    """The mean similarity with each of the references, every reference's own with the others, and (n, groups) that with
    one group more left out, NaN for its own.

    Two references or more, each a (d,) embedding. A mean of pairs does not depend on their number, as a centroid does.
    `copies`: the group of each; those of its own group are no others, and a group weighs as one.
    """
    import numpy as np

    rows = np.stack([np.asarray(reference) for reference in references])
    groups = np.unique(np.arange(len(rows)) if copies is None else np.asarray(copies), return_inverse=True)[1]
    weight = 1 / np.bincount(groups)[groups]
    table = np.array(similarity(rows, rows), np.float64) * weight
    table[groups[:, None] == groups[None, :]] = 0.0
    own = table.sum(axis=1) / (groups.max())

    def likeness(embedding: Any) -> float:
        pairs = np.asarray(similarity(np.asarray(embedding)[None], rows), np.float64)[0]
        return float((pairs * weight).sum() / (groups.max() + 1))

    return likeness, [float(s) for s in own], _with_one_less(table, groups)


def _with_one_less(table: Array, groups: Any) -> Array:
    """(n, groups) of an (n, n) table of weighed similarities, 0 within a group: each row's mean without one group."""
    import numpy as np

    count = int(groups.max()) + 1
    of_group = np.stack([table[:, groups == group].sum(axis=1) for group in range(count)], axis=1)
    fewer = (table.sum(axis=1)[:, None] - of_group) / max(1, count - 2)
    fewer[np.arange(len(table)), groups] = np.nan
    return np.asarray(fewer)
