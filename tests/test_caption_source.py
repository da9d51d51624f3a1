"""Where a caption stands, what a file is to hold for it, and which files nothing replaces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from lora_doctor.caption_source import as_file, file_text, left_alone, put_in_front, said
from lora_doctor.dataset_layout import read_dataset
from lora_doctor.types import Dataset, DatasetImage, Subset


def job(folder: Path, files: dict[str, str], **dataset: object) -> Dataset:
    """ai-toolkit's dataset of one picture, `0.png`, with these files beside it and `yuki` as its trigger."""
    (folder / "set").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "set" / "0.png")
    for name, text in files.items():
        (folder / "set" / name).write_text(text, "utf-8")
    process = {"trigger_word": "yuki", "datasets": [{"folder_path": str(folder / "set"), **dataset}]}
    config = folder / "job.json"
    config.write_text(json.dumps({"job": "extension", "config": {"name": "x", "process": [process]}}))
    return read_dataset(config)


JSON = '{"meta": {"caption": "not this"},\n "caption" : "a \\"blue\\" hat", "caption_short": "hat", "score": 1.50}\n'


def test_the_caption_of_a_json_file_is_read_and_written_back_and_all_else_stays(tmp_path: Path) -> None:
    dataset = job(tmp_path, {"0.json": JSON}, caption_ext="json")
    [image], [subset] = dataset.images, dataset.subsets
    assert said(image, subset) == ('yuki a "blue" hat',)
    assert file_text("yuki a red hat, smile", image, subset) == JSON.replace('a \\"blue\\" hat', "a red hat, smile")
    assert left_alone(image, subset) == ()
    assert any("June 2026" in note for note in dataset.notes)


@pytest.mark.parametrize("text", ['{"high_level_description": "a hat"}', "a hat", '{"caption": ["a hat"]}', "[" * 9999])
def test_a_json_file_without_a_caption_is_left_alone(tmp_path: Path, text: str) -> None:
    dataset = job(tmp_path, {"0.json": text}, caption_ext="json")
    [image], [subset] = dataset.images, dataset.subsets
    assert left_alone(image, subset) == (image.caption_file,)
    assert file_text("yuki, hat", image, subset) is None


def test_a_new_file_of_a_json_subset_is_json() -> None:
    assert json.loads(as_file("a hat\n", Subset(folder=Path("x"), caption_key="caption"))) == {"caption": "a hat"}
    assert as_file("a hat\n", Subset(folder=Path("x"))) == "a hat\n"


@pytest.mark.parametrize(
    ("text", "lead"), [("a hat", "yuki "), ("a hat, yuki", ""), ("a [trigger] hat", ""), ("yuki, a hat", ""), (" ", "")]
)
def test_a_trigger_that_the_trainer_writes_is_not_written_into_the_file(tmp_path: Path, text: str, lead: str) -> None:
    dataset = job(tmp_path, {"0.txt": text})
    [image], [subset] = dataset.images, dataset.subsets
    assert put_in_front(image, subset) == lead
    assert file_text(f"{said(image, subset)[0]}, red", image, subset) == (
        f"{text.replace('[trigger]', 'yuki').strip() or 'yuki'}, red\n"
    )


def test_last_words_of_the_config_that_begin_with_a_comma_are_taken_off(tmp_path: Path) -> None:
    image = DatasetImage(path=tmp_path / "0.png", sha256="", width=8, height=8, caption="a hat , best quality")
    subset = Subset(folder=tmp_path, suffix=" , best quality")
    assert file_text("a hat, red, best quality", image, subset) == "a hat, red\n"
    assert file_text("a hat , best quality", image, subset) == "a hat\n"
    assert file_text("a hat, best", image, subset) is None
    assert file_text("a hatless", image, Subset(folder=tmp_path, suffix=" less")) is None


@pytest.mark.parametrize("name", ["0.caption", "0.TXT", "0.tags", "0.json", "0.png.txt"])
def test_a_caption_file_of_another_ending_is_left_alone(tmp_path: Path, name: str) -> None:
    dataset = job(tmp_path, {name: "a hat"})
    assert left_alone(dataset.images[0], dataset.subsets[0]) == (tmp_path / "set" / name,)


def test_a_picture_without_any_caption_file_has_none_that_is_left_alone(tmp_path: Path) -> None:
    dataset = job(tmp_path, {"1.caption": "a hat", "0.md": "notes"})
    assert left_alone(dataset.images[0], dataset.subsets[0]) == ()


def test_where_a_table_holds_the_captions_no_file_is_missed(tmp_path: Path) -> None:
    dataset = job(tmp_path, {"0.caption": "a hat"})
    table = Subset(folder=tmp_path / "set", captions={"0.png": "a hat"}, caption_extensions=())
    assert left_alone(dataset.images[0], table) == ()


def test_words_of_the_config_with_two_spaces_in_them_are_found_in_front_of_a_caption(tmp_path: Path) -> None:
    image = DatasetImage(path=tmp_path / "1.png", sha256="", width=8, height=8, caption=None)
    subset = Subset(folder=tmp_path, prefix="photo  of ", suffix=", very  best")
    for said_by in ("photo  of yuki, smile, very  best", "photo of yuki, smile, very best"):
        assert file_text(said_by, image, subset) == "yuki, smile\n"
    assert file_text("picture of yuki, smile, very best", image, subset) is None
