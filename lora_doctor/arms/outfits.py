"""The character in clothes that the dataset does not show: whether what is worn can still be chosen."""

from __future__ import annotations

from collections import Counter

from lora_doctor.arms.cells import like, top_weight, turn_of
from lora_doctor.captions import named
from lora_doctor.types import FULL_BODY, UPPER_BODY, ArmCase, Cell, LabelSet


def plan(case: ArmCase) -> tuple[Cell, ...]:
    """Upper and full bodies at weight 0 and at the highest ship weight; `asked` is what they wear, each time the next.

    Nothing where every label of clothing is in the dataset.
    """
    clothes = [labels for labels in case.label_sets.values() if labels.kind == "outfit"]
    unseen = {labels.attribute: [x for x in labels.labels if x not in _worn(case, labels)] for labels in clothes}

    def worn_in(cell: Cell) -> list[str]:
        turn = turn_of(case, cell)
        shown = [labels.attribute for labels in clothes if cell.framing in labels.framings]
        return [unseen[name][turn % len(unseen[name])] for name in shown if unseen[name]]

    def prompt_of(cell: Cell) -> str:
        return case.ask(cell.environment, cell.framing, outfit=cell.labels_asked)

    cells = like(
        case, "outfits", prompt_of, weights=(0.0, top_weight(case)), framings=(UPPER_BODY, FULL_BODY), asked_of=worn_in
    )
    return tuple(cell for cell in cells if cell.asked)


def _worn(case: ArmCase, labels: LabelSet) -> set[str]:
    """The labels that captions name, or that two pictures or more are read as."""
    said = {label for image in case.dataset.images for label in named(image.caption, labels.labels)}
    read = Counter(reading.top_label(labels) for reading in case.references if reading is not None)
    return said | {label for label, count in read.items() if label is not None and count > 1}
