"""What becomes of pictures without the character: places in which nobody is asked for, against the base model's.

A LoRA that leaves the base model alone where it is not called draws the same place at the same seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lora_doctor.metrics.environment import drawn_as_asked, labels_of_places
from lora_doctor.metrics.estimates import Estimate, mean, paired_difference, ratio, told
from lora_doctor.metrics.units import Sample, not_rendered, pick, sample
from lora_doctor.types import Cell, Measurement, Study

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

ARM = "places"


def measure(study: Study) -> list[Measurement]:
    """`drift.*` of the arm `places`, from weight 0 to the highest ship weight.

    `place_loss`: share of places that CLIP reads as asked without the LoRA, minus with it. `people`: share of pictures
    with a face, with the LoRA minus without. `distance`: (1 - cosine) / 2 of CLIP's embeddings of both, at the same
    seed (0 = the same picture); `seeds`: the same between two seeds of the base model; `relative`: the one over the
    other, so that 1 is as far as another seed.
    """
    base, lora = (pick(study, {"arm": ARM, "weight": weight}) for weight in ("0", "top"))
    if not base or not lora:
        absent = Estimate(reason=not_rendered(ARM))
        return [told(absent, f"drift.{name}", {}, unit) for name, unit in UNITS.items()]
    (before, _), (after, unnamed) = (drawn_as_asked(study, labels_of_places(study), cells) for cells in (base, lora))
    faces = [with_faces(study, cells) for cells in (base, lora)]
    away, seeds = _away(study, lora, base), _seeds(study, base)
    found = {
        "place_loss": paired_difference(before.masked(after), after.masked(before)),
        "people": paired_difference(faces[1].masked(faces[0]), faces[0].masked(faces[1])),
        "distance": mean(away),
        "seeds": mean(seeds),
        "relative": ratio(away, seeds),
    }
    notes = {"place_loss": unnamed}
    return [told(found[name], f"drift.{name}", {}, unit, notes.get(name)) for name, unit in UNITS.items()]


UNITS = {"place_loss": "share", "people": "share", "distance": "distance", "seeds": "distance", "relative": "ratio"}


def with_faces(study: Study, cells: Sequence[Cell]) -> Sample:
    """1 where a render shows a face, else 0."""

    def of(cell: Cell) -> float | None:
        reading = study.renders.get(cell.key)
        return None if reading is None else float(reading.face.faces > 0)

    return sample(cells, of, rate=True)


def _away(study: Study, lora: Sequence[Cell], base: Sequence[Cell]) -> Sample:
    """How far each picture is from the base model's at the same seed."""
    twins = {(cell.environment, cell.replicate): _embedding(study, cell) for cell in base}

    def of(cell: Cell) -> float | None:
        return _distance(_embedding(study, cell), twins.get((cell.environment, cell.replicate)))

    return sample(lora, of, rate=False)


def _seeds(study: Study, base: Sequence[Cell]) -> Sample:
    """How far the base model's pictures of one place are from its first one there."""
    firsts = {cell.environment: _embedding(study, cell) for cell in base if cell.replicate == 0}
    others = [cell for cell in base if cell.replicate > 0]
    if not others:
        return Sample(rate=False, absent="one picture of a place does not tell how far two are apart")
    return sample(others, lambda cell: _distance(_embedding(study, cell), firsts.get(cell.environment)), rate=False)


def _embedding(study: Study, cell: Cell) -> Array | None:
    reading = study.renders.get(cell.key)
    return None if reading is None else reading.embedding


def _distance(one: Array | None, other: Array | None) -> float | None:
    """(1 - cosine) / 2 of unit embeddings, 0 to 1."""
    return None if one is None or other is None else min(1.0, max(0.0, (1.0 - float(one @ other)) / 2))
