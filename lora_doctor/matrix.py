"""Axes -> the cells of the weight x environment x framing matrix. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from itertools import product

from lora_doctor.errors import UsageError
from lora_doctor.seeds import cell_seed
from lora_doctor.types import PLAIN_PREFIX, Cell


def plan_cells(
    *,
    weights: Sequence[float],
    environments: Sequence[tuple[str, bool]],
    framings: Sequence[str],
    replicates: int,
    prompt_of: Callable[[str, str], str],
    negative_prompt: str,
    seed: int,
) -> tuple[Cell, ...]:
    """Every cell of the matrix, weight by weight, so that a whole column can be rendered without reloading.

    `environments` are (name, trained) pairs; `prompt_of(environment, framing)` gives the prompt, the same at every
    weight. Replicates count from 0. Raises UsageError when an axis is empty or two cells would share a key.
    """
    cells = tuple(
        Cell(
            weight=float(weight),
            environment=environment,
            trained=trained,
            framing=framing,
            replicate=replicate,
            prompt=prompt_of(environment, framing),
            negative_prompt=negative_prompt,
            seed=cell_seed(seed, environment, framing, replicate),
        )
        for weight, (environment, trained), framing, replicate in product(
            weights, environments, framings, range(replicates)
        )
    )
    if not cells:
        axes = {"weight": weights, "environment": environments, "framing": framings, "replicate": range(replicates)}
        empty = ", ".join(name for name, values in axes.items() if not values)
        raise UsageError(f"there is nothing to render: no {empty}.", advice="Name at least one of each.")
    if len({cell.key for cell in cells}) < len(cells):
        raise UsageError("two cells of the matrix are the same.", advice="Name each weight and environment once.")
    return cells


def choose_environments(
    trained_counts: Mapping[str, int],
    known: Sequence[str],
    wanted_trained: int = 2,
    wanted_novel: int = 3,
    seed: int = 0,
) -> tuple[tuple[str, bool], ...]:
    """The environments to render, as (name, trained): the dataset's most frequent ones, then some it never shows.

    `trained_counts` is how many pictures show each environment, `known` every environment that can be recognised.
    Novel ones are drawn by `seed` in an order that does not depend on the order of `known`. With too few of a kind,
    all there are. Plain backgrounds are left out.
    """
    shown = {name: n for name, n in trained_counts.items() if n > 0 and not name.startswith(PLAIN_PREFIX)}
    trained = sorted(shown, key=lambda name: (-shown[name], name))[:wanted_trained]
    unseen = {name for name in known if name not in shown and not name.startswith(PLAIN_PREFIX)}
    novel = sorted(unseen, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())[:wanted_novel]
    return (*((name, True) for name in trained), *((name, False) for name in novel))
