"""What the miniature's instruments see in a dataset that is to be trained on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from lora_doctor.dataset_layout import read_dataset
from lora_doctor.dataset_reading import Looked, look_at
from lora_doctor.instrument_choice import BUNDLED
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import Settings
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT

YUKI = Path(__file__).parents[1] / "fixtures" / "miniature" / "patients" / "yuki" / "dataset"
SPEC = {"hair_colour": "purple_hair", "eye_colour": "brown_eyes"}
SILENT, GREY, NEAR, FAR = "00.png", "01.png", "02.png", "20.png"
"""A picture whose caption leaves the hair out, the same without its colours, and two that are left as they are."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("looked")
    (root / "dataset").mkdir()
    for number in (0, 1, 2, 3, 20, 21, 22, 23):
        for ending in ("png", "txt"):
            shutil.copy(YUKI / f"{number:02d}.{ending}", root / "dataset")
    for name in (SILENT, GREY):
        caption = (root / "dataset" / name).with_suffix(".txt")
        caption.write_text(caption.read_text("utf-8").replace("purple_hair, ", ""), "utf-8")
    Image.open(root / "dataset" / GREY).convert("L").save(root / "dataset" / GREY)
    RunFolder(root / "run").close()
    return root


def looked(folder: Path, spec: dict[str, str]) -> Looked:
    nowhere = folder / "none.safetensors"
    settings = Settings(model=nowhere, trigger="yuki_nk", dataset=folder / "dataset", out=folder / "run", device="cpu",
                        instruments=BUNDLED)  # fmt: skip
    return look_at(settings, folder / "run", read_dataset(folder / "dataset"), spec)


@pytest.mark.miniature
def test_a_trait_that_is_surely_seen_and_not_named_is_told_for_that_picture_alone(folder: Path) -> None:
    hair = {
        path.name: each["hair_colour"] for path, each in looked(folder, SPEC).unnamed.items() if "hair_colour" in each
    }
    assert hair == {SILENT: "purple_hair"}, "grey pictures show no colour, and the other captions name it"


@pytest.mark.miniature
def test_what_contradicts_the_spec_is_told_and_not_of_a_picture_that_can_show_no_colour(folder: Path) -> None:
    as_it_is = looked(folder, SPEC).off_spec
    assert not any("hair_colour" in each for each in as_it_is.values())
    other = looked(folder, SPEC | {"hair_colour": "green_hair"}).off_spec
    shown = {path.name: each["hair_colour"] for path, each in other.items() if "hair_colour" in each}
    assert {SILENT, NEAR} <= set(shown) and GREY not in shown
    assert set(shown.values()) == {"purple_hair"}


@pytest.mark.miniature
def test_only_attributes_of_the_spec_can_be_off_it(folder: Path) -> None:
    assert looked(folder, {}).off_spec == {}


@pytest.mark.miniature
def test_the_pictures_get_their_roles_and_stay_otherwise_what_they_are(folder: Path) -> None:
    found, plain = looked(folder, SPEC).dataset, read_dataset(folder / "dataset")
    roles = {image.path.name: image.role for image in found.images}
    assert (roles[NEAR], roles[FAR]) == (IDENTITY_EMPHASIS, IN_CONTEXT)
    assert all(image.role_reason for image in found.images)
    forgotten = (replace(image, role=None, role_reason="", emphasis=None) for image in found.images)
    assert tuple(forgotten) == plain.images
