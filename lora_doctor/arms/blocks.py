"""Probe: a part of the model at a time as it was. It tells where in the LoRA a symptom sits."""

from __future__ import annotations

from lora_doctor.arms.cells import like, top_weight
from lora_doctor.types import UPPER_BODY, ArmCase, Cell

FOR_FINDINGS = True
VARIANTS = ("without/text_encoder", "without/down", "without/mid", "without/up")


def plan(case: ArmCase) -> tuple[Cell, ...]:
    """Upper bodies at the highest ship weight, each part of the model without its updates in turn."""
    return tuple(
        cell
        for variant in VARIANTS
        for cell in like(
            case,
            "blocks",
            lambda one: one.prompt,
            weights=(top_weight(case),),
            framings=(UPPER_BODY,),
            replicates=2,
            variant=variant,
        )
    )
