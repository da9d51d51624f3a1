"""The matrix's prompts without the trigger: what of the character comes although nobody called for it."""

from __future__ import annotations

from lora_doctor.arms.cells import like, top_weight
from lora_doctor.types import CLOSE_UP, UPPER_BODY, ArmCase, Cell


def plan(case: ArmCase) -> tuple[Cell, ...]:
    """Close-ups and upper bodies at weight 0 and at the highest ship weight; neither trigger nor outfit is named."""

    def prompt_of(cell: Cell) -> str:
        return case.ask(cell.environment, cell.framing, trigger=False, outfit=())

    return like(case, "no_trigger", prompt_of, weights=(0.0, top_weight(case)), framings=(CLOSE_UP, UPPER_BODY))
