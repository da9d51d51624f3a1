"""Captions of the training set replayed: does the LoRA draw new pictures, or the ones it has seen?"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from lora_doctor.arms.cells import MOST, top_weight
from lora_doctor.captions import named
from lora_doctor.seeds import cell_seed
from lora_doctor.types import ArmCase, Cell, DatasetImage

CAPTIONS = 12
"""Captions that are replayed at most."""
SOMEWHERE = "elsewhere"
"""The environment of a caption that names none."""


def plan(case: ArmCase) -> tuple[Cell, ...]:
    """Some of the captions at weight 0 and at the highest ship weight; `asked` is the number of the picture.

    Which ones does not depend on their order. A caption's place and framing are those it names; replicates are few.
    """
    captioned = [(number, image) for number, image in enumerate(case.dataset.images) if image.caption]
    chosen = sorted(captioned, key=lambda pair: hashlib.sha256(f"{case.seed}/{pair[1].sha256}".encode()).digest())
    return tuple(
        _cell(case, number, image, replicate, weight)
        for weight in (0.0, top_weight(case))
        for number, image in sorted(chosen[:CAPTIONS], key=lambda pair: pair[0])
        for replicate in range(MOST)
    )


def _cell(case: ArmCase, number: int, image: DatasetImage, replicate: int, weight: float) -> Cell:
    places, framings = case.label_sets.get("environment"), case.label_sets.get("framing")
    place = next(iter(named(image.caption, places.labels)), SOMEWHERE) if places else SOMEWHERE
    shown = list(dict.fromkeys(cell.framing for cell in case.matrix))
    framing = next((f for f in named(image.caption, framings.labels) if f in shown), None) if framings else None
    like = case.matrix[0]
    return replace(
        like, weight=weight, environment=place, trained=True, framing=framing or shown[-1], replicate=replicate,
        prompt=image.caption or "", seed=cell_seed(case.seed, f"caption/{image.sha256}", "", replicate),
        arm="captions", asked=str(number),
    )  # fmt: skip
