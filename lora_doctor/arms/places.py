"""Places without anybody: what becomes of prompts that have nothing to do with the character."""

from __future__ import annotations

from lora_doctor.arms.cells import top_weight
from lora_doctor.seeds import cell_seed
from lora_doctor.types import FULL_BODY, PLAIN_PREFIX, ArmCase, Cell

MOST_PLACES = 10
"""As many as published measurements of such drift ask for (the image generation comparison of PEFT)."""
REPLICATES = 2


def plan(case: ArmCase) -> tuple[Cell, ...]:
    """Up to ten places at weight 0 and at the highest ship weight: neither trigger nor class word nor framing is named.

    The matrix's own come first, then those that instruments can name. A place is shown whole, as a full body is.
    """
    trained = {cell.environment: cell.trained for cell in case.matrix}
    known = case.label_sets["environment"].labels if "environment" in case.label_sets else ()
    places = [name for name in dict.fromkeys((*trained, *known)) if not name.startswith(PLAIN_PREFIX)][:MOST_PLACES]
    return tuple(
        Cell(
            weight=weight, environment=place, trained=trained.get(place, False), framing=FULL_BODY, replicate=replicate,
            prompt=case.ask(place, "", trigger=False, class_token="", outfit=()),
            negative_prompt=case.matrix[0].negative_prompt, seed=cell_seed(case.seed, place, FULL_BODY, replicate),
            arm="places",
        )
        for weight in (0.0, top_weight(case))
        for place in places
        for replicate in range(REPLICATES)
    )  # fmt: skip
