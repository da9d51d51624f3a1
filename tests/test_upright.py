"""A person is looked at upright, whatever way the file lies, or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from lora_doctor.dataset_layout import read_dataset
from lora_doctor.instruments import read_dataset_pictures, read_references, silent
from lora_doctor.roles import classify_roles
from lora_doctor.run_folder import RunFolder
from lora_doctor.types import Dataset, DatasetImage, PictureFacts, Subset
from lora_doctor.upright import looked_at_size, reading_key, remark, turn_of, turned, undone
from tests.test_instruments import DATASET, instruments, same

__all__ = ["instruments"]
ORIENTATION = 0x0112


def dataset(orientation: int, obeys: bool | None = None, *, subset: bool = True) -> Dataset:
    facts = PictureFacts(format="JPEG", mode="RGB", orientation=orientation)
    image = DatasetImage(path=Path("a.jpg"), sha256="abc", width=30, height=20, caption=None, facts=facts)
    subsets = (Subset(folder=Path(), obeys_orientation=obeys),) if subset else ()
    return Dataset(path=Path(), images=(image,), subsets=subsets, trainer="sd-scripts")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_viewers_turn_it_and_back(orientation: int) -> None:
    stored = Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8))
    exif = stored.getexif()
    exif[ORIENTATION] = orientation
    upright = turned(stored, orientation)
    assert np.array_equal(upright, ImageOps.exif_transpose(stored))
    assert np.array_equal(turned(upright, undone(orientation)), stored)
    assert looked_at_size(dataset(orientation), dataset(orientation).images[0]) == upright.size


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("known", [dataset(6, True), dataset(6, None), dataset(6, subset=False)])
def test_where_the_trainer_turns_pictures_or_nobody_knows_they_are_turned(known: Dataset, orientation: int) -> None:
    made = replace(known, images=dataset(orientation).images)
    assert turn_of(made, made.images[0]) == orientation and remark(made) is None
    assert reading_key(made, made.images[0]) == ("abc" if orientation == 1 else f"abc-{orientation}")


@pytest.mark.parametrize(
    ("orientation", "turn"), [(1, 1), (2, 1), (3, None), (4, None), (5, None), (6, None), (8, None)]
)
def test_what_a_trainer_takes_lying_is_not_looked_at_and_a_mirrored_one_as_it_is(orientation: int, turn: Any) -> None:
    made = dataset(orientation, False)
    assert turn_of(made, made.images[0]) == turn
    assert ("1 of 1 pictures" in str(remark(made)) and "sd-scripts" in str(remark(made))) is (turn is None)


def test_a_picture_without_facts_is_taken_as_it_is() -> None:
    made = dataset(6)
    assert turn_of(made, replace(made.images[0], facts=None)) == 1


# ---------------------------------------------------------------- the same person, whatever way the file lies

SD_SCRIPTS = '[[datasets]]\nresolution = 64\n[[datasets.subsets]]\nimage_dir = "{folder}"\ncaption_extension = ".txt"\n'
AI_TOOLKIT = """
job: extension
config:
  name: x
  process:
    - type: sd_trainer
      datasets:
        - {{folder_path: "{folder}", caption_ext: txt, resolution: [64]}}
"""


def stored_lying(folder: Path, count: int = 4) -> None:
    """The first pictures of the miniature's `yuki`, all but the first stored on their side, with EXIF that says so."""
    folder.mkdir()
    for number, path in enumerate(sorted(DATASET.glob("*.png"))[:count]):
        picture, exif = Image.open(path).convert("RGB"), Image.Exif()
        if number:
            picture = picture.transpose(Image.Transpose.ROTATE_90)
            exif[ORIENTATION] = 6
        picture.save(folder / path.name, exif=exif)
        (folder / path.name).with_suffix(".txt").write_text("1girl, yuki_nk")


@pytest.mark.miniature
@pytest.mark.parametrize("config", ["", AI_TOOLKIT])
def test_a_person_stored_lying_is_read_as_the_same_upright_person(
    config: str, instruments: Any, tmp_path: Path
) -> None:
    stored_lying(tmp_path / "set")
    place = tmp_path / "set"
    if config:
        place = tmp_path / "job.yaml"
        place.write_text(config.format(folder=tmp_path / "set"))
    upright = read_dataset(DATASET)
    with RunFolder(tmp_path / "run") as run:
        wanted = read_references(replace(upright, images=upright.images[:4]), instruments, run, silent)
        found = read_references(read_dataset(place), instruments, run, silent)
    assert all(map(same, wanted, found))


@pytest.mark.miniature
def test_what_sd_scripts_trains_on_lying_is_no_reference_and_has_no_role(instruments: Any, tmp_path: Path) -> None:
    stored_lying(tmp_path / "set")
    (tmp_path / "set.toml").write_text(SD_SCRIPTS.format(folder=tmp_path / "set"))
    read = read_dataset(tmp_path / "set.toml")
    with RunFolder(tmp_path / "run") as run:
        found = read_dataset_pictures(read, instruments, run, silent)
    assert [one is None for one in found] == [False, True, True, True]
    roles = classify_roles(read, found, instruments.label_sets).images
    assert roles[0].role is not None and roles[1].role is None
    assert roles[1].role_reason == "trained on as it lies: sd-scripts does not turn it as EXIF says"
