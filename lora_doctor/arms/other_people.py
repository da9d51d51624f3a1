"""Other people: asked for by traits that are not the character's, without the trigger."""

from __future__ import annotations

from lora_doctor.arms.cells import like, top_weight, turn_of
from lora_doctor.types import CLOSE_UP, UPPER_BODY, ArmCase, Cell


def plan(case: ArmCase) -> tuple[Cell, ...]:
    """Close-ups and upper bodies at weight 0 and at the highest ship weight; `asked` is the other people's traits.

    Every identity attribute of the spec that the framing shows gets another label, each time the next one.
    """
    others = {
        name: [label for label in case.label_sets[name].labels if label != own]
        for name, own in case.spec.items()
        if name in case.label_sets and case.label_sets[name].kind == "identity"
    }

    def traits_of(cell: Cell) -> list[str]:
        turn = turn_of(case, cell)
        shown = [name for name, labels in others.items() if labels and cell.framing in case.label_sets[name].framings]
        return [others[name][(turn + place) % len(others[name])] for place, name in enumerate(shown)]

    def prompt_of(cell: Cell) -> str:
        return case.ask(cell.environment, cell.framing, trigger=False, tokens=cell.labels_asked, outfit=())

    cells = like(
        case, "other_people", prompt_of, weights=(0.0, top_weight(case)), framings=(CLOSE_UP, UPPER_BODY),
        asked_of=traits_of,
    )  # fmt: skip
    return tuple(cell for cell in cells if cell.asked)
