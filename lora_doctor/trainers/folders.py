"""An identity ratio -> the repeats of a config's folders. Pure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_doctor.named_places import found_folder, places_of, real
from lora_doctor.repeats_plan import NEAR, Group, RepeatsPlan, plan_repeats
from lora_doctor.trainers.places import Place
from lora_doctor.types import IDENTITY_EMPHASIS, Dataset, DatasetImage

FARTHEST = 8
"""Pictures per epoch may become so many times more or fewer: the length of the training makes up for it."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of pictures that a config shows with repeats of its own."""

    place: Place
    """Where its repeats stand, or are to stand."""
    path: Path
    """As the config names it."""
    repeats: float
    below: bool = False
    """Whether its sub-folders belong to it."""

    def holds(self, image: DatasetImage) -> bool:
        """Whether a picture lies in it; relative names are looked for as the audit of a dataset does."""
        folder = found_folder(str(self.path), self.place.path)
        own = [real(each) for each in (places_of(str(self.path), self.place.path) if folder is None else (folder,))]
        parent = real(image.path.parent)
        return any(parent == each or (self.below and parent.startswith(each.rstrip(os.sep) + os.sep)) for each in own)


@dataclass(frozen=True, slots=True)
class Repeats:
    """What repeats can do for a ratio."""

    values: dict[Place, float]
    """Whole numbers, unless hundredths were asked for."""
    longer: float = 1.0
    """How many times as many epochs keep the training as long, pictures without a role counted."""
    short: str = ""
    """What is left to be wished, a sentence; empty where the ratio is reached."""
    ratio: float | None = None
    """The identity ratio with these values; None where it is not known."""


def repeats_for(
    folders: Sequence[Folder], dataset: Dataset | None, target: float, *, hundredths: bool = False
) -> Repeats:
    """Repeats, whole or in hundredths, that bring the identity ratio nearest to `target`, and what is left to wish."""
    held = [[image for image in (dataset.images if dataset else ()) if one.holds(image)] for one in folders]
    groups = [_group(i, one, images) for i, (one, images) in enumerate(zip(folders, held, strict=True))]
    plan = plan_repeats([group for group in groups if group.pictures], target, whole=not hundredths, farthest=FARTHEST)
    if plan is None:
        short = f"identity_ratio: which folders show identity-emphasis is not known; wanted is {target:g}."
        return Repeats({}, short=short)
    values = {
        one.place: plan.repeats[str(i)] if hundredths else round(plan.repeats[str(i)]) for i, one in enumerate(folders)
        if plan.changed and plan.repeats.get(str(i), one.repeats) != one.repeats
    }  # fmt: skip
    now = sum(len(images) * one.repeats for one, images in zip(folders, held, strict=True))
    then = sum(len(images) * values.get(one.place, one.repeats) for one, images in zip(folders, held, strict=True))
    return Repeats(values, now / then, _short(plan, target), plan.ratio)


def _short(plan: RepeatsPlan, target: float) -> str:
    if abs(plan.ratio - target) <= float(NEAR):
        return ""
    return (
        f"identity_ratio: {target:g} is wanted, whole repeats of these folders reach {plan.ratio:.2f}; nearest: a "
        "folder of its own for each role."
    )


def _group(number: int, folder: Folder, images: Sequence[DatasetImage]) -> Group:
    known = [image for image in images if image.role is not None]
    faces = sum(image.role == IDENTITY_EMPHASIS for image in known)
    return Group(name=str(number), emphasis=faces, context=len(known) - faces, repeats=folder.repeats)
