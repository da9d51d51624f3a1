"""Builds a Case for audits from a few words per picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lora_doctor.types import (
    FRAMINGS,
    BaseMatch,
    Case,
    Dataset,
    DatasetImage,
    FaceReading,
    LabelSet,
    LoraFile,
    LoraModule,
    Measurement,
    Reading,
    Role,
    TrainingSettings,
)
from tests.make_label_set import label_set

SPEC = {"hair_colour": "white_hair", "body": "athletic", "height": "tall"}


LABEL_SETS = {
    one.attribute: one
    for one in (
        label_set("hair_colour", "identity", "white_hair black_hair red_hair"),
        label_set("body", "body", "slender athletic curvy", FRAMINGS[1:]),
        label_set("height", "body", "petite tall", FRAMINGS[2:]),
        label_set("top", "outfit", "red_shirt blue_shirt", FRAMINGS[1:]),
        label_set("environment", "environment", "library beach night_sky simple_background"),
        label_set("framing", "framing", " ".join(FRAMINGS)),
    )
}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture of the dataset: what it is, what its caption says, what the instruments read."""

    caption: str | None = ""
    role: Role | None = None
    repeats: int = 1
    face: float | None = 0.2
    """Face height / picture height."""
    readable: bool = True
    labels: Mapping[str, str] | None = None


def reading_of(picture: Picture) -> Reading | None:
    """What the instruments read off a picture."""
    if not picture.readable:
        return None
    rows = {}
    for attribute, label in (picture.labels or {}).items():
        names = LABEL_SETS[attribute].labels
        rows[attribute] = np.array([0.9 if name == label else 0.1 / (len(names) - 1) for name in names])
    face = FaceReading(faces=0)
    if picture.face is not None:
        box = (0.0, 10.0, 50.0, 10.0 + 100 * picture.face)
        face = FaceReading(faces=1, score=0.9, box=box, embedding=np.ones(1, np.float32))
    return Reading(width=100, height=100, face=face, probabilities=rows)


def dataset_of(pictures: Iterable[Picture]) -> Dataset:
    """The pictures as a dataset."""
    images = tuple(
        DatasetImage(
            path=Path(f"{i}.png"), sha256="", width=100, height=100, caption=p.caption, repeats=p.repeats, role=p.role
        )
        for i, p in enumerate(pictures)
    )
    return Dataset(path=Path("dataset"), images=images)


def make_case(
    pictures: Iterable[Picture] = (),
    *,
    training: TrainingSettings | None = None,
    trigger: str = "yuki_nk",
    spec: Mapping[str, str] | None = None,
    label_sets: Mapping[str, LabelSet] = LABEL_SETS,
    lora: Path = Path("lora.safetensors"),
    modules: tuple[LoraModule, ...] = (),
    base: BaseMatch | None = None,
) -> Case:
    """A Case; what is not given is empty."""
    pictures = tuple(pictures)
    file = LoraFile(path=lora, sha256="", size=0, format="diffusers", family="miniature", modules=modules, metadata={})
    return Case(
        lora=file,
        dataset=dataset_of(pictures),
        references=tuple(reading_of(picture) for picture in pictures),
        training=training or TrainingSettings(),
        trigger=trigger,
        label_sets=label_sets,
        spec=SPEC if spec is None else spec,
        base=base,
    )


def get(found: Iterable[Measurement], name: str, **where: str) -> Measurement:
    """The one measurement of this name and exactly this slice."""
    (one,) = [m for m in found if m.name == name and dict(m.where) == where]
    return one
