"""The dataset of the next training: captions are corrected in a copy, pictures added, the original stays as it is."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from lora_doctor.captions import caption_tokens
from lora_doctor.corrected_dataset import (
    caption_diff,
    caption_texts,
    copy_dataset,
    corrected_captions,
    folders_in_copy,
    joined,
    pictures_to_leave_out,
    places_in_copy,
    still_said,
    without,
)
from lora_doctor.dataset_layout import read_dataset
from lora_doctor.trigger import spelt_otherwise
from lora_doctor.types import LeftOutPictures

TRIGGER = "yuki_nk"


def dataset(folder: Path, *captions: str):
    folder.mkdir()
    for i, caption in enumerate(captions):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(caption)
    return read_dataset(folder)


def test_missing_tokens_go_behind_the_trigger(tmp_path):
    data = dataset(tmp_path / "d", "1girl, yuki_nk, white_hair, library", "1girl, yuki_nk, slender, beach")
    fix = {"add_tokens": "body", "to": "all", "tokens": ["slender", "tall"]}
    corrected = corrected_captions(data, [fix], TRIGGER)
    assert corrected[data.images[0].path] == "1girl, yuki_nk, slender, tall, white_hair, library"
    assert corrected[data.images[1].path] == "1girl, yuki_nk, tall, slender, beach"


def test_missing_tokens_go_behind_a_trigger_that_stands_inside_a_tag(tmp_path):
    data = dataset(tmp_path / "d", "1girl, ohwx woman, library", "ohwx woman, beach")
    fix = {"add_tokens": "body_type", "to": "all", "tokens": ["tall"]}
    assert list(corrected_captions(data, [fix], "ohwx").values()) == [
        "1girl, ohwx woman, tall, library",
        "ohwx woman, tall, beach",
    ]


def test_missing_tokens_go_behind_the_first_where_the_trigger_is_not(tmp_path):
    data = dataset(tmp_path / "d", "yuki, library", "1girl, solo", "")
    fix = {"add_tokens": "body_type", "to": "all", "tokens": ["tall"]}
    assert list(corrected_captions(data, [fix], "").values()) == ["yuki, tall, library", "1girl, tall, solo", "tall"]


def test_wrong_tokens_are_replaced_by_the_true_one(tmp_path):
    data = dataset(tmp_path / "d", "1girl, yuki_nk, black_hair, library")
    fix = {"correct_tokens": "hair_colour", "to": "all", "tokens": ["white_hair"], "remove": ["black_hair", "red_hair"]}
    [text] = corrected_captions(data, [fix], TRIGGER).values()
    assert caption_tokens(text) == ["1girl", "yuki_nk", "white_hair", "library"]


@pytest.mark.parametrize(
    ("caption", "corrected"),
    [
        ("1girl, yuki_nk, black hair, library", "1girl, yuki_nk, white hair, library"),
        ("1girl, yuki_nk, Black_Hair, library", "1girl, yuki_nk, white hair, library"),
        ("yuki_nk, (black hair:1.2), library", "yuki_nk, (white hair:1.2), library"),
        ("yuki_nk, jet black hair, white hair", "yuki_nk, white hair"),
        ("yuki_nk ||| black hair, library", "yuki_nk ||| white hair, library"),
        ("yuki_nk, library", "yuki_nk, white hair, library"),
    ],
)
def test_wrong_tokens_are_replaced_however_they_are_written_and_never_stand_beside_the_true_one(
    tmp_path, caption, corrected
):
    data = dataset(tmp_path / "d", caption, "yuki_nk, looking at viewer, white hair", "yuki_nk, full body, white hair")
    fix = {"correct_tokens": "hair_colour", "to": "all", "tokens": ["white_hair"], "remove": ["black_hair", "red_hair"]}
    assert corrected_captions(data, [fix], TRIGGER) == {data.images[0].path: corrected}


def test_a_sentence_against_the_character_is_left_as_it_is_and_counted(tmp_path):
    data = dataset(tmp_path / "d", "a photo of yuki_nk with black hair, smiling", "1girl, yuki_nk, black_hair")
    fix = {"correct_tokens": "hair_colour", "to": "all", "tokens": ["white_hair"], "remove": ["black_hair", "red_hair"]}
    corrected = corrected_captions(data, [fix], TRIGGER)
    assert corrected == {data.images[1].path: "1girl, yuki_nk, white_hair"}
    assert still_said(data, [fix], corrected) == (data.images[0].path,)


def test_what_is_added_to_prose_stands_at_its_end_and_behind_a_part_that_is_kept(tmp_path):
    data = dataset(
        tmp_path / "d",
        "yuki_nk is standing in the hall. She smiles, happily.",
        "yuki_nk, 1girl ||| smile, full body",
    )
    seen = {image.path: {"environment": "old_library"} for image in data.images}
    fix = {"add_tokens": "environment", "to": "all", "tokens": []}
    assert list(corrected_captions(data, [fix], TRIGGER, seen).values()) == [
        "yuki_nk is standing in the hall. She smiles, happily. old library",
        "yuki_nk, 1girl ||| old library, smile, full body",
    ]


def test_true_traits_that_the_audit_accepts_are_left_in_the_copy(tmp_path):
    captions = ["1girl, yuki_nk, white_hair, red_hair, multicolored_hair", "1girl, yuki_nk, bright_white_hair"]
    data = dataset(tmp_path / "d", *captions)
    fix = {"correct_tokens": "hair_colour", "to": "all", "tokens": ["white_hair"], "remove": ["black_hair", "red_hair"]}
    assert corrected_captions(data, [fix], TRIGGER) == {}
    long = dataset(tmp_path / "l", "1girl, yuki_nk, very_long_hair")
    fix = {"correct_tokens": "hair_length", "to": "all", "tokens": ["long_hair"], "remove": ["very_long_hair"]}
    assert corrected_captions(long, [fix], TRIGGER) == {}


def test_what_may_be_another_persons_stays_in_the_copy(tmp_path):
    captions = ["2girls, yuki_nk, white_hair, black_hair", "1girl, 1boy, yuki_nk, black_hair"]
    data = dataset(tmp_path / "d", *captions)
    fix = {"correct_tokens": "hair_colour", "to": "all", "tokens": ["white_hair"], "remove": ["black_hair", "red_hair"]}
    corrected = corrected_captions(data, [fix], TRIGGER)
    assert corrected == {data.images[1].path: "1girl, 1boy, yuki_nk, white_hair, black_hair"}


def test_each_picture_is_named_its_own_environment_if_it_was_read(tmp_path):
    data = dataset(tmp_path / "d", "1girl, yuki_nk, smile", "1girl, yuki_nk, beach", "1girl, yuki_nk")
    fix = {"add_tokens": "environment", "to": "in-context", "tokens": []}
    seen = {data.images[0].path: {"environment": "library"}, data.images[1].path: {"environment": "beach"}}
    corrected = corrected_captions(data, [fix], TRIGGER, seen)
    assert corrected == {data.images[0].path: "1girl, yuki_nk, library, smile"}


@pytest.mark.parametrize(
    ("caption", "corrected"),
    [
        ("1girl, yuki_nk, black hair, red dress", "1girl, yuki_nk, white hair, red dress"),
        ("1girl, (yuki_nk:1.1), (Black_Hair:1.2)", "1girl, (yuki_nk:1.1), (white_hair:1.2)"),
        ("1girl, yuki_nk ||| smile, black_hair.", "1girl, yuki_nk ||| smile, white_hair."),
        ("1girl, yuki_nk, smile\nblack_hair, park_bench", "1girl, yuki_nk, smile\nwhite_hair, park_bench"),
        ("yuki_nk walks in a park, in rain.\n\nIt pours.", "yuki_nk walks in a park, in rain. white hair\n\nIt pours."),
    ],
)  # fmt: skip
def test_a_trait_is_corrected_however_the_caption_is_written(tmp_path, caption, corrected):
    data = dataset(tmp_path / "d", caption)
    fix = {"correct_tokens": "hair_colour", "to": "all", "tokens": ["white_hair"], "remove": ["black_hair", "red_hair"]}
    assert corrected_captions(data, [fix], TRIGGER) == {data.images[0].path: corrected}


@pytest.mark.parametrize(
    ("caption", "written"),
    [
        ("1girl, park", "1girl, tall, park\n"),
        ("a woman is walking in a park", "a woman is walking in a park, tall\n"),
        ("1girl, yuki_nk", "1girl, yuki_nk, tall\n"),
    ],
)
def test_what_is_added_stands_between_the_words_of_the_config(tmp_path, caption, written):
    dataset(tmp_path / "d", caption)
    config = tmp_path / "dataset.toml"
    around = "caption_extension = '.txt'\ncaption_prefix = 'masterpiece,'\ncaption_suffix = ', best quality'\n"
    config.write_text(f"[[datasets]]\n{around}[[datasets.subsets]]\nimage_dir = '{tmp_path / 'd'}'\n")
    data = read_dataset(config)
    corrected = corrected_captions(data, [{"add_tokens": "body", "to": "all", "tokens": ["tall"]}], TRIGGER)
    assert caption_texts(data, None, corrected) == {data.images[0].path: written}


def test_a_fix_with_tokens_of_its_own_never_takes_what_was_read(tmp_path):
    data = dataset(tmp_path / "d", "1girl, yuki_nk")
    fix = {"add_tokens": "hair_colour", "to": "all", "tokens": ["white_hair"]}
    seen = {data.images[0].path: {"hair_colour": "black_hair"}}
    [text] = corrected_captions(data, [fix], TRIGGER, seen).values()
    assert text == "1girl, yuki_nk, white_hair"


@pytest.mark.parametrize(
    ("captions", "corrected"),
    [
        (("1girl, tall, park", "1girl, yuki_nk, park"), "1girl, yuki_nk, tall, park"),
        (("1girl, solo, park", "yuki_nk, 1girl, park"), "yuki_nk, 1girl, solo, park"),
        (("tall, park", "tall, beach"), "yuki_nk, tall, park"),
        (("a girl walks in the park", "1girl, yuki_nk"), "yuki_nk, a girl walks in the park"),
        (("", "1girl, yuki_nk"), "yuki_nk"),
    ],
)
def test_a_trigger_that_a_caption_lacks_stands_where_others_have_it(tmp_path, captions, corrected):
    data = dataset(tmp_path / "d", *captions)
    fix = {"add_tokens": "trigger", "to": "all", "tokens": []}
    assert corrected_captions(data, [fix], TRIGGER)[data.images[0].path] == corrected
    assert corrected_captions(data, [fix], "") == {}


def test_a_trigger_inside_prose_is_not_added_again(tmp_path):
    data = dataset(tmp_path / "d", "a photo of yuki_nk in the park", "1girl, yuki_nk")
    assert corrected_captions(data, [{"add_tokens": "trigger", "to": "all", "tokens": []}], TRIGGER) == {}


@pytest.mark.parametrize(
    ("caption", "corrected"),
    [
        ("1girl, yuki nk, park", "1girl, yuki_nk, park"),
        ("1girl, yuki-nk, park", "1girl, yuki_nk, park"),
        ("Yuki_nk, park", "yuki_nk, park"),
        ("1girl, yukink, park", "1girl, yuki_nk, park"),
        ("1girl, yuky_nk, park", "1girl, yuki_nk, park"),
        ("a photo of yuki nk in the park", "a photo of yuki_nk in the park"),
    ],
)
def test_a_trigger_that_is_spelt_otherwise_is_corrected_and_no_second_one_is_added(tmp_path, caption, corrected):
    data = dataset(tmp_path / "d", caption, *["1girl, yuki_nk, beach"] * 3)
    said = [image.caption for image in data.images]
    fix = {"add_tokens": "trigger", "to": "all", "tokens": []}
    found = corrected_captions(data, [fix], TRIGGER, None, spelt_otherwise(said, TRIGGER, {}))
    assert found == {data.images[0].path: corrected}


def test_every_line_of_a_file_of_captions_is_corrected(tmp_path):
    (tmp_path / "d").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "d" / "0.png")
    lines = [f"1girl, yuki_nk, place {i}" for i in range(40)]
    (tmp_path / "d" / "0.txt").write_text("\n".join(lines))
    concepts = tmp_path / "concepts.json"
    concepts.write_text(json.dumps([{"path": str(tmp_path / "d"), "balancing": 1}]))
    fix = {"add_tokens": "body", "to": "all", "tokens": ["tall"]}
    [text] = corrected_captions(read_dataset(concepts), [fix], TRIGGER).values()
    assert text.split("\n") == [line.replace("yuki_nk,", "yuki_nk, tall,") for line in lines]


def test_captions_of_two_datasets_are_read_by_the_subsets_of_each(tmp_path):
    dataset(tmp_path / "n", "1girl, yuki_nk\n1girl, yuki_nk, smile")
    concepts = tmp_path / "concepts.json"
    concepts.write_text(json.dumps([{"path": str(tmp_path / "n"), "balancing": 1}]))
    both = joined(dataset(tmp_path / "d", "1girl, yuki_nk"), read_dataset(concepts))
    fix = {"add_tokens": "body", "to": "all", "tokens": ["tall"]}
    corrected = corrected_captions(both, [fix], TRIGGER)
    assert corrected[tmp_path / "n" / "0.png"] == "1girl, yuki_nk, tall\n1girl, yuki_nk, tall, smile"


def test_a_picture_never_lies_outside_the_copy(tmp_path):
    (tmp_path / "cfg").mkdir()
    dataset(tmp_path / "d", "1girl")
    config = tmp_path / "cfg" / "dataset.toml"
    config.write_text("[[datasets]]\ncaption_extension = '.txt'\n[[datasets.subsets]]\nimage_dir = '../d'\n")
    assert list(places_in_copy(read_dataset(config)).values()) == [Path("d/0.png")]


def test_a_copy_is_never_made_over_something(tmp_path):
    data = dataset(tmp_path / "d", "1girl")
    (tmp_path / "copy").mkdir()
    with pytest.raises(FileExistsError):
        copy_dataset(data, None, {}, tmp_path / "copy")


def test_a_fix_for_one_role_leaves_the_other_alone(tmp_path):
    data = dataset(tmp_path / "d", "1girl, yuki_nk", "1girl, yuki_nk")
    roles = ("identity-emphasis", "in-context")
    data = replace(data, images=tuple(replace(i, role=r) for i, r in zip(data.images, roles, strict=True)))
    fix = {"add_tokens": "body", "to": "in-context", "tokens": ["tall"]}
    assert corrected_captions(data, [fix], TRIGGER) == {data.images[1].path: "1girl, yuki_nk, tall"}


def test_a_caption_that_needs_nothing_is_left_out(tmp_path):
    data = dataset(tmp_path / "d", "1girl, yuki_nk,  slender")
    assert corrected_captions(data, [{"tokens": ["slender"]}], TRIGGER) == {}


def test_the_copy_has_the_corrected_captions_and_the_original_keeps_its_own(tmp_path):
    data = dataset(tmp_path / "d", "1girl, black_hair", "1girl")
    copy = copy_dataset(data, None, {data.images[0].path: "1girl, white_hair"}, tmp_path / "copy")
    assert (copy / "0.txt").read_text() == "1girl, white_hair\n"
    assert (copy / "1.txt").read_text() == "1girl"
    assert (tmp_path / "d" / "0.txt").read_text() == "1girl, black_hair"
    assert [i.sha256 for i in read_dataset(copy).images] == [i.sha256 for i in data.images]


def test_added_pictures_lie_in_a_folder_of_their_own_in_every_round(tmp_path):
    data, new = dataset(tmp_path / "d", "1girl, beach"), dataset(tmp_path / "n", "1girl, forest", "1girl, school")
    first = copy_dataset(data, new, {new.images[0].path: "1girl, tall, forest"}, tmp_path / "first")
    second = copy_dataset(read_dataset(first), new, {}, tmp_path / "second")
    names = [image.path.relative_to(second).as_posix() for image in read_dataset(second).images]
    assert names == ["0.png", "added/0.png", "added/1.png", "added-2/0.png", "added-2/1.png"]
    assert (second / "added" / "0.txt").read_text() == "1girl, tall, forest\n"
    assert len(read_dataset(tmp_path / "d").images) == 1


def test_captions_of_added_pictures_are_corrected_too(tmp_path):
    data, new = dataset(tmp_path / "d", "1girl, yuki_nk"), dataset(tmp_path / "n", "1girl, yuki_nk")
    fix = {"add_tokens": "body", "to": "all", "tokens": ["tall"]}
    corrected = corrected_captions(joined(data, new), [fix], TRIGGER)
    assert set(corrected) == {data.images[0].path, new.images[0].path}
    diff = caption_diff(corrected, [data, new], {})
    assert diff.count("+1girl, yuki_nk, tall") == 2 and diff.count("--- 0.txt") == 2


def test_only_the_pictures_that_show_the_attribute_otherwise_are_left_out(tmp_path):
    data = dataset(tmp_path / "d", "1girl, white_hair", "1girl, white_hair", "1girl")
    one, two, _ = (image.path for image in data.images)
    shown = {one: {"hair_colour": "pink_hair"}, two: {"body": "curvy"}}
    asked = [LeftOutPictures(says="", attribute="hair_colour", label="white_hair")]
    left_out = pictures_to_leave_out(shown, asked)
    assert left_out == {one: "it shows pink_hair"}
    assert pictures_to_leave_out(shown, []) == {}

    copy = copy_dataset(without(data, left_out), None, {}, tmp_path / "copy")
    assert sorted(path.name for path in copy.iterdir()) == ["1.png", "1.txt", "2.png", "2.txt"]
    assert len(read_dataset(tmp_path / "d").images) == 3

    diff = caption_diff({}, [data], left_out)
    assert "+++ /dev/null (0.png is left out: it shows pink_hair)" in diff
    assert diff.count("-1girl, white_hair") == 1 and "1.txt" not in diff


def test_pictures_of_a_config_keep_their_folders_and_never_meet(tmp_path):
    beside, far, also_far = tmp_path / "conf" / "a", tmp_path / "x" / "a", tmp_path / "y" / "a"
    for folder in (beside, far, also_far):
        folder.parent.mkdir()
        dataset(folder, f"1girl, {folder.parent.name}")
    lines = [f'[[datasets.subsets]]\nimage_dir = "{each}"\nnum_repeats = 3\n' for each in (beside, far, also_far)]
    config = tmp_path / "conf" / "dataset.toml"
    config.write_text("[[datasets]]\ncaption_extension = '.txt'\n" + "".join(lines))
    data = read_dataset(config)
    assert [image.repeats for image in data.images] == [3, 3, 3]
    places = places_in_copy(data)
    assert places[beside / "0.png"] == Path("a/0.png")
    assert len(set(places.values())) == 3
    copy = copy_dataset(data, None, {}, tmp_path / "copy")
    assert sorted(path.read_text() for path in copy.rglob("*.txt")) == ["1girl, conf", "1girl, x", "1girl, y"]
    moved = folders_in_copy(data, tmp_path / "copy")
    for old in (far, also_far):
        assert sorted(path.name for path in moved[old].iterdir()) == ["0.png", "0.txt"]
    assert moved[beside] == tmp_path / "copy" / "a" and moved[beside.parent] == tmp_path / "copy"
    assert moved[far] != moved[also_far]


def test_a_diff_spells_out_the_bytes_of_a_name_that_are_no_text(tmp_path):
    (tmp_path / "d").mkdir()
    name = os.fsdecode(b"sm\xedle")
    for number in range(2):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "d" / f"{name}{number}.png")
        (tmp_path / "d" / f"{name}{number}.txt").write_text("1girl, yuki_nk")
    data = read_dataset(tmp_path / "d")
    first, second = (image.path for image in data.images)
    diff = caption_diff({first: "1girl"}, [data], {second: "black_hair"})
    assert diff.encode("utf-8").count(rb"sm\xedle0.txt") == 2 and r"sm\xedle1.png is left out" in diff
