"""Whether pictures come out as the ones the LoRA was trained on.

A picture's nearest training picture is found by the CLIP embedding of the whole picture. How near is too near, the
dataset says itself: nearer than its own pictures are to their nearest neighbours that are no copies of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lora_doctor.metrics.estimates import mean, paired_difference, told
from lora_doctor.metrics.units import Sample, not_rendered, pick, sample
from lora_doctor.types import Cell, Measurement, Reading, Study

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

COPY_BITS = 6
"""Bits out of 64 by which perceptual hashes of the same picture saved again differ at most."""
FEWEST = 10
"""Training pictures without a copy below which their own neighbours tell nothing."""
RARELY = 0.99
"""Share of the dataset's pictures that are farther from their nearest neighbour than what counts as a copy."""


def measure(study: Study) -> list[Measurement]:
    """`copies.share` of the matrix's ship renders and of the replayed captions, LoRA minus base at the same seeds."""
    rows, line = _known(study), _line(study)
    found = []
    for arm, lora, base in (
        ("matrix", {"weight": "ship"}, {"weight": "0"}),
        ("captions", {"arm": "captions", "weight": "top"}, {"arm": "captions", "weight": "0"}),
    ):
        with_lora, without = (_near(study, rows, line, _units(pick(study, where)), arm) for where in (lora, base))
        where = {"arm": arm}
        found.append(told(mean(with_lora), "copies.share", where, "share"))
        extra = paired_difference(with_lora.masked(without), without.masked(with_lora))
        found.append(told(extra, "copies.excess", where, "share"))
    return found


def _known(study: Study) -> Array | None:
    """(n, d): the embeddings of the training pictures."""
    import numpy as np

    known = [reading.embedding for reading in study.references if reading is not None and reading.embedding is not None]
    return np.stack([np.asarray(row, np.float64) for row in known]) if known else None


def _line(study: Study) -> float | str:
    """The similarity from which a picture is nearer than nearly all training pictures are to one another.

    Pictures that have a copy in the dataset are left out, or copies would make copying look usual.
    """
    import numpy as np

    pairs = [
        (reading, image.facts.perceptual_hash)
        for image, reading in zip(study.dataset.images, study.references, strict=True)
        if reading is not None and reading.embedding is not None and image.facts is not None
    ]
    single = [one for one in pairs if sum(_bits(one[1], other[1]) <= COPY_BITS for other in pairs) == 1]
    if len(single) < FEWEST:
        return f"only {len(single)} training pictures have no copy in the dataset: how near is usual cannot be told"
    rows = np.stack([np.asarray(reading.embedding, np.float64) for reading, _ in single])
    similar = rows @ rows.T
    np.fill_diagonal(similar, -1.0)
    return float(np.quantile(similar.max(axis=1), RARELY))


def _units(cells: Sequence[Cell]) -> dict[Cell, Cell]:
    """Unit -> cell: a caption that is replayed is an environment of its own, for its pictures resemble one another."""
    return {replace(cell, environment=cell.asked or cell.environment): cell for cell in cells}


def _near(study: Study, rows: Array | None, line: float | str, units: Mapping[Cell, Cell], arm: str) -> Sample:
    """1 where a render is nearer to a training picture than the line, else 0."""
    if rows is None or isinstance(line, str):
        return Sample(rate=True, absent=line if isinstance(line, str) else "no training picture was read")
    if not units:
        return Sample(rate=True, absent=not_rendered(arm))

    def value_of(cell: Cell) -> float | None:
        reading: Reading | None = study.renders.get(cell.key)
        if reading is None or reading.embedding is None:
            return None
        return float((rows @ reading.embedding).max() > line)

    by_key = {unit.key: value_of(cell) for unit, cell in units.items()}
    return sample(units, lambda unit: by_key[unit.key], rate=True)


def _bits(first: int, second: int) -> int:
    return (first ^ second).bit_count()
