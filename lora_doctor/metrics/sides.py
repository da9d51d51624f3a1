"""Whether what the character has on one side comes on that side: a parting, a mark, a ponytail (measurement.md S28).

A picture's one-sidedness (`extractors/sides.py`) is held against the mean of the dataset's, each point weighted by how
steady it is there: a matched filter. 1 = as one-sided as the mean of the dataset, 0 = not at all, -1 = mirrored.
The dataset's own pictures, each against all others, say from where on a side is told: half of their median.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lora_doctor.metrics.estimates import Estimate, mean, told
from lora_doctor.metrics.units import Sample, pick, sample, ship_caveat
from lora_doctor.types import Cell, Measurement, Study

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

MIN_REFERENCES = 10
"""Fewer faces make a mean that is mostly one of them."""
STEADY = 1e-3
"""Added to the variance of each point (colours 0 to 1): no point is steadier than a level or two of rounding."""
TOLD = 0.5
"""Of the median reference: nearer to nothing than to it, a side is not told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Filter:
    """What the dataset's pictures have on one side."""

    mean: Array
    steadiness: Array
    limit: float
    """How one-sided a picture must be before its side is told; 0 or less = the dataset has no side."""

    def score(self, row: Array) -> float:
        """1 = as the dataset, -1 = mirrored."""
        return _score(row, self.mean, self.steadiness)


def measure(study: Study) -> list[Measurement]:
    """`side.told_share` and `.reference_mirrored_share` of the dataset, `side.kept` and `.mirrored_share` of renders.

    `side.kept`: the mean score of the ship renders, where the median reference is 1; a render without a face counts 0.
    """
    rows = _rows(study)
    if len(rows) < MIN_REFERENCES:
        few = (
            f"{len(rows)} dataset pictures show a face whose eyes are far enough apart, and {MIN_REFERENCES} are needed"
        )
        return [told(Estimate(reason=few), name, where, unit) for name, (where, unit) in _NAMES.items()]
    scores = _each_against_others(rows)
    own = _filter(rows, scores)
    right = [index for index, score in scores.items() if own.limit > 0 and score >= own.limit]
    wrong = [index for index, score in scores.items() if own.limit > 0 and score <= -own.limit]
    nothing = Estimate(reason="the dataset's pictures have no side in common")
    kept, mirrored = nothing, nothing
    if own.limit > 0:
        kept = mean(_sample(study, own, lambda score: TOLD * score / own.limit, rate=False))
        mirrored = mean(_sample(study, own, lambda score: float(score <= -own.limit), rate=True))
    return [
        _of_dataset("side.told_share", right, len(rows)),
        _of_dataset("side.reference_mirrored_share", wrong, len(rows)),
        told(kept, "side.kept", _SHIP, "score", ship_caveat(study)),
        told(mirrored, "side.mirrored_share", _SHIP, "share", ship_caveat(study)),
    ]


_SHIP = {"weight": "ship"}
_NAMES: Mapping[str, tuple[Mapping[str, str], str]] = {
    "side.told_share": ({}, "share"), "side.reference_mirrored_share": ({}, "share"),
    "side.kept": (_SHIP, "score"), "side.mirrored_share": (_SHIP, "share"),
}  # fmt: skip


def _of_dataset(name: str, which: list[int], of: int) -> Measurement:
    """A census: no interval."""
    return Measurement(name=name, value=len(which) / of, unit="share", n=of, pictures=tuple(which))


def _sample(study: Study, own: _Filter, of: Callable[[float], float], *, rate: bool) -> Sample:
    """What `of` makes of each ship render's score; 0 where there is no face: it keeps no side, and mirrors none."""
    import numpy as np

    def value_of(cell: Cell) -> float | None:
        reading = study.renders.get(cell.key)
        if reading is None or reading.sides is None:
            return None if reading is None else 0.0
        return of(own.score(reading.sides.astype(np.float64)))

    return sample(pick(study, _SHIP), value_of, rate=rate)


def _rows(study: Study) -> dict[int, Array]:
    """Index of each dataset picture with a face -> its one-sidedness."""
    import numpy as np

    return {
        index: reading.sides.astype(np.float64)
        for index, reading in enumerate(study.references)
        if reading is not None and reading.sides is not None
    }


def _filter(rows: Mapping[int, Array], scores: Mapping[int, float]) -> _Filter:
    import numpy as np

    table = np.stack(list(rows.values()))
    limit = TOLD * float(np.median(list(scores.values())))
    return _Filter(mean=table.mean(axis=0), steadiness=1 / (table.var(axis=0) + STEADY), limit=limit)


def _each_against_others(rows: Mapping[int, Array]) -> dict[int, float]:
    """Index -> the score of each picture by the mean and variance of all others."""
    import numpy as np

    table = np.stack(list(rows.values()))
    count, total, squares = len(table) - 1, table.sum(axis=0), (table**2).sum(axis=0)
    scores = {}
    for index, row in rows.items():
        centre = (total - row) / count
        variance = np.maximum((squares - row**2) / count - centre**2, 0.0)
        scores[index] = _score(row, centre, 1 / (variance + STEADY))
    return scores


def _score(row: Array, centre: Array, steadiness: Array) -> float:
    size = float((centre**2 * steadiness).sum())
    return float((row * centre * steadiness).sum()) / size if size > math.ulp(1.0) else 0.0
