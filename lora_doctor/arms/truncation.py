"""Probe: fewer directions. Where the rank is what is short, every direction that goes takes identity with it."""

from __future__ import annotations

from lora_doctor.arms.cells import like, top_weight
from lora_doctor.types import CLOSE_UP, UPPER_BODY, ArmCase, Cell

FOR_FINDINGS = True
VARIANTS = ("rank/2", "rank/4")


def plan(case: ArmCase) -> tuple[Cell, ...]:
    """Close-ups and upper bodies at the highest ship weight, with a half and a quarter of each update's directions.

    Neither where the LoRA has too few to leave some out.
    """
    return tuple(
        cell
        for variant in VARIANTS
        if case.rank >= int(variant.partition("/")[2])
        for cell in like(
            case,
            "truncation",
            lambda one: one.prompt,
            weights=(top_weight(case),),
            framings=(CLOSE_UP, UPPER_BODY),
            replicates=2,
            variant=variant,
        )
    )
