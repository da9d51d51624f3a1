"""How much of a second person of the dataset is in the renders' faces.

Two people under one trigger are learned as one, and a LoRA that draws somebody between them is near their mean. So
identity is measured against the character's faces alone (`metrics/ceiling.py`), and here against the other's.
"""

from __future__ import annotations

from lora_doctor.metrics.ceiling import references_of, second_references_of
from lora_doctor.metrics.estimates import Estimate, mean, told
from lora_doctor.metrics.ruler import Ruler, ruler_of, scores
from lora_doctor.metrics.units import pick, ship_caveat
from lora_doctor.types import Measurement, Study


def measure(study: Study) -> list[Measurement]:
    """`identity.second_person`: what the renders have of the second person beyond what all that is like the first has.

    0 = what the base model draws anyway, 1 = as the second person's pictures; over the ship weights, t over
    environments. 0 where the dataset shows no second person.
    """
    return [told(_score(study), "identity.second_person", {"weight": "ship"}, "score", ship_caveat(study))]


def _score(study: Study) -> Estimate:
    if not study.others:
        nobody = "no second person was found in the dataset"
        return Estimate(value=0.0, interval=(0.0, 0.0), n=len(study.references), reason=nobody)
    first = references_of(study)
    if isinstance(first, str):
        return Estimate(reason=first)
    second = second_references_of(study, first)
    ruler: Ruler | str = "too few faces of the second person" if second is None else ruler_of(study, second)
    return mean(scores(study, ruler, pick(study, {"weight": "ship"}))[0])
