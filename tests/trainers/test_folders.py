"""An identity ratio becomes repeats of folders, and the training stays as long, whatever is known of the pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_doctor.trainers.folders import Folder, repeats_for
from lora_doctor.trainers.places import Place
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, Dataset, DatasetImage, Role

FACES, PLACES = (Folder(Place(Path("/cfg/d.toml"), (name,)), Path(f"/data/{name}"), 1.0) for name in ("a", "b"))


def pictures(folder: Folder, count: int, role: Role | None) -> list[DatasetImage]:
    names = (folder.path / f"{role}-{i}.png" for i in range(count))
    return [DatasetImage(path=name, sha256="", width=8, height=8, caption="", role=role) for name in names]


@pytest.mark.parametrize("unknown", [0, 40])
def test_pictures_without_a_role_count_for_the_length_and_not_for_the_ratio(unknown: int) -> None:
    images = pictures(FACES, 20, IDENTITY_EMPHASIS) + pictures(PLACES, 20, IN_CONTEXT) + pictures(PLACES, unknown, None)
    found = repeats_for([FACES, PLACES], Dataset(path=Path("/data"), images=tuple(images)), 0.25)
    assert found.values == {PLACES.place: 3} and not found.short
    assert found.longer == pytest.approx((40 + unknown) / (20 + 3 * (20 + unknown)))
