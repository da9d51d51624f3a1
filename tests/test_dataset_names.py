"""What names alone tell: which are pictures, which captions, and what is odd about them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lora_doctor.dataset_names import caption_names, endings_of, pictures_of, remarks, set_apart
from lora_doctor.types import Subset

PLAIN = Subset(folder=Path("d"))


def said(names: list[str], subset: Subset = PLAIN, trainer: str = "folder") -> dict[str, str]:
    """Name -> what is said of it."""
    return {remark.name: remark.says for remark in remarks(names, names, subset, trainer)}


def test_endings_count_in_any_case_of_letters() -> None:
    names = ["a.png", "b.JPG", "c.Jpeg", "d.webp", "e.bmp", "f.avif", "g.gif", "h.txt", "png", "i.png.npz"]
    assert pictures_of(names, "folder") == names[:6]


@pytest.mark.parametrize("trainer", ["folder", "lora-doctor", "OneTrainer"])
def test_masks_that_onetrainer_names_are_no_pictures_in_any_folder(trainer: str) -> None:
    names = ["a.png", "a-masklabel.png", "x/b.jpg", "x/b-condlabel.png"]
    assert pictures_of(names, trainer) == ["a.png", "x/b.jpg"]
    assert set_apart(names, trainer) == ["a-masklabel.png", "x/b-condlabel.png"]


def test_what_is_named_as_a_mask_of_no_picture_is_one_and_other_trainers_read_them_all() -> None:
    assert pictures_of(["a-masklabel.png", "x/a.png"], "folder") == ["a-masklabel.png", "x/a.png"]
    assert pictures_of(["a.png", "a-masklabel.png"], "sd-scripts") == ["a.png", "a-masklabel.png"]


@pytest.mark.parametrize(
    ("trainer", "reads", "does_not"),
    [("sd-scripts", ".bmp", ".gif"), ("ai-toolkit", ".webp", ".bmp"), ("SimpleTuner", ".gif", ".tiff"),
     ("OneTrainer", ".avif", ".tif"), ("musubi-tuner", ".avif", ".jxl"), ("diffusers", ".gif", ".tif")],
)  # fmt: skip
def test_every_trainer_has_its_own_endings(trainer: str, reads: str, does_not: str) -> None:
    assert reads in endings_of(trainer)
    assert does_not not in endings_of(trainer)
    assert said([f"a{reads}", f"b{does_not}"], trainer=trainer).keys() == {f"b{does_not}"}


def test_what_a_trainer_reads_and_we_cannot_is_told_apart_from_what_it_does_not() -> None:
    assert "is trained on, but cannot be looked at" in said(["a.tif"], trainer="OneTrainer")["a.tif"]
    assert "sd-scripts does not read .tif" in said(["a.tif"], trainer="sd-scripts")["a.tif"]


def test_captions_are_looked_for_in_the_order_of_their_endings() -> None:
    assert caption_names("x/a.b.png", PLAIN) == ["x/a.b.txt", "x/a.b.caption"]
    assert caption_names("a.png", Subset(folder=Path("d"), caption_extensions=(".tags",))) == ["a.tags"]
    assert caption_names("a.png", Subset(folder=Path("d"), captions={})) == []


def test_a_sound_folder_has_nothing_odd() -> None:
    assert said(["a.png", "a.txt", "b.jpg", "b.caption", "b.npz", "c.png", "x/a.png", "x/a.txt", "meta.jsonl"]) == {}


def test_captions_without_picture_are_told_by_what_they_nearly_fit() -> None:
    odd = said(["a.png", "A.txt", "b.txt", "caf\u00e9.png", "cafe\u0301.txt", "x/a.txt", "notes.md"])
    assert odd.keys() == {"A.txt", "b.txt", "cafe\u0301.txt", "x/a.txt"}
    assert "only in capital letters" in odd["A.txt"]
    assert "other code points" in odd["cafe\u0301.txt"]
    assert "belongs to no picture" in odd["x/a.txt"]


def test_captions_that_are_not_read_name_what_is() -> None:
    only = Subset(folder=Path("d"), caption_extensions=(".caption",))
    assert "files that end in .caption" in said(["a.png", "a.txt", "a.caption"], only)["a.txt"]
    assert "in a table" in said(["a.png", "a.txt"], Subset(folder=Path("d"), captions={"a.png": "1girl"}))["a.txt"]
    assert "end in .txt or .caption" in said(["a.png", "a.TXT"])["a.TXT"]
    assert "the caption of `a.png` is looked for in `a.txt`" in said(["x/a.png", "x/a.png.txt"])["x/a.png.txt"]


def test_videos_are_left_out_and_their_captions_are_nothing_odd() -> None:
    assert said(["a.png", "a.txt", "v.mp4", "v.txt", "w.MOV"]) == {
        "v.mp4": "is left out: videos are not looked at here.", "w.MOV": "is left out: videos are not looked at here.",
    }  # fmt: skip


def test_pictures_of_one_stem_clash_in_their_folder_alone() -> None:
    assert said(["a.jpg", "a.png", "x/a.png"]).keys() == {"a.png"}
    assert "`a.jpg`" in said(["a.jpg", "a.png"])["a.png"]


def test_names_that_differ_in_capitals_alone_clash() -> None:
    assert "capital letters from `A.png`" in said(["A.png", "a.png"])["a.png"]


def test_a_name_in_no_encoding_is_told_once_for_each_file_that_is_read() -> None:
    names = [os.fsdecode(name) for name in (b"\xff.png", b"\xff.txt", b"\xff.npz")]
    assert [says.partition("`")[2].partition("`")[0] for says in said(names).values()] == [r"\xff.png", r"\xff.txt"]
