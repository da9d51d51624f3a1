"""Ways from a dataset's identity ratio to the source's: repeats of its folders, pictures to add or to drop. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lora_doctor.dossier import ARTICLE_BAND, name_in
from lora_doctor.repeats_plan import Group, pictures_to_add, pictures_to_drop, plan_repeats
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, Dataset, Role

FRACTIONS = ("OneTrainer",)
"""Trainers that take repeats of 1.5."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RatioPlan:
    """The ways, and the repeats of the first one."""

    lines: tuple[str, ...] = ()
    """A sentence each; empty where the ratio is in the source's band, or no picture has a role."""
    repeats: Mapping[str, float] = field(default_factory=dict)
    """Folder -> repeats; empty where none would help."""


def plan_ratio(dataset: Dataset) -> RatioPlan:
    """How to bring the exposed identity ratio of a dataset with roles to 0.33, where it is outside 0.25 to 0.4."""
    shown = {role: [i.repeats for i in dataset.images if i.role == role] for role in (IDENTITY_EMPHASIS, IN_CONTEXT)}
    total = sum(map(sum, shown.values()))
    if not total or ARTICLE_BAND[0] <= sum(shown[IDENTITY_EMPHASIS]) / total <= ARTICLE_BAND[1]:
        return RatioPlan()
    emphasis, context = shown[IDENTITY_EMPHASIS], shown[IN_CONTEXT]
    repeats, lines = _repeats(dataset)
    if (more := pictures_to_add(emphasis, context)) is not None and more.pictures:
        lines.append(f"add {more.pictures} {more.role} pictures: {more.ratio:.2f}")
    if (fewer := pictures_to_drop(emphasis, context)) is not None and fewer.pictures:
        lines.append(f"or leave out {fewer.pictures} {fewer.role} pictures: {fewer.ratio:.2f}")
    return RatioPlan(lines=tuple(lines), repeats=repeats)


def _repeats(dataset: Dataset) -> tuple[dict[str, float], list[str]]:
    """Repeats of the folders there are; where all pictures are in one, of two folders, one for each role."""
    groups = _folders(dataset)
    whole = dataset.trainer not in FRACTIONS
    plan = plan_repeats(groups, whole=whole)
    if plan is not None and plan.changed:
        told = ", ".join(f"{name} x {plan.repeats[name]:g}" for name in plan.repeats)
        return dict(plan.repeats), [f"repeats {told}: {plan.ratio:.2f}, {plan.exposures:g} pictures an epoch"]
    split = plan_repeats(_by_role(dataset), whole=whole)
    if split is None or not split.changed:
        return {}, []
    told = " and ".join(f"{role} x {split.repeats[role]:g}" for role in split.repeats)
    return {}, [f"sort the pictures into two folders, {told}: {split.ratio:.2f}"]


def _folders(dataset: Dataset) -> list[Group]:
    places: dict[str, tuple[list[Role], float]] = {}
    for image in dataset.images:
        if image.role is not None:
            folder = dataset.subsets[image.subset].folder if dataset.subsets else image.path.parent
            places.setdefault(name_in(dataset, folder), ([], image.repeats))[0].append(image.role)
    return [
        Group(name=name, emphasis=roles.count(IDENTITY_EMPHASIS), context=roles.count(IN_CONTEXT), repeats=repeats)
        for name, (roles, repeats) in places.items()
    ]


def _by_role(dataset: Dataset) -> list[Group]:
    counts = {role: sum(i.role == role for i in dataset.images) for role in (IDENTITY_EMPHASIS, IN_CONTEXT)}
    return [
        Group(name=role, emphasis=n * (role == IDENTITY_EMPHASIS), context=n * (role == IN_CONTEXT), repeats=1)
        for role, n in counts.items()
        if n
    ]
