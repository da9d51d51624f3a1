"""Pictures that a table of captions lists: how often each is to be listed for an identity ratio. Pure.

Source: huggingface/datasets' imagefolder shows a picture as often as metadata.jsonl has a row for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lora_doctor.repeats_plan import Group, plan_repeats
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, Dataset

FARTHEST = 8
"""Rows may become so many times more or fewer: the length of the training makes up for it."""


@dataclass(frozen=True, slots=True)
class CaptionTable:
    """How a trainer is told captions by a table."""

    column: str
    """Of the table; `file_name` is the other."""
    repeats: int = 1
    """How often it takes the whole table in an epoch."""


@dataclass(frozen=True, slots=True)
class PictureRows:
    """The table's rows."""

    rows: Mapping[Path, int]
    ratio: float
    """Identity-emphasis pictures as a share of all rows; of those whose role is known."""
    longer: float
    """How many times as many epochs keep the training as long, pictures without a role counted."""


def present_rows(dataset: Dataset, table: CaptionTable) -> dict[Path, int]:
    """Picture -> its rows now, 1 at least."""
    return {image.path: max(1, round(image.repeats / table.repeats)) for image in dataset.images}


def rows_for(dataset: Dataset, table: CaptionTable, target: float) -> PictureRows | None:
    """The rows that bring the identity ratio nearest to `target`; None where no picture's role is known."""
    now = present_rows(dataset, table)
    kinds = {image.path: (image.role or "", now[image.path]) for image in dataset.images}
    groups = [
        Group(
            name=f"{role} {rows}", repeats=rows,
            emphasis=sum(kind == (role, rows) for kind in kinds.values()) if role == IDENTITY_EMPHASIS else 0,
            context=sum(kind == (role, rows) for kind in kinds.values()) if role == IN_CONTEXT else 0,
        )
        for role, rows in sorted(set(kinds.values())) if role
    ]  # fmt: skip
    plan = plan_repeats(groups, target, farthest=FARTHEST)
    if plan is None:
        return None
    rows = {path: round(plan.repeats.get(f"{role} {many}", many)) for path, (role, many) in kinds.items()}
    return PictureRows(rows, plan.ratio, sum(now.values()) / sum(rows.values()))
