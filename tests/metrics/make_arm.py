"""Adds an arm to a made Study, with identity scores and labels that are exactly what a test says."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from lora_doctor.types import CLOSE_UP, UPPER_BODY, Cell, Study
from tests.metrics.make_study import CEILING, FLOOR, SPEC, Labels, reading


def with_arm(
    study: Study,
    arm: str,
    *,
    identity: Callable[[Cell], float | None] = lambda cell: cell.weight,
    labels: Callable[[Cell], Labels] = lambda _: {},
    asked: str = "",
    framings: Collection[str] = (CLOSE_UP, UPPER_BODY),
    weights: Collection[float] = (0.0, 1.0),
    variant: str = "",
) -> Study:
    """The study with an arm like the matrix's cells at these weights."""
    likes = [cell for cell in study.cells if cell.weight == 0 and cell.framing in framings]
    cells = tuple(replace(cell, weight=w, arm=arm, asked=asked, variant=variant) for w in weights for cell in likes)

    def render(cell: Cell):  # type: ignore[no-untyped-def]
        score = identity(cell)
        cosine = None if score is None else FLOOR + score * (CEILING - FLOOR)
        known = SPEC | {"environment": cell.environment, "framing": cell.framing} | dict(labels(cell))
        return reading(cosine=cosine, noise=1, labels=known)

    renders = {**study.renders, **{cell.key: render(cell) for cell in cells}}
    return replace(study, arms={**study.arms, arm: (*study.arms.get(arm, ()), *cells)}, renders=renders)
