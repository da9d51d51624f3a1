"""Whether other people turn into the character: identity and traits of those who were asked for without the trigger."""

from __future__ import annotations

from lora_doctor.metrics.estimates import paired_difference, told
from lora_doctor.metrics.ruler import build_ruler, scores
from lora_doctor.metrics.units import Sample, not_rendered, pick
from lora_doctor.types import Measurement, Study

ARM = "other_people"


def measure(study: Study) -> list[Measurement]:
    """`bleed.score`: identity of other people towards the character, LoRA minus base model at the same seeds.

    `use.with_others`: 1 where the LoRA is meant for pictures of other people too, else 0.
    """
    ruler = build_ruler(study)
    cells = {weight: pick(study, {"arm": ARM, "weight": weight}) for weight in ("0", "top")}
    nothing = Sample(rate=False, absent=not_rendered(ARM))
    base, lora = (scores(study, ruler, cells[weight])[0] if cells[weight] else nothing for weight in ("0", "top"))
    return [
        told(paired_difference(lora.masked(base), base.masked(lora)), "bleed.score", {}, "score"),
        Measurement(name="use.with_others", value=float(study.with_others), n=1),
    ]
