"""The matrix above its weights: where the working range ends."""

from __future__ import annotations

from lora_doctor.arms.cells import like
from lora_doctor.types import CLOSE_UP, UPPER_BODY, ArmCase, Cell

WEIGHT = 1.2
"""Beyond what a LoRA is used at, and where most that are over-baked at 1.0 show it plainly."""


def plan(case: ArmCase) -> tuple[Cell, ...]:
    """Close-ups and upper bodies at weight 1.2, with the matrix's prompts; nothing where the matrix goes that far."""
    if any(cell.weight >= WEIGHT for cell in case.matrix):
        return ()
    return like(case, "strong", lambda cell: cell.prompt, weights=(WEIGHT,), framings=(CLOSE_UP, UPPER_BODY))
