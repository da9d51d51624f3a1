"""A Case of picture files: sizes, facts and readings, without any file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lora_doctor.types import (
    Case,
    Dataset,
    DatasetImage,
    FaceReading,
    PictureFacts,
    Reading,
    Skipped,
    Subset,
    TrainingSettings,
)

FACTS = {"format": "PNG", "mode": "RGB"}


@dataclass(frozen=True, kw_only=True)
class File:
    """One picture file and what the instruments read off it."""

    size: tuple[int, int] = (100, 100)
    facts: Mapping[str, Any] | None = field(default_factory=dict)
    """What differs from a plain PNG; None = not read."""
    sha256: str | None = None
    """None = of its own."""
    repeats: float = 1
    subset: int = 0
    face: tuple[float, float, float, float] | None = None
    """Box in pixels; None = no face."""
    looked_at: tuple[int, int] | None = None
    """Size in which the instruments saw it; None = `size`."""
    features: Sequence[tuple[float, float]] | None = None
    embedding: Sequence[float] | None = None
    readable: bool = True


def case_of(
    files: Iterable[File], *, subsets: tuple[Subset, ...] = (), trainer: str = "folder",
    training: TrainingSettings | None = None, skipped: tuple[Skipped, ...] = (),
) -> Case:  # fmt: skip
    """The files as a dataset."""
    files = tuple(files)
    images = tuple(
        DatasetImage(
            path=Path(f"{number:03d}.png"), sha256=file.sha256 or f"own {number}", width=file.size[0],
            height=file.size[1], caption=None, repeats=file.repeats, subset=file.subset,
            facts=None if file.facts is None else PictureFacts(**{**FACTS, **file.facts}),
        )
        for number, file in enumerate(files)
    )  # fmt: skip
    dataset = Dataset(path=Path("dataset"), images=images, trainer=trainer, subsets=subsets, skipped=skipped)
    return Case(
        lora=None, dataset=dataset, references=tuple(_reading(file) for file in files),
        training=training or TrainingSettings(), trigger="yuki_nk", label_sets={}, spec={},
    )  # fmt: skip


def _reading(file: File) -> Reading | None:
    if not file.readable:
        return None
    embedding = None if file.embedding is None else np.array(file.embedding, np.float32)
    if embedding is not None:
        embedding = embedding / np.linalg.norm(embedding)
    face = FaceReading(faces=0)
    if file.face is not None:
        face = FaceReading(faces=1, score=0.9, box=file.face, landmarks=tuple(file.features) if file.features else None)
    wide, tall = file.looked_at or file.size
    return Reading(width=wide, height=tall, face=face, probabilities={}, embedding=embedding)
