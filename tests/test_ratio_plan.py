"""Sentences and repeats that bring an identity ratio to the source's."""

from __future__ import annotations

from pathlib import Path

from lora_doctor.ratio_plan import plan_ratio
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, Dataset, DatasetImage, Role, Subset

ROOT = Path("yuki")


def dataset(*parts: tuple[str, Role | None, int, float], trainer: str = "sd-scripts") -> Dataset:
    """`parts`: folder, role, pictures, repeats."""
    subsets = tuple(Subset(folder=ROOT / name, repeats=repeats) for name, _, _, repeats in parts)
    images = tuple(
        DatasetImage(
            path=ROOT / name / f"{n}.png", sha256="", width=1, height=1, caption=None, subset=index, role=role,
            repeats=repeats,
        )
        for index, (name, role, count, repeats) in enumerate(parts)
        for n in range(count)
    )  # fmt: skip
    return Dataset(path=ROOT, images=images, subsets=subsets, trainer=trainer)


def test_a_ratio_in_the_band_needs_no_plan() -> None:
    sound = dataset(("faces", IDENTITY_EMPHASIS, 10, 1), ("places", IN_CONTEXT, 20, 1))
    assert (plan_ratio(sound).lines, plan_ratio(sound).repeats) == ((), {})


def test_folders_of_their_own_get_repeats_that_reach_a_third() -> None:
    plan = plan_ratio(dataset(("faces", IDENTITY_EMPHASIS, 10, 1), ("places", IN_CONTEXT, 60, 1)))
    faces, places = 10 * plan.repeats["faces"], 60 * plan.repeats["places"]
    assert abs(faces / (faces + places) - 0.33) < 0.02
    assert "faces x" in plan.lines[0]
    assert plan.lines[1].startswith("add ") and "identity-emphasis" in plan.lines[1]


def test_pictures_in_one_folder_are_to_be_sorted_into_two() -> None:
    images = dataset(("all", IDENTITY_EMPHASIS, 40, 1), ("all", IN_CONTEXT, 10, 1))
    plan = plan_ratio(images)
    assert plan.repeats == {}
    assert plan.lines[0].startswith("sort the pictures into two folders, ")


def test_without_roles_there_is_no_plan() -> None:
    assert plan_ratio(dataset(("all", None, 5, 1))).lines == ()
