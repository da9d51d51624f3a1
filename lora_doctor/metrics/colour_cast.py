"""Whether the LoRA brings the dataset's colours along: the light or the tint of its pictures, in places new to it.

The mean CIE Lab colour of a render's background against that of the same prompt and seed at weight 0, along the line
from what the base model draws to the mean of the dataset's backgrounds, in standard deviations of those along the line.
The background, since hair and clothes of the character move a picture's mean as they must: a blonde in close-up makes a
night yellow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lora_doctor.metrics.estimates import Estimate, mean, told
from lora_doctor.metrics.units import Sample, pick, sample, ship_caveat
from lora_doctor.types import Cell, Measurement, Study

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

BACKGROUND = "background"
MIN_REFERENCES = 5
"""Fewer pictures have no spread to speak of."""
NOTICEABLE = 2.3
"""Delta-E that an eye just notices (Mahy, Van Eycken and Oosterlinck 1994): no spread counts as less, nor is a dataset
whose mean lies nearer to the base model's than this on any side of it."""


def measure(study: Study) -> list[Measurement]:
    """`colour.cast`: how far the ship renders in novel environments are drawn to the dataset's mean; 0 = not at all."""
    where = {"environment_kind": "novel"}
    one = _shifts(study)
    estimate = one if isinstance(one, Estimate) else mean(one)
    return [told(estimate, "colour.cast", where, "sd", ship_caveat(study))]


def _shifts(study: Study) -> Sample | Estimate:
    """Per unit: the shift along the line, in the dataset's spread; or why it cannot be told."""
    import numpy as np

    base = {_seed(c): colour for c in pick(study, {"weight": "0", "environment_kind": "novel"})
            if (colour := _colour(study, c)) is not None}  # fmt: skip
    if not base:
        return Estimate(reason="no background is to be seen at weight 0 in an environment new to the dataset")
    pairs = [(np.array(reading.colours[BACKGROUND]), image.repeats)
             for image, reading in zip(study.dataset.images, study.references, strict=True)
             if reading is not None and BACKGROUND in reading.colours]  # fmt: skip
    if len(pairs) < MIN_REFERENCES:
        few = f"a background can be seen in {len(pairs)} dataset pictures, and {MIN_REFERENCES} are needed"
        return Estimate(reason=few)
    rows, repeats = np.stack([row for row, _ in pairs]), np.array([times for _, times in pairs])
    toward = np.average(rows, axis=0, weights=repeats) - np.mean(list(base.values()), axis=0)
    length = float(np.linalg.norm(toward))
    if length < NOTICEABLE:
        there = f"the dataset's backgrounds are those of the base model (Delta-E {length:.1f}): there is no way to go"
        return Estimate(value=0.0, n=len(base), reason=there)
    line = toward / length
    unit = max(NOTICEABLE, _spread(rows @ line, repeats))

    def value_of(cell: Cell) -> float | None:
        own, before = _colour(study, cell), base.get(_seed(cell))
        return None if own is None or before is None else float((own - before) @ line) / unit

    cells = [cell for cell in pick(study, {"weight": "ship", "environment_kind": "novel"}) if not _hidden(study, cell)]
    paired = [cell for cell in cells if _seed(cell) in base]
    return sample(paired, value_of, rate=False)


def _spread(values: Array, repeats: Sequence[float] | Array) -> float:
    """The standard deviation, weighted by how often the trainer shows each picture."""
    import numpy as np

    weights = np.asarray(repeats, np.float64)
    centre = float(np.average(values, weights=weights))
    return float(np.sqrt(np.average((values - centre) ** 2, weights=weights)))


def _colour(study: Study, cell: Cell) -> Array | None:
    import numpy as np

    reading = study.renders.get(cell.key)
    return None if reading is None or BACKGROUND not in reading.colours else np.array(reading.colours[BACKGROUND])


def _hidden(study: Study, cell: Cell) -> bool:
    """Whether a render is there and shows no background."""
    return cell.key in study.renders and _colour(study, cell) is None


def _seed(cell: Cell) -> tuple[str, str, int]:
    """What cells at different weights have in common."""
    return cell.environment, cell.framing, cell.replicate
