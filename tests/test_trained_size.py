"""In which size and which way up a trainer sees a picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_doctor.trained_size import seen_orientation, seen_size, trained_resolution
from lora_doctor.types import Subset, TrainingSettings
from tests.audits.make_pictures import File, case_of


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("obeys", [True, False, None])
def test_only_a_trainer_that_obeys_exif_turns_pictures(orientation: int, obeys: bool | None) -> None:
    file = File(size=(30, 20), facts={"orientation": orientation})
    case = case_of([file], subsets=(Subset(folder=Path("a"), obeys_orientation=obeys),))
    turned = obeys is True and orientation >= 5
    assert seen_size(case, case.dataset.images[0]) == ((20, 30) if turned else (30, 20))
    assert seen_orientation(case, case.dataset.images[0]) == (orientation if obeys is True else 1)


def test_the_subset_knows_better_than_the_settings() -> None:
    subsets = (Subset(folder=Path("a"), resolution=(768, 512)), Subset(folder=Path("b")))
    files = [File(subset=0), File(subset=1), File(subset=7)]
    case = case_of(files, subsets=subsets, training=TrainingSettings(resolution=1024))
    found = [trained_resolution(case, image) for image in case.dataset.images]
    assert found == [(768, 512), (1024, 1024), (1024, 1024)]
    assert trained_resolution(case_of(files), case.dataset.images[0]) is None
