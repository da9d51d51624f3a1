"""Ways of one dataset to the source's identity ratio, in sentences: repeats, pictures to add or to drop."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lora_doctor.article_band import article_band
from lora_doctor.errors import printable
from lora_doctor.repeats_plan import (
    NEAR,
    CountPlan,
    Group,
    RepeatsPlan,
    exact,
    pictures_to_add,
    pictures_to_drop,
    plan_repeats,
)
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, Dataset, DatasetImage, Role

MOST_DROPPED = 0.5
"""Share of a role's pictures that it makes sense to drop; past it others must be added."""
FRACTIONAL = ("OneTrainer",)
"""Trainers that take repeats which are no whole numbers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ways:
    """Ways to the article's identity ratio for one dataset."""

    says: tuple[str, ...]
    """A sentence each."""
    repeats: Mapping[str, float]
    """Folder below the dataset -> repeats as its trainer is told them; empty where the present ones are the best, and
    where no one setting gives them."""
    more: CountPlan | None = None
    """The pictures to add that one of the sentences names."""


def ways_to(dataset: Dataset) -> Ways:
    """How the dataset can reach the article's aim: other repeats, pictures to add or to drop, and what each gives.

    Its pictures have roles (`classify_roles`); those without one are left out of account.
    """
    target = article_band().aim
    faces, rest = (_exposures(dataset, role) for role in (IDENTITY_EMPHASIS, IN_CONTEXT))
    whole, setting = dataset.trainer not in FRACTIONAL, _setting(dataset)
    groups = _in_units(folder_groups(dataset), setting)
    plan = plan_repeats(groups, target, whole=whole)
    if plan is None:
        return Ways(says=("No picture has a role: the identity ratio is not known.",), repeats={})
    if abs(exact(plan.ratio_before) - exact(target)) <= NEAR:
        return Ways(says=(f"The identity ratio is {plan.ratio_before:.2f} already.",), repeats={})
    says = [_repeats_sentence(groups, plan, setting)] if plan.changed else []
    if abs(exact(plan.ratio) - exact(target)) > NEAR:
        by_role = _in_units(role_groups(dataset), setting)
        apart = plan_repeats(by_role, target, whole=whole)
        if apart is not None and abs(apart.ratio - target) < abs(plan.ratio - target):
            says.append(f"With a folder for each role: {_repeats_sentence(by_role, apart, setting)}")
    if (more := pictures_to_add(faces, rest, target)) is not None and more.pictures:
        says.append(_count_sentence("Add", more))
    fewer = pictures_to_drop(faces, rest, target)
    if fewer is not None and 0 < fewer.pictures <= MOST_DROPPED * len(
        faces if fewer.role == IDENTITY_EMPHASIS else rest
    ):
        says.append(_count_sentence("Drop", fewer))
    told = {} if setting is None else {name: setting.told(each) for name, each in plan.repeats.items()}
    return Ways(says=tuple(says), repeats=told if plan.changed else {}, more=more if more and more.pictures else None)


@dataclass(frozen=True, slots=True)
class _Setting:
    """What the trainer's own number of repeats means."""

    unit: int
    counts_from: int

    def told(self, repeats: float) -> float:
        """The trainer's number for so many units."""
        return repeats - (1 - self.counts_from)  # hundredths stay hundredths


def _setting(dataset: Dataset) -> _Setting | None:
    """That of all subsets alike; None where they differ, or one is told by other numbers: a picture count, twice."""
    used = {image.subset for image in dataset.images if image.role is not None} if dataset.subsets else set()
    subsets = [dataset.subsets[index] for index in used]
    found = {(one.unit if one.samples is None else None, one.counts_from) for one in subsets}
    (unit, counts_from), *others = found or {(1, 1)}
    return None if others or unit is None else _Setting(unit, counts_from)


def _in_units(groups: Sequence[Group], setting: _Setting | None) -> tuple[Group, ...]:
    """The groups with repeats counted in what one more of the setting gives: a plan in them can be set."""
    unit = 1 if setting is None else setting.unit
    return tuple(replace(group, repeats=group.repeats / unit) for group in groups)


