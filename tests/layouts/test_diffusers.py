"""Scripts that start diffusers' examples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lora_doctor.caption_files import captions_of
from lora_doctor.dataset_layout import layout_of
from lora_doctor.errors import UsageError
from tests.layouts.lay_out import folders, lay_out, noted, written

ROWS = [{"file_name": "1.png", "text": "ohwx by the sea"}, {"file_name": "2.png", "text": ""},
        {"file_name": "1.png", "text": "ohwx"}]  # fmt: skip


def merged(root: Path, name: str = "merged") -> None:
    (root / name).mkdir(parents=True)
    (root / name / "metadata.jsonl").write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")


def test_all_pictures_of_a_folder_have_the_prompt(tmp_path: Path) -> None:
    layout = layout_of(lay_out(tmp_path, "diffusers.sh", "closeup", "reg"))
    closeup, reg = layout.subsets
    assert layout.trainer == "diffusers" and layout.trigger == "ohwx"
    assert (closeup.folder, closeup.repeats, closeup.recursive) == (tmp_path / "closeup", 2, False)
    assert captions_of(closeup, "01.png", None) == ("a photo of ohwx person",)
    assert (closeup.resolution, closeup.buckets, closeup.random_crop) == ((1024, 1024), False, False)
    assert reg.regularisation and reg.class_tokens == "a photo of a person" and closeup.max_tokens == 75
    assert noted(layout, "caption files and tables are not read")


def test_a_column_holds_captions_and_the_prompt_stands_in(tmp_path: Path) -> None:
    merged(tmp_path)
    once, twice = layout_of(lay_out(tmp_path, "diffusers_table.sh")).subsets
    assert (once.files, once.repeats, twice.files, twice.repeats) == (("2.png",), 1, ("1.png",), 2)
    assert captions_of(once, "2.png", (once.captions or {}).get("2.png")) == ("a photo of ohwx person",)
    assert captions_of(twice, "1.png", (twice.captions or {})["1.png"]) == ("ohwx by the sea", "ohwx")


def test_without_a_column_the_table_is_a_list_of_pictures(tmp_path: Path) -> None:
    merged(tmp_path)
    layout = written(tmp_path, "run.sh", "python train.py --dataset_name merged --instance_prompt 'ohwx'")
    assert [one.captions for one in layout.subsets] == [None, None]
    assert noted(layout, "--caption_column is not set")


def test_the_part_called_train_is_what_is_trained_on(tmp_path: Path) -> None:
    merged(tmp_path, "merged/train")
    text = "python train_text_to_image_lora.py --train_data_dir=merged"
    layout = written(tmp_path, "run.sh", text)
    assert {one.folder for one in layout.subsets} == {tmp_path / "merged" / "train"}
    assert layout.subsets[1].captions == {"1.png": "ohwx by the sea\nohwx"}


def test_accelerates_own_options_are_not_the_scripts(tmp_path: Path) -> None:
    text = (
        "accelerate launch --dataset_name gone --resolution 64 train_dreambooth_lora_sdxl.py "
        "--instance_data_dir=a --instance_prompt='ohwx' --resolution=512\n"
    )
    layout = written(tmp_path, "run.sh", text, "a")
    assert [(one.folder, one.resolution) for one in layout.subsets] == [(tmp_path / "a", (512, 512))]


def test_a_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    merged(tmp_path)
    with pytest.raises(UsageError, match="has no column 'prompt'"):
        written(tmp_path, "run.sh", "python train.py --dataset_name=merged --caption_column=prompt")


def test_a_folder_without_a_table_has_no_captions(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no metadata\.jsonl"):
        written(tmp_path, "run.sh", "python train.py --dataset_name=a --caption_column=text", "a")


def test_a_dataset_of_the_hub_is_not_on_this_disk(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        written(tmp_path, "run.sh", "python train.py --dataset_name=someone/dog")


def test_class_pictures_that_are_still_to_be_made_are_left_out(tmp_path: Path) -> None:
    folders(tmp_path, "closeup")
    text = "python train.py --instance_data_dir closeup --with_prior_preservation --class_data_dir=later"
    assert len(written(tmp_path, "run.sh", text).subsets) == 1
