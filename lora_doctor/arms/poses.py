"""The character in every pose and with every expression that can be told: whether they can still be chosen."""

from __future__ import annotations

from lora_doctor.arms.cells import like, top_weight, turn_of
from lora_doctor.types import CLOSE_UP, UPPER_BODY, ArmCase, Cell


def plan(case: ArmCase) -> tuple[Cell, ...]:
    """Close-ups and upper bodies at weight 0 and at the highest ship weight; `asked` is a pose or an expression."""
    sets = [labels for labels in case.label_sets.values() if labels.kind in ("pose", "expression")]

    def asked_of(cell: Cell) -> list[str]:
        turn = turn_of(case, cell)
        return [labels.labels[turn % len(labels.labels)] for labels in sets if cell.framing in labels.framings]

    def prompt_of(cell: Cell) -> str:
        return case.ask(cell.environment, cell.framing, pose=", ".join(cell.labels_asked))

    cells = like(
        case, "poses", prompt_of, weights=(0.0, top_weight(case)), framings=(CLOSE_UP, UPPER_BODY), asked_of=asked_of
    )
    return tuple(cell for cell in cells if cell.asked)
