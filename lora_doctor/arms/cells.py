"""Which cells of the matrix, or captions of the training set, an arm is made like."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from lora_doctor.captions import named
from lora_doctor.seeds import cell_seed
from lora_doctor.types import ArmCase, Cell

MOST = 4
"""Replicates of an arm at most: of the pictures that a release is worth, most are the matrix's."""
CAPTIONS = 12
"""Captions that are replayed at most."""
SOMEWHERE = "elsewhere"
"""The environment of a caption that names none."""


def like(
    case: ArmCase,
    arm: str,
    prompt_of: Callable[[Cell], str],
    *,
    weights: Collection[float] | None = None,
    framings: Collection[str] | None = None,
    environments: Collection[str] | None = None,
    replicates: int = MOST,
    asked_of: Callable[[Cell], Collection[str]] | None = None,
    variant: str = "",
) -> tuple[Cell, ...]:
    """The matrix's cells of some weights, framings and environments (None = of all), with another prompt.

    Weights that the matrix has not are made like those at weight 0. Seeds stay: each cell is paired with its like.
    `asked_of` says which labels are asked for in a cell; `prompt_of` finds them in it.
    """
    wanted = {cell.weight for cell in case.matrix} if weights is None else {float(weight) for weight in weights}
    likes = [
        cell for cell in case.matrix
        if cell.weight == 0
        and cell.replicate < replicates
        and (framings is None or cell.framing in framings)
        and (environments is None or cell.environment in environments)
    ]  # fmt: skip
    told = [replace(cell, asked="+".join(asked_of(cell))) for cell in likes] if asked_of is not None else likes
    return tuple(
        replace(cell, weight=weight, prompt=prompt_of(cell), arm=arm, variant=variant)
        for weight in sorted(wanted)
        for cell in told
    )


def like_captions(case: ArmCase, arm: str, *, weights: Collection[float]) -> tuple[Cell, ...]:
    """Cells with training captions as they are; `asked` is the number of the picture.

    Those of pictures that are there more than once come first, then those that the text encoder reads whole; of the
    others, as much as it reads. Which ones does not depend on their order; one of a picture that is there twice with
    one caption, whose renders would be the same. A caption's place and framing are those it names; replicates are few.
    """
    read = {number: case.fitted(image.caption) for number, image in enumerate(case.dataset.images) if image.caption}

    times = Counter(image.sha256 for image in case.dataset.images)

    def turn(number: int) -> tuple[bool, bool, bytes]:
        image = case.dataset.images[number]
        return (
            times[image.sha256] < 2,
            read[number] != image.caption,
            hashlib.sha256(f"{case.seed}/{image.sha256}".encode()).digest(),
        )

    images = case.dataset.images
    contents = {(images[number].sha256, caption): number for number, caption in read.items() if caption}
    chosen = sorted(contents.values(), key=turn)[:CAPTIONS]
    return tuple(
        replace(_captioned(case, number, read[number], replicate), weight=weight, arm=arm)
        for weight in sorted(weights)
        for number in sorted(chosen)
        for replicate in range(MOST)
    )


def _captioned(case: ArmCase, number: int, caption: str, replicate: int) -> Cell:
    places, framings = case.label_sets.get("environment"), case.label_sets.get("framing")
    place = next(iter(named(caption, places.labels)), SOMEWHERE) if places else SOMEWHERE
    shown = list(dict.fromkeys(cell.framing for cell in case.matrix))
    framing = next((f for f in named(caption, framings.labels) if f in shown), None) if framings else None
    sha256 = case.dataset.images[number].sha256
    return replace(
        case.matrix[0], environment=place, trained=True, framing=framing or shown[-1], replicate=replicate,
        prompt=caption, seed=cell_seed(case.seed, f"caption/{sha256}", "", replicate), asked=str(number),
    )  # fmt: skip


def cut_captions(case: ArmCase, cells: Iterable[Cell]) -> str | None:
    """What to say of replayed captions that were cut, or left out, because the text encoder reads no further."""
    captions = [image.caption for image in case.dataset.images]
    long = sum(bool(caption) and case.fitted(caption or "") != caption for caption in captions)
    if not long:
        return None
    replayed = {cell.asked: cell.prompt for cell in cells}
    cut = sum(prompt != captions[int(number)] for number, prompt in replayed.items())
    told = f"{cut} of the {len(replayed)} that are replayed were cut behind their last whole tag"
    said = f"{long} of {sum(map(bool, captions))} captions are longer than the base model's text encoder reads"
    return f"{said}; {told if replayed else 'none is replayed'}"


def turn_of(case: ArmCase, cell: Cell) -> int:
    """Whose turn it is in a list, 0 and up: in each framing every environment and replicate has the next one."""
    places = list(dict.fromkeys(one.environment for one in case.matrix))
    framings = list(dict.fromkeys(one.framing for one in case.matrix))
    return places.index(cell.environment) + len(places) * cell.replicate + framings.index(cell.framing)


def top_weight(case: ArmCase) -> float:
    """The highest ship weight: there the LoRA has most to say."""
    return max(case.ship_weights)
