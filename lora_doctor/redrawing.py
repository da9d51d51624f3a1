"""Which pictures of the dataset are put through the base model's encoder and decoder, to see what that alone loses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lora_doctor.types import LabelSet, Reading

ENOUGH = 12
"""Pictures of each framing: their mean is known to a few hundredths, and each costs little of what a render costs."""


def pictures_to_redraw(
    contents: Sequence[str],
    references: Sequence[Reading | None],
    label_sets: Mapping[str, LabelSet],
    copies: Sequence[Sequence[int]],
) -> list[int]:
    """Indexes of dataset pictures with a face, `ENOUGH` of each framing at most, one of each group of copies.

    `contents`: SHA-256 of each picture. Which ones are chosen depends on these, as a draw, and not on their order.
    """
    labels = label_sets.get("framing")
    extra = {index for group in copies for index in sorted(group, key=contents.__getitem__)[1:]}
    by_framing: dict[str, list[int]] = {}
    for index, reading in enumerate(references):
        if reading is not None and reading.face.faces and index not in extra:
            by_framing.setdefault(reading.top_label(labels) or "", []).append(index)
    chosen = (sorted(indexes, key=contents.__getitem__)[:ENOUGH] for indexes in by_framing.values())
    return sorted(index for indexes in chosen for index in indexes)
