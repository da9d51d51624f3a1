"""Probe: weights above 1. A LoRA that is only scaled too low gets there; one that cannot hold the character never."""

from __future__ import annotations

from lora_doctor.arms.cells import like
from lora_doctor.types import CLOSE_UP, UPPER_BODY, ArmCase, Cell

FOR_FINDINGS = True
WEIGHTS = (1.3, 1.5)


def plan(case: ArmCase) -> tuple[Cell, ...]:
    """Close-ups and upper bodies at weights 1.3 and 1.5, with the matrix's prompts."""
    framings = (CLOSE_UP, UPPER_BODY)
    return like(case, "headroom", lambda cell: cell.prompt, weights=WEIGHTS, framings=framings, replicates=2)
