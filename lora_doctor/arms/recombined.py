"""Captions that were never trained on, made of two that were: how alike two pictures of such a caption come out anyway.

The control of the arm `captions`: where a caption tells all there is to see, following it looks like copying.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lora_doctor.arms.cells import like_captions, top_weight
from lora_doctor.captions import named, swapped
from lora_doctor.types import ArmCase, Cell


def plan(case: ArmCase) -> tuple[Cell, ...]:
    """The replayed captions with the place of another training caption, at the highest ship weight.

    Captions that name no place, and such as are in the training set with the other place too, are left out.
    """
    labels = case.label_sets["environment"].labels if "environment" in case.label_sets else ()
    known = {image.caption for image in case.dataset.images}
    places = [place for place in labels if any(place in named(caption, labels) for caption in known if caption)]
    cells = []
    for cell in like_captions(case, "recombined", weights=(top_weight(case),)):
        own = named(cell.prompt, labels)
        others = (other for p in _elsewhere(cell.prompt, own, places) if (other := case.fitted(p)) not in known)
        prompt = next((other for other in others if other), None)
        if prompt is not None:
            cells.append(replace(cell, prompt=prompt))
    return tuple(cells)


def _elsewhere(caption: str, own: Sequence[str], places: Sequence[str]) -> list[str]:
    """The caption at every other place, the next one in the list first; none where it names no single place."""
    if len(own) != 1 or own[0] not in places:
        return []
    turn = places.index(own[0]) + 1
    return [swapped(caption, own[0], place) for place in (*places[turn:], *places[: turn - 1])]
