"""Builds a Study in which identity scores and labels are exactly what a test says they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lora_doctor.types import (
    CLOSE_UP,
    FRAMINGS,
    FULL_BODY,
    UPPER_BODY,
    Cell,
    Dataset,
    DatasetImage,
    FaceReading,
    LabelSet,
    Measurement,
    Reading,
    Study,
)
from tests.make_label_set import label_set

FLOOR, CEILING = 0.2, 0.8
"""Cosines with the character's axis: of the base model's renders, and of the references."""
DIMENSIONS = 256
SPEC = {"hair_colour": "white_hair", "body": "athletic", "height": "tall", "top": "red_shirt"}
ENVIRONMENTS = (("library", True), ("forest", True), ("beach", False), ("city", False), ("snow", False))
Labels = Mapping[str, str | tuple[str, float]]
"""Attribute -> the label read, or (label, its probability)."""


LABEL_SETS = {
    one.attribute: one
    for one in (
        label_set("hair_colour", "identity", "white_hair black_hair red_hair"),
        label_set("body", "body", "slender athletic curvy", (UPPER_BODY, FULL_BODY)),
        label_set("height", "body", "petite tall", (FULL_BODY,)),
        label_set("top", "outfit", "red_shirt blue_shirt", (UPPER_BODY, FULL_BODY)),
        label_set("environment", "environment", "library forest beach city snow desert simple_background"),
        label_set("framing", "framing", " ".join(FRAMINGS)),
    )
}


def probabilities(labels: Labels) -> dict[str, np.ndarray[Any, Any]]:
    """Attribute -> probabilities with the label's at 0.9 (or as given) and the rest spread evenly."""
    rows = {}
    for attribute, wanted in labels.items():
        names = LABEL_SETS[attribute].labels
        label, share = wanted if isinstance(wanted, tuple) else (wanted, 0.9)
        row = np.full(len(names), (1 - share) / (len(names) - 1))
        row[names.index(label)] = share
        rows[attribute] = row
    return rows


def reading(*, cosine: float | None, noise: int, labels: Labels, face: float = 0.5, quality: float = 1.0) -> Reading:
    """A picture whose face has this cosine with the character's axis; `noise` is the direction of the rest."""
    found = FaceReading(faces=0)
    if cosine is not None:
        embedding = np.zeros(DIMENSIONS, np.float32)
        embedding[0], embedding[noise] = cosine, math.sqrt(1 - cosine**2)
        box = (100.0, 100.0, 100.0 + 512 * face, 100.0 + 512 * face)
        found = FaceReading(faces=1, score=quality, box=box, embedding=embedding)
    return Reading(width=512, height=512, face=found, probabilities=probabilities(labels))


def references(
    framings: Iterable[str] = FRAMINGS * 6, cosine: float | None = CEILING, **labels: str
) -> tuple[Reading, ...]:
    """One reference per framing named, as the spec says unless `labels` says otherwise, orthogonal but for the axis."""
    known = SPEC | {"environment": "library"} | labels
    return tuple(
        reading(cosine=cosine, noise=2 + i, labels=known | {"framing": framing}) for i, framing in enumerate(framings)
    )


def identity_of(cell: Cell) -> float:
    """The score every render gets unless a test says otherwise: the weight itself."""
    return cell.weight


def make_study(
    *,
    identity: Callable[[Cell], float | None] = identity_of,
    labels: Callable[[Cell], Labels] = lambda _: {},
    missing: Callable[[Cell], bool] = lambda _: False,
    refs: tuple[Reading | None, ...] | None = None,
    weights: Collection[float] = (0.0, 0.4, 0.7, 1.0),
    environments: Collection[tuple[str, bool]] = ENVIRONMENTS,
    framings: Collection[str] = FRAMINGS,
    replicates: int = 2,
    ship_weights: tuple[float, ...] = (0.7, 1.0),
    spec: Mapping[str, str] | None = None,
    label_sets: Mapping[str, LabelSet] = LABEL_SETS,
    asked: tuple[str, ...] = (),
) -> Study:
    """Every render scores `identity` (None = no face) and is read as asked and as the spec says, but for `labels`."""
    cells = tuple(
        Cell(weight=w, environment=e, trained=t, framing=f, replicate=r, prompt="", negative_prompt="", seed=0)
        for w in weights for e, t in environments for f in framings for r in range(replicates)
    )  # fmt: skip

    def render(cell: Cell) -> Reading:
        score = identity(cell)
        cosine = None if score is None else FLOOR + score * (CEILING - FLOOR)
        asked = {"environment": cell.environment, "framing": cell.framing}
        known = {name: label for name, label in (SPEC | asked | dict(labels(cell))).items() if name in label_sets}
        if cell.environment not in LABEL_SETS["environment"].labels and "environment" not in labels(cell):
            known.pop("environment", None)
        return reading(cosine=cosine, noise=1, labels=known)

    refs = references() if refs is None else refs
    images = tuple(
        DatasetImage(path=Path(f"{i}.png"), sha256=str(i), width=512, height=512, caption="") for i in range(len(refs))
    )
    return Study(
        cells=cells,
        renders={cell.key: render(cell) for cell in cells if not missing(cell)},
        missing={cell.key: "the image is flat" for cell in cells if missing(cell)},
        dataset=Dataset(path=Path("dataset"), images=images),
        references=refs,
        label_sets=label_sets,
        spec=SPEC if spec is None else spec,
        ship_weights=ship_weights,
        asked=asked,
    )


def get(found: Iterable[Measurement], name: str, **where: str) -> Measurement:
    """The one measurement of this name and exactly this slice."""
    (one,) = [m for m in found if m.name == name and dict(m.where) == where]
    return one


__all__ = ["CLOSE_UP", "FULL_BODY", "UPPER_BODY", "get", "make_study", "reading", "references"]
