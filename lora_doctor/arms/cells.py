"""Which cells of the matrix an arm is made like."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from lora_doctor.types import ArmCase, Cell

MOST = 4
"""Replicates of an arm at most: of the pictures that a release is worth, most are the matrix's."""


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


def turn_of(case: ArmCase, cell: Cell) -> int:
    """Whose turn it is in a list, 0 and up: in each framing every environment and replicate has the next one."""
    places = list(dict.fromkeys(one.environment for one in case.matrix))
    framings = list(dict.fromkeys(one.framing for one in case.matrix))
    return places.index(cell.environment) + len(places) * cell.replicate + framings.index(cell.framing)


def top_weight(case: ArmCase) -> float:
    """The highest ship weight: there the LoRA has most to say."""
    return max(case.ship_weights)
