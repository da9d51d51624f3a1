"""Captions of the training set replayed: does the LoRA draw new pictures, or the ones it has seen?"""

from __future__ import annotations

from collections.abc import Sequence

from lora_doctor.arms.cells import cut_captions, like_captions, top_weight
from lora_doctor.types import ArmCase, Cell


def plan(case: ArmCase) -> tuple[Cell, ...]:
    """Some of the captions at weight 0 and at the highest ship weight; `asked` is the number of the picture."""
    return like_captions(case, "captions", weights=(0.0, top_weight(case)))


def remark(case: ArmCase, cells: Sequence[Cell]) -> str | None:
    """How many captions were too long to be replayed as they are; None where none was."""
    return cut_captions(case, cells)
