"""Which pictures of the dataset are put through the base model's encoder and decoder, to see what that alone loses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lora_doctor.types import LabelSet, Reading

ENOUGH = 12
"""Pictures of each framing: their mean is known to a few hundredths, and each costs little of what a render costs."""


def pictures_to_redraw(
    references: Sequence[Reading | None], label_sets: Mapping[str, LabelSet], copies: Sequence[Sequence[int]]
) -> list[int]:
    """Indexes of dataset pictures with a face, `ENOUGH` of each framing at most, spread over the dataset; no copies."""
    labels, extra = label_sets.get("framing"), {index for group in copies for index in sorted(group)[1:]}
    by_framing: dict[str, list[int]] = {}
    for index, reading in enumerate(references):
        if reading is not None and reading.face.faces and index not in extra:
            by_framing.setdefault(reading.top_label(labels) or "", []).append(index)
    return sorted(index for indexes in by_framing.values() for index in _spread(indexes))


def _spread(indexes: Sequence[int]) -> list[int]:
    step = max(1.0, len(indexes) / ENOUGH)
    return [indexes[math.floor(place * step)] for place in range(min(ENOUGH, len(indexes)))]
