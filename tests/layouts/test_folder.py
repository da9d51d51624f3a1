"""A folder as it lies, whoever trains on it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lora_doctor.caption_files import captions_of
from lora_doctor.dataset_layout import layout_of
from lora_doctor.errors import InputRefused
from lora_doctor.types import Layout, Subset
from tests.layouts.lay_out import folders, noted


def told(layout: Layout, root: Path) -> dict[str, tuple[float, bool]]:
    """Folder -> repeats, and whether its sub-folders are read."""
    return {os.path.relpath(one.folder, root): (one.repeats, one.recursive) for one in layout.subsets}


def table(folder: Path, *rows: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def test_a_flat_folder_is_one_subset_read_whole(tmp_path: Path) -> None:
    folders(tmp_path, ".", "beach", "beach/far")
    layout = layout_of(tmp_path)
    assert layout.trainer == "folder" and layout.notes == () and layout.trigger is None
    assert layout.subsets == (Subset(folder=tmp_path, source=tmp_path.name, recursive=True),)


def test_an_empty_folder_is_one_subset_too(tmp_path: Path) -> None:
    assert layout_of(tmp_path).subsets == (Subset(folder=tmp_path, recursive=True),)


def test_numbered_folders_are_subsets_of_their_own(tmp_path: Path) -> None:
    folders(tmp_path, "10_ohwx woman", "2_ohwx woman full")
    layout = layout_of(tmp_path)
    assert told(layout, tmp_path) == {"10_ohwx woman": (10, True), "2_ohwx woman full": (2, True)}
    assert [one.class_tokens for one in layout.subsets] == ["ohwx woman", "ohwx woman full"]
    assert layout.trigger == "ohwx"
    assert noted(layout, "<repeats>_<words>") and not noted(layout, "ohwx")


def test_the_nearest_numbered_folder_counts(tmp_path: Path) -> None:
    folders(tmp_path, "10_yuki", "10_yuki/far", "10_yuki/3_near")
    layout = layout_of(tmp_path)
    assert told(layout, tmp_path) == {"10_yuki": (10, False), "10_yuki/3_near": (3, True), "10_yuki/far": (10, True)}


def test_pictures_beside_numbered_folders_are_counted_once_and_noted(tmp_path: Path) -> None:
    folders(tmp_path, ".", "10_yuki", "more", "more/inner")
    layout = layout_of(tmp_path)
    assert told(layout, tmp_path) == {".": (1, False), "10_yuki": (10, True), "more": (1, True)}
    assert noted(layout, "2 folders with pictures have no such name")


def test_no_picture_is_in_two_subsets(tmp_path: Path) -> None:
    folders(tmp_path, ".", "10_a", "10_a/b", "10_a/b/2_c", "10_a/b/2_c/d", "e", "e/4_f", "e/g")
    places = [
        path
        for one in layout_of(tmp_path).subsets
        for path in (one.folder.rglob("*.png") if one.recursive else one.folder.glob("*.png"))
    ]
    assert sorted(places) == sorted(tmp_path.rglob("*.png"))


def test_a_folder_with_no_repeats_says_so(tmp_path: Path) -> None:
    folders(tmp_path, "0_old", "5_yuki")
    assert [one.repeats for one in layout_of(tmp_path).subsets] == [0, 5]


def test_class_tokens_are_the_caption_of_pictures_without_one(tmp_path: Path) -> None:
    folders(tmp_path, "10_ohwx woman")
    (subset,) = layout_of(tmp_path).subsets
    assert captions_of(subset, "02.png", None) == ("ohwx woman",)
    assert captions_of(subset, "01.png", "1girl") == ("1girl",)


def test_names_of_folders_that_call_nobody_are_no_trigger(tmp_path: Path) -> None:
    folders(tmp_path, "3_closeup", "2_full body")
    assert layout_of(tmp_path).trigger is None


def test_the_folders_own_name_may_hold_the_trigger(tmp_path: Path) -> None:
    folders(tmp_path, "10_ohwx woman")
    assert layout_of(tmp_path / "10_ohwx woman").trigger == "ohwx"


def test_regularisation_beside_the_pictures_is_no_part_of_the_character(tmp_path: Path) -> None:
    folders(tmp_path, "img/10_ohwx woman", "reg/1_woman", "model/sample")
    (tmp_path / "log").mkdir()
    layout = layout_of(tmp_path)
    assert {os.path.relpath(one.folder, tmp_path): one.regularisation for one in layout.subsets} == {
        "img/10_ohwx woman": False, "reg/1_woman": True,
    }  # fmt: skip
    assert layout.trigger == "ohwx"
    assert noted(layout, "2 folders beside img") and noted(layout, "not part of the character")
    assert [one.regularisation for one in layout_of(tmp_path / "img").subsets] == [False]


@pytest.mark.parametrize("reg", ["reg/1_woman", "reg"])
def test_regularisation_beside_numbered_folders_is_none_either(tmp_path: Path, reg: str) -> None:
    folders(tmp_path, "10_ohwx woman", reg)
    layout = layout_of(tmp_path)
    assert [one.regularisation for one in layout.subsets] == [False, True]
    assert layout.trigger == "ohwx"


def test_a_plain_folder_called_reg_is_a_folder_of_pictures(tmp_path: Path) -> None:
    folders(tmp_path, "reg", "beach")
    assert [one.regularisation for one in layout_of(tmp_path).subsets] == [False]


@pytest.mark.parametrize("name", ["captions", "labels", "txt", "Captions"])
def test_captions_apart_are_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "images" / "a").mkdir(parents=True)
    (tmp_path / "images" / "a" / "01.png").write_bytes(b"")
    (tmp_path / name / "a").mkdir(parents=True)
    (tmp_path / name / "a" / "01.txt").write_text("1girl", encoding="utf-8")
    (subset,) = layout_of(tmp_path).subsets
    assert (subset.folder, subset.caption_folder, subset.recursive) == (tmp_path / "images", tmp_path / name, True)
    assert noted(layout_of(tmp_path / "images"), "give the folder that holds both")


def test_captions_beside_the_pictures_come_before_those_apart(tmp_path: Path) -> None:
    folders(tmp_path, "images", "captions")
    assert all(one.caption_folder is None for one in layout_of(tmp_path).subsets)


def test_a_table_holds_pictures_and_captions(tmp_path: Path) -> None:
    table(tmp_path, {"file_name": "a.png", "text": "1girl"}, {"file_name": "b/c.png", "text": "1boy"})
    (subset,) = layout_of(tmp_path).subsets
    assert subset.files == ("a.png", "b/c.png")
    assert subset.captions == {"a.png": "1girl", "b/c.png": "1boy"}
    assert noted(layout_of(tmp_path), "metadata table")


def test_a_picture_in_two_rows_is_shown_twice_with_either_caption(tmp_path: Path) -> None:
    table(
        tmp_path, {"file_name": "a.png", "text": "one"}, {"file_name": "b.png", "text": "two"},
        {"file_name": "a.png", "text": "three"}, {"file_name": "a.png", "text": ""},
    )  # fmt: skip
    once, thrice = layout_of(tmp_path).subsets
    assert (once.files, once.repeats) == (("b.png",), 1)
    assert (thrice.files, thrice.repeats) == (("a.png",), 3)
    assert captions_of(thrice, "a.png", (thrice.captions or {})["a.png"]) == ("one", "three")


def test_a_table_in_csv_is_read(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text('file_name,caption\na.png,"1girl, yuki"\n', encoding="utf-8")
    (subset,) = layout_of(tmp_path).subsets
    assert subset.captions == {"a.png": "1girl, yuki"}


def test_rows_that_lead_out_are_left_out_and_counted(tmp_path: Path) -> None:
    table(tmp_path, {"file_name": "../secret.png", "text": "x"}, {"file_name": "/etc/passwd", "text": "x"},
          {"file_name": "a.png", "text": "1girl"}, {"file_name": 5})  # fmt: skip
    layout = layout_of(tmp_path)
    assert layout.subsets[0].files == ("a.png",)
    assert noted(layout, "3 rows of a metadata table name no picture below")


def test_caption_files_come_before_a_table(tmp_path: Path) -> None:
    table(tmp_path, {"file_name": "01.png", "text": "another"})
    folders(tmp_path, ".")
    layout = layout_of(tmp_path)
    assert [one.captions for one in layout.subsets] == [None]
    assert noted(layout, "caption files and a metadata table")


def test_a_text_that_is_no_caption_hides_no_table(tmp_path: Path) -> None:
    table(tmp_path, {"file_name": "01.png", "text": "yuki_nk"}, {"file_name": "02.png", "caption": "another"})
    (tmp_path / "01.png").write_bytes(b"")
    (tmp_path / "LICENSE.txt").write_text("free", encoding="utf-8")
    layout = layout_of(tmp_path)
    assert [one.captions for one in layout.subsets] == [{"01.png": "yuki_nk"}]
    assert noted(layout, "1 pictures of a metadata table have nothing in the column")


def test_a_broken_table_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.png"}\n{', encoding="utf-8")
    with pytest.raises(InputRefused, match=r"metadata\.jsonl: .*line 2 is not JSON"):
        layout_of(tmp_path)


def test_links_are_neither_followed_nor_opened(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "set"
    folders(outside, "5_secret")
    table(outside, {"file_name": "a.png", "text": "x"})
    folders(inside, "10_yuki", ".")
    (inside / "3_link").symlink_to(outside / "5_secret")
    (inside / "loop").symlink_to(inside)
    (inside / "10_yuki" / "metadata.jsonl").symlink_to(outside / "metadata.jsonl")
    layout = layout_of(inside)
    assert told(layout, inside) == {".": (1, False), "10_yuki": (10, False)}
    assert noted(layout, "2 links to folders")


@pytest.mark.parametrize(
    ("name", "text"), [("metadata.csv", "file_name;text\na.png;yuki\n"), ("metadata.jsonl", '{"image": "a.png"}')]
)
def test_a_table_that_names_no_picture_is_told(tmp_path: Path, name: str, text: str) -> None:
    folders(tmp_path, ".")
    (tmp_path / name).write_text(text, encoding="utf-8")
    layout = layout_of(tmp_path)
    assert layout.subsets[0].captions is None
    assert noted(layout, "it has no column file_name")


def test_a_pipe_called_metadata_is_left_alone(tmp_path: Path) -> None:
    folders(tmp_path, ".")
    os.mkfifo(tmp_path / "metadata.jsonl")
    assert len(layout_of(tmp_path).subsets) == 1


def test_hidden_folders_are_left_out(tmp_path: Path) -> None:
    folders(tmp_path, ".thumbs/9_x", "__MACOSX/8_y", "10_yuki")
    assert told(layout_of(tmp_path), tmp_path) == {"10_yuki": (10, True)}


def test_a_name_in_no_encoding_does_no_harm(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/7_\xff\xfe"
    os.mkdir(folder)
    with open(folder + b"/a.png", "wb"):
        pass
    (subset,) = layout_of(tmp_path).subsets
    assert subset.repeats == 7


@pytest.mark.parametrize(
    ("pictures", "masks", "subset"),
    [(".", "masks", (1, False)), ("images", "Mask", (1, True)), ("10_ohwx", "10_ohwx/masks", (10, False))],
)
def test_a_folder_of_masks_is_left_out_and_noted(
    pictures: str, masks: str, subset: tuple[int, bool], tmp_path: Path
) -> None:
    for name in ("a", "b", "c"):
        write(
            tmp_path / pictures / f"{name}.jpg", tmp_path / pictures / f"{name}.txt", tmp_path / masks / f"{name}.png"
        )
    layout = layout_of(tmp_path)
    assert told(layout, tmp_path) == {pictures: subset} and noted(layout, "1 folders of masks")


@pytest.mark.parametrize(("names", "ending"), [(("a", "b"), ".txt"), (("c", "d"), ".npz")])
def test_pictures_of_somebody_masked_are_pictures(names: tuple[str, str], ending: str, tmp_path: Path) -> None:
    """They have captions, or names of their own."""
    for name in ("a", "b"):
        write(tmp_path / f"{name}.png")
    for name in names:
        write(tmp_path / "mask" / f"{name}.png", tmp_path / "mask" / f"{name}{ending}")
    assert told(layout_of(tmp_path), tmp_path) == {".": (1, True)}


def write(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
