"""The character's traits written out in the prompt, with and without the LoRA.

At weight 0 this is the positive control of the attributes: what the instruments see of a trait that was asked for, in
each environment. At the ship weight it tells a trait that is bound weakly from one that the LoRA cannot draw.
"""

from __future__ import annotations

from lora_doctor.arms.cells import like, top_weight
from lora_doctor.types import ArmCase, Cell


def plan(case: ArmCase) -> tuple[Cell, ...]:
    """The matrix at weight 0 and at the highest ship weight, the spec's labels that a framing shows in the prompt."""

    def prompt_of(cell: Cell) -> str:
        shown = [
            label for name, label in case.spec.items()
            if name in case.label_sets and cell.framing in case.label_sets[name].framings
        ]  # fmt: skip
        return case.ask(cell.environment, cell.framing, tokens=shown)

    return like(case, "described", prompt_of, weights=(0.0, top_weight(case))) if case.spec else ()
