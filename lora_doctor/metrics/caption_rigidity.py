"""Whether the character comes with the captions of the training set alone: the same caption, at a place it never had.

The tie-break between what the dataset shows and what its captions say: a LoRA that holds the person for the captions it
was trained on, and not for the same words about another of its own places, has learned captions by heart.
"""

from __future__ import annotations

from collections.abc import Sequence

from lora_doctor.image_states import came_out_empty
from lora_doctor.metrics.copies import CONTROL, REPLAYED
from lora_doctor.metrics.estimates import mean, paired_difference, told
from lora_doctor.metrics.ruler import Ruler, build_ruler
from lora_doctor.metrics.units import Key, Sample, not_rendered, pick
from lora_doctor.types import Cell, Measurement, Study


def measure(study: Study) -> list[Measurement]:
    """`control.caption_identity` of training captions, `control.recombined_identity` at another place, and the drop.

    All at the highest ship weight, caption by caption; `control.caption_drop` is the first minus the second.
    """
    ruler = build_ruler(study)
    there, away = (
        _by_caption(study, ruler, pick(study, {"arm": arm, "weight": "top"}), arm) for arm in (REPLAYED, CONTROL)
    )
    return [
        told(mean(there), "control.caption_identity", {}, "score"),
        told(mean(away), "control.recombined_identity", {}, "score"),
        told(paired_difference(there.masked(away), away.masked(there)), "control.caption_drop", {}, "score"),
    ]


def _by_caption(study: Study, ruler: Ruler | str, cells: Sequence[Cell], arm: str) -> Sample:
    """Caption -> the identity scores of its pictures, of the framings that can be measured; None where one is lost."""
    if isinstance(ruler, str):
        return Sample(rate=False, absent=ruler)
    units: dict[str, dict[Key, float | None]] = {}
    for cell in cells:
        mark = ruler.framings.get(cell.framing)
        if mark is not None and mark.problem is None:
            units.setdefault(cell.asked, {})[cell.framing, cell.replicate] = _score(study, ruler, cell)
    return Sample(rate=False, units=units, absent="" if units else not_rendered(arm))


def _score(study: Study, ruler: Ruler, cell: Cell) -> float | None:
    reading = study.renders.get(cell.key)
    if reading is None:
        return 0.0 if came_out_empty(cell, study.missing.get(cell.key)) else None
    return ruler.score(reading, cell.framing)
