"""How much of another person of the dataset is in the renders' faces.

Two people under one trigger are learned as one, and a LoRA that draws somebody between them is near their mean. So
identity is measured against the character's faces alone (`metrics/ceiling.py`), and here against everybody else's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from lora_doctor.metrics.ceiling import References, references_of, second_references_of
from lora_doctor.metrics.estimates import Estimate, mean, told
from lora_doctor.metrics.ruler import Ruler, ruler_of
from lora_doctor.metrics.units import pick, sample, ship_caveat
from lora_doctor.types import Cell, Measurement, Study


def measure(study: Study) -> list[Measurement]:
    """`identity.second_person`: what the renders have of another person beyond what all that is like the first has.

    0 = what the base model draws anyway, 1 = as the other's pictures; over the ship weights, t over environments, the
    ruler's own error added. Of several other people the one of whom the renders have most. 0 where the dataset shows
    nobody else; no value where nobody can say so.
    """
    found, pictures = _strongest(study)
    one = told(found, "identity.second_person", {"weight": "ship"}, "similarity", ship_caveat(study))
    return [replace(one, pictures=pictures)]


def _strongest(study: Study) -> tuple[Estimate, tuple[int, ...]]:
    """The estimate, and the pictures of the person that it is about."""
    if not study.others.groups:
        if study.others.unknown is not None:
            return Estimate(reason=f"whether the dataset shows other people: {study.others.unknown}"), ()
        nobody = "nobody returns in the dataset beside the character"
        return Estimate(value=0.0, interval=(0.0, 0.0), n=len(study.references), reason=nobody), ()
    first = references_of(study)
    if isinstance(first, str):
        return Estimate(reason=first), ()
    scored = [(_score(study, first, group), group) for group in study.others.groups]
    unmeasured = [(one, group) for one, group in scored if one.value is None]
    return max(scored, key=lambda pair: pair[0].value or 0.0) if not unmeasured else unmeasured[0]


def _score(study: Study, first: References, group: Sequence[int]) -> Estimate:
    second = second_references_of(study, first, group)
    ruler = "too few faces" if second is None else ruler_of(study, second)
    if isinstance(ruler, str) or ruler.whole.problem is not None:
        why = ruler if isinstance(ruler, str) else "their faces are not told apart from what the base model draws"
        names = "`lora-doctor audit` names their pictures: remove them, or train on them with a trigger of their own"
        return Estimate(reason=f"somebody else is in {len(group)} pictures, and cannot be measured ({why}); {names}")
    known: Ruler = ruler

    def value_of(cell: Cell) -> float | None:
        reading = study.renders.get(cell.key)
        if reading is None or reading.face.embedding is None or known.framings[cell.framing].problem is not None:
            return None
        return known.score(reading, cell.framing)

    found = mean(sample(pick(study, {"weight": "ship"}), value_of, rate=False))
    return _with_ruler_error(found, known)


def _with_ruler_error(found: Estimate, ruler: Ruler) -> Estimate:
    """The estimate with the relative error of the ruler's length added to its interval."""
    gap, ends = ruler.whole.gap.value, ruler.whole.gap.interval
    if found.value is None or found.interval is None or not gap or ends is None:
        return found
    short, long = (abs(found.value) * abs(end - gap) / gap for end in ends)
    low = math.hypot(found.value - found.interval[0], long)
    high = math.hypot(found.interval[1] - found.value, short)
    return replace(found, interval=(found.value - low, found.value + high))
