"""The resolution trained at: of the settings or of each subset, and as a part of what the base model draws at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lora_doctor.audits.trained_resolution import audit
from lora_doctor.types import Case, Subset, TrainingSettings
from tests.audits.make_case import Picture, get, make_case


def case_of(*repeats: int, sides: tuple[int, ...] = (), said: int | None = None) -> Case:
    """A picture per entry of `repeats`, each in the subset of its own resolution, `said` by the settings."""
    case = make_case([Picture(repeats=times) for times in repeats])
    subsets = tuple(Subset(folder=Path(f"{side}"), resolution=(side, side)) for side in sides)
    images = tuple(replace(image, subset=at) for at, image in enumerate(case.dataset.images))
    dataset = replace(case.dataset, images=images, subsets=subsets)
    return replace(case, dataset=dataset, training=TrainingSettings(resolution=said))


def test_it_is_the_settings_and_a_part_of_what_is_rendered() -> None:
    found = audit(replace(case_of(1, 4, said=512), side=1024))
    assert get(found, "training.resolution").value == 512
    assert get(found, "training.resolution_share").value == 0.5
    assert get(found, "base.resolution").value == 1024


def test_a_resolution_nobody_tells_has_a_reason_and_no_number() -> None:
    found = audit(replace(case_of(1), side=1024))
    share = get(found, "training.resolution_share")
    assert (share.value, share.n) == (None, 0) and "nothing says" in (share.reason or "")
    assert get(found, "base.resolution").value == 1024


def test_without_a_base_model_there_is_nothing_to_compare_with() -> None:
    assert [m.name for m in audit(case_of(1, said=512))] == ["training.resolution"]


def test_subsets_of_their_own_resolution_are_averaged_by_area_and_repeats() -> None:
    found = audit(case_of(3, 1, sides=(512, 1024)))
    assert get(found, "training.resolution").value == pytest.approx(((3 * 512**2 + 1024**2) / 4) ** 0.5)


def test_one_picture_of_unknown_resolution_leaves_it_unknown() -> None:
    assert get(audit(case_of(1, 1, sides=(512,))), "training.resolution").value is None


def test_a_picture_that_is_never_shown_does_not_count() -> None:
    assert get(audit(case_of(1, 0, sides=(512,))), "training.resolution").value == 512


def test_our_own_trainer_shows_pictures_at_the_base_models_resolution_unless_told_otherwise() -> None:
    case = replace(case_of(1), side=64)
    own = replace(case, training=TrainingSettings(trainer="lora-doctor"))
    assert get(audit(own), "training.resolution_share").value == 1.0
    told = replace(own, training=TrainingSettings(trainer="lora-doctor", resolution=32))
    assert get(audit(told), "training.resolution_share").value == 0.5
    assert get(audit(replace(own, side=None)), "training.resolution").value is None