def folder_groups(dataset: Dataset) -> tuple[Group, ...]:
    """The pictures that have a role, by folder: the one whose name gives their repeats (`10_yuki`), else their own.

    Any folder can be given repeats, by a number in its name or a subset of its own in the config.
    """
    found: dict[tuple[str, float], list[DatasetImage]] = {}
    for image in dataset.images:
        if image.role is not None:
            found.setdefault((_folder(dataset, image.path), image.repeats), []).append(image)
    names = [name for name, _ in found]
    return tuple(
        _group(name if names.count(name) == 1 else f"{name} ({repeats:g} repeats)", images, repeats)
        for (name, repeats), images in found.items()
    )


def ratio_with(dataset: Dataset, told: Mapping[str, float]) -> float | None:
    """The identity ratio where folders are given repeats, as their trainer is told them; None where nothing is shown.

    `told`: folder as in `Ways.repeats`, or the end of its path. Raises KeyError with one that is no folder of the
    dataset, or may be several.
    """
    groups, setting = folder_groups(dataset), _setting(dataset)
    unit, offset = (1, 0) if setting is None else (setting.unit, 1 - setting.counts_from)
    repeats = {group.name: group.repeats for group in groups}
    for name, number in told.items():
        repeats[_one_of(name, repeats)] = (number + offset) * unit
    shown = sum(group.pictures * repeats[group.name] for group in groups)
    return sum(group.emphasis * repeats[group.name] for group in groups) / shown if shown > 0 else None


def _one_of(name: str, folders: Collection[str]) -> str:
    """The folder of that name, or the one whose path ends like it; raises KeyError where none is, or several."""
    alike = [one for one in folders if f"/{one}".endswith(f"/{name}") or f"/{name}".endswith(f"/{one}")]
    found = [name] if name in folders else alike
    if len(found) != 1:
        raise KeyError(name)
    return found[0]


def role_groups(dataset: Dataset) -> tuple[Group, ...]:
    """The pictures by role, as if each had a folder of its own, shown as often as its pictures are now on average."""
    groups = []
    for role in (IDENTITY_EMPHASIS, IN_CONTEXT):
        images = [image for image in dataset.images if image.role == role]
        if images:
            groups.append(_group(role, images, sum(image.repeats for image in images) / len(images)))
    return tuple(groups)


def _group(name: str, images: Sequence[DatasetImage], repeats: float) -> Group:
    faces = sum(image.role == IDENTITY_EMPHASIS for image in images)
    return Group(name=name, emphasis=faces, context=len(images) - faces, repeats=repeats)


def _folder(dataset: Dataset, path: Path) -> str:
    """Below the dataset's folder or its config's, else the whole path; forward slashes, `.` is that folder itself."""
    root = next((root for root in (dataset.path, dataset.path.parent) if path.is_relative_to(root)), None)
    parts = (path if root is None else path.relative_to(root)).parent.parts
    numbered = [i for i, part in enumerate(parts) if re.match(r"\d{1,9}_", part)]
    return Path(*(parts[: numbered[-1] + 1] if numbered else parts)).as_posix()


def _exposures(dataset: Dataset, role: Role) -> list[float]:
    return [image.repeats for image in dataset.images if image.role == role]


def _repeats_sentence(groups: Sequence[Group], plan: RepeatsPlan, setting: _Setting | None) -> str:
    """The repeats that change, the ratio they give, and the epochs that keep the training as long."""
    changes = [
        f"{printable(group.name)} {_change(group.repeats, plan.repeats[group.name], setting)}"
        for group in groups if plan.repeats[group.name] != group.repeats
    ]  # fmt: skip
    what = "Set repeats of" if setting is not None else "Change repeats or samples of"
    epochs = plan.exposures_before / plan.exposures
    longer = "" if abs(epochs - 1) < 0.05 else f"; {epochs:.2f} times the epochs keep the training as long"
    return f"{what} {', '.join(changes)}: the identity ratio becomes {plan.ratio:.2f}{longer}."


def _change(now: float, then: float, setting: _Setting | None) -> str:
    """In the trainer's own numbers, or where none says it, by how much."""
    return f"times {then / now:.3g}" if setting is None else f"from {setting.told(now):.3g} to {setting.told(then):g}"


def _count_sentence(verb: str, count: CountPlan) -> str:
    noun = "picture" if count.pictures == 1 else "pictures"
    return f"{verb} {count.pictures} {count.role} {noun}: the identity ratio becomes {count.ratio:.2f}."
