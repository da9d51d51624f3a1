"""Retraining: captions are corrected in a copy, paths hold in the new folder, the user's files stay as they are."""

from dataclasses import replace
from pathlib import Path

from PIL import Image

from lora_doctor.dataset import caption_tokens, read_dataset
from lora_doctor.retraining import _copy_dataset, _relocated, corrected_captions
from lora_doctor.settings import Settings
from lora_doctor.types import Diagnosis, Prescription
from tests.make_diagnosis import make_diagnosis

SETTINGS = Settings(model=Path("m"), trigger="yuki_nk", dataset=Path("d"), out=Path("o"))


def dataset(folder: Path, *captions: str):
    folder.mkdir()
    for i, caption in enumerate(captions):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(caption)
    return read_dataset(folder)


def prescribed(tmp_path: Path, *fixes: dict) -> Diagnosis:
    diagnosis = make_diagnosis(tmp_path, images=False)
    return replace(diagnosis, prescription=Prescription(captions=fixes))


def test_missing_tokens_go_behind_the_trigger(tmp_path):
    data = dataset(tmp_path / "d", "1girl, yuki_nk, white_hair, library", "1girl, yuki_nk, slender, beach")
    fix = {"add_tokens": "body", "to": "all", "tokens": ["slender", "tall"]}
    corrected = corrected_captions(data, prescribed(tmp_path, fix), SETTINGS)
    assert corrected[data.images[0].path] == "1girl, yuki_nk, slender, tall, white_hair, library"
    assert corrected[data.images[1].path] == "1girl, yuki_nk, tall, slender, beach"


def test_wrong_tokens_are_replaced_by_the_true_one(tmp_path):
    data = dataset(tmp_path / "d", "1girl, yuki_nk, black_hair, library")
    fix = {"correct_tokens": "hair_colour", "to": "all", "tokens": ["white_hair"], "remove": ["black_hair", "red_hair"]}
    [text] = corrected_captions(data, prescribed(tmp_path, fix), SETTINGS).values()
    assert caption_tokens(text) == ["1girl", "yuki_nk", "white_hair", "library"]


def test_each_picture_is_named_its_own_environment_if_it_was_read(tmp_path):
    data = dataset(tmp_path / "d", "1girl, yuki_nk, smile", "1girl, yuki_nk, beach", "1girl, yuki_nk")
    fix = {"add_tokens": "environment", "to": "in-context", "tokens": []}
    seen = {data.images[0].path: {"environment": "library"}, data.images[1].path: {"environment": "beach"}}
    corrected = corrected_captions(data, prescribed(tmp_path, fix), SETTINGS, seen)
    assert corrected == {data.images[0].path: "1girl, yuki_nk, library, smile"}


def test_a_fix_with_tokens_of_its_own_never_takes_what_was_read(tmp_path):
    data = dataset(tmp_path / "d", "1girl, yuki_nk")
    fix = {"add_tokens": "hair_colour", "to": "all", "tokens": ["white_hair"]}
    seen = {data.images[0].path: {"hair_colour": "black_hair"}}
    [text] = corrected_captions(data, prescribed(tmp_path, fix), SETTINGS, seen).values()
    assert text == "1girl, yuki_nk, white_hair"


def test_a_fix_for_one_role_leaves_the_other_alone(tmp_path):
    data = dataset(tmp_path / "d", "1girl, yuki_nk", "1girl, yuki_nk")
    roles = ("identity-emphasis", "in-context")
    data = replace(data, images=tuple(replace(i, role=r) for i, r in zip(data.images, roles, strict=True)))
    fix = {"add_tokens": "body", "to": "in-context", "tokens": ["tall"]}
    assert corrected_captions(data, prescribed(tmp_path, fix), SETTINGS) == {
        data.images[1].path: "1girl, yuki_nk, tall"
    }


def test_a_caption_that_needs_nothing_is_left_out(tmp_path):
    data = dataset(tmp_path / "d", "1girl, yuki_nk,  slender")
    assert corrected_captions(data, prescribed(tmp_path, {"tokens": ["slender"]}), SETTINGS) == {}


def test_the_copy_has_the_corrected_captions_and_the_original_keeps_its_own(tmp_path):
    data = dataset(tmp_path / "d", "1girl, black_hair", "1girl")
    copy = _copy_dataset(data, {data.images[0].path: "1girl, white_hair"}, tmp_path / "copy")
    assert (copy / "0.txt").read_text() == "1girl, white_hair\n"
    assert (copy / "1.txt").read_text() == "1girl\n"
    assert (tmp_path / "d" / "0.txt").read_text() == "1girl, black_hair"
    assert [i.sha256 for i in read_dataset(copy).images] == [i.sha256 for i in data.images]


def test_relative_paths_hold_in_the_new_folder(tmp_path):
    (tmp_path / "a" / "dataset").mkdir(parents=True)
    (tmp_path / "b" / "c").mkdir(parents=True)
    text = 'rank = 4\ndataset = "dataset"  # mine\nbase = "miniature"\n'
    moved = _relocated(text, tmp_path / "a", tmp_path / "b" / "c", tmp_path / "a" / "dataset")
    assert moved == 'rank = 4\ndataset = "../../a/dataset"  # mine\nbase = "miniature"\n'
