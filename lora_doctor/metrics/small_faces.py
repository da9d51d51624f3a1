"""What identity loses where the face is small, beyond what a closer look gives back.

A face of a few pixels may be lost by the instrument or by the picture. So it is read again from its surroundings
enlarged, and what is still missing against close-ups is told, less what the base model's own small faces lose in the
detector's confidence. What the base model's decoder blurs, which no detector minds, is `identity.round_trip_loss`.
"""

from __future__ import annotations

from lora_doctor.metrics.estimates import Estimate, paired_difference, told
from lora_doctor.metrics.ruler import Ruler, build_ruler
from lora_doctor.metrics.units import Sample, pick, sample, ship_caveat
from lora_doctor.types import CLOSE_UP, FULL_BODY, Cell, Measurement, Study

NAME = "identity.small_face_loss"


def measure(study: Study) -> list[Measurement]:
    """`identity.small_face_loss`: identity at close-up minus full body from a closer look, over the ship weights."""
    ruler = build_ruler(study)
    if isinstance(ruler, str):
        return [told(Estimate(reason=ruler), NAME, {}, "score")]
    unmeasured = [f for f in (CLOSE_UP, FULL_BODY) if f in ruler.framings and ruler.framings[f].problem]
    small = [cell for cell in pick(study, {"weight": "ship", "framing": FULL_BODY}) if _looked_closer(study, cell)]
    if unmeasured or not small:
        why = ruler.framings[unmeasured[0]].problem if unmeasured else "no full-body face was read from closer"
        return [told(Estimate(reason=why), NAME, {}, "score")]
    near, far = (_less_confidence(study, ruler, framing) for framing in (CLOSE_UP, FULL_BODY))
    base = "of the base model's own loss only that in the detector's confidence is taken off"
    return [told(paired_difference(near, far), NAME, {}, "score", base, ship_caveat(study))]


def _looked_closer(study: Study, cell: Cell) -> bool:
    reading = study.renders.get(cell.key)
    return reading is not None and reading.face.closer is not None


def _less_confidence(study: Study, ruler: Ruler, framing: str) -> Sample:
    """Score of each unit, from the closer look where there is one, less the confidence in the base model's face."""

    def score(cell: Cell) -> float | None:
        reading = study.renders.get(cell.key)
        if reading is None or reading.face.closer is None:
            return None if reading is None else ruler.score(reading, cell.framing)
        mark = ruler.framings[framing]
        return (ruler.references.likeness(reading.face.closer) - (mark.floor.value or 0.0)) / (mark.gap.value or 1.0)

    def confidence(cell: Cell) -> float | None:
        reading = study.renders.get(cell.key)
        return None if reading is None else reading.face.score or 0.0

    ship = sample(pick(study, {"weight": "ship", "framing": framing}), score, rate=False)
    base = sample(pick(study, {"weight": "0", "framing": framing}), confidence, rate=False)
    units = {
        e: {key: _less(value, base.units.get(e, {}).get(key)) for key, value in table.items()}
        for e, table in ship.units.items()
    }
    return Sample(rate=False, units=units)


def _less(value: float | None, base: float | None) -> float | None:
    return None if value is None or base is None else value - base
