"""What identity the base model's encoder and decoder lose by themselves, of faces as the dataset has them.

No training mends it: what the decoder cannot draw, a render cannot show. It is the part of a loss in small faces that
is not the LoRA's (FlashFace's authors, for one, left faces below a seventh of the picture out of their training).
"""

from __future__ import annotations

import statistics

from lora_doctor.metrics import intervals
from lora_doctor.metrics.estimates import Estimate, told
from lora_doctor.metrics.ruler import Ruler, build_ruler
from lora_doctor.metrics.units import framings_of
from lora_doctor.types import Measurement, Study

NAME = "identity.round_trip_loss"


def measure(study: Study) -> list[Measurement]:
    """`identity.round_trip_loss` by framing: score of dataset pictures minus their score after the round trip.

    A little too low, by the picture's own part in the references that its round trip is compared with.
    """
    ruler = build_ruler(study)
    return [told(_loss(study, ruler, f), NAME, {"framing": f}, "score") for f in framings_of(study)]


def _loss(study: Study, ruler: Ruler | str, framing: str) -> Estimate:
    """Mean over the pictures of a framing, with the interval of independent pictures."""
    if isinstance(ruler, str):
        return Estimate(reason=ruler)
    mark, labels = ruler.framings[framing], study.label_sets.get("framing")
    if mark.problem is not None:
        return Estimate(reason=mark.problem)
    known = zip(ruler.references.places, ruler.references.known, ruler.references.similarities, strict=True)
    own = {place: like for place, reading, like in known if reading.top_label(labels) == framing}
    losses = [
        (like - (mark.floor.value or 0.0)) / (mark.gap.value or 1.0) - ruler.score(study.redrawn[place], framing)
        for place, like in own.items()
        if place in study.redrawn
    ]
    if not losses:
        why = f"no {framing} picture of the dataset" if not own else "no picture"
        return Estimate(reason=f"{why} was put through the base model's decoder")
    return Estimate(value=statistics.fmean(losses), interval=intervals.t_interval(losses), n=len(losses))
