"""What can still be asked for with the LoRA: clothes, poses, expressions, the traits of other people.

Each label is asked for at weight 0 and at the highest ship weight with the same seeds; what the base model draws of it
is the most that can be expected, and what the LoRA draws less of is what it took away.
"""

from __future__ import annotations

from collections.abc import Sequence

from lora_doctor.metrics.above_chance import undrawn
from lora_doctor.metrics.estimates import mean, paired_difference, told
from lora_doctor.metrics.units import Sample, not_rendered, pick, sample
from lora_doctor.types import Cell, LabelSet, Measurement, Study

ARMS = {"outfit": "outfits", "pose": "poses", "expression": "poses", "trait": "other_people"}
"""What is asked for -> the arm that asks."""
KINDS = {"outfit": "outfit", "pose": "pose", "expression": "expression", "trait": "identity"}
"""The same -> the kind of its label sets."""


def measure(study: Study) -> list[Measurement]:
    """`control.match` (with the LoRA), `control.base_match` and `control.loss` (base minus LoRA), by `kind`."""
    found = []
    for kind, arm in ARMS.items():
        where = {"kind": kind}
        base, lora = (asked_for(study, kind, pick(study, {"arm": arm, "weight": w})) for w in ("0", "top"))
        lost = paired_difference(base.masked(lora), lora.masked(base))
        loss = undrawn(base, _sets(study, kind), f"{kind}s") or lost
        found += [
            told(mean(lora), "control.match", where, "share"),
            told(mean(base), "control.base_match", where, "share"),
            told(loss, "control.loss", where, "share"),
        ]
    return found


def _sets(study: Study, kind: str) -> list[LabelSet]:
    """The label sets of what is asked for."""
    return [labels for labels in study.label_sets.values() if labels.kind == KINDS[kind]]


def asked_for(study: Study, kind: str, cells: Sequence[Cell]) -> Sample:
    """The share of the labels of this kind that were asked for and are read."""
    sets = _sets(study, kind)

    def value_of(cell: Cell) -> float | None:
        reading, wanted = study.renders.get(cell.key), _wanted(cell, sets)
        if reading is None or not wanted:
            return None
        return sum(reading.top_label(labels) == label for labels, label in wanted) / len(wanted)

    asking = [cell for cell in cells if _wanted(cell, sets)]
    return sample(asking, value_of, rate=True) if asking else Sample(rate=True, absent=not_rendered(ARMS[kind]))


def _wanted(cell: Cell, sets: Sequence[LabelSet]) -> list[tuple[LabelSet, str]]:
    """The label sets that the cell asks for something of, with what it asks."""
    pairs = [(labels, label) for labels in sets for label in cell.labels_asked if label in labels.labels]
    return [(labels, label) for labels, label in pairs if cell.framing in labels.framings]
