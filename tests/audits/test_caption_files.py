"""Caption files that are there and are not read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lora_doctor.audits.caption_files import audit
from lora_doctor.dataset import survey
from lora_doctor.types import Case, Layout, Subset, TrainingSettings
from tests.audits.make_case import Picture, make_case


def case_of(subset: Subset, root: Path | None = None) -> Case:
    """The pictures of one subset, really read from the disk; `root`: what the user gave."""
    dataset = survey(Layout(trainer="sd-scripts", subsets=(subset,)), root or subset.folder)
    return Case(
        lora=None, dataset=dataset, references=(None,) * len(dataset.images), training=TrainingSettings(), trigger="",
        label_sets={}, spec={},
    )  # fmt: skip


def pictures(root: Path, **captions: str) -> Path:
    """A picture for each name, and its caption with the ending that is given."""
    from PIL import Image

    for number, (name, ending) in enumerate(captions.items()):
        Image.new("RGB", (8, 8), (number * 40, 0, 0)).save(root / f"{name}.png")
        if ending:
            (root / f"{name}{ending}").write_text(f"1girl, {name}", encoding="utf-8")
    return root


def test_captions_that_are_read_are_not_counted(tmp_path: Path) -> None:
    (one,) = audit(case_of(Subset(folder=pictures(tmp_path, a=".txt", b=".txt"), caption_extensions=(".txt",))))
    assert (one.value, one.n, one.pictures) == (0.0, 2, ())


def test_captions_of_another_ending_are_counted_and_named(tmp_path: Path) -> None:
    subset = Subset(folder=pictures(tmp_path, a=".txt", b=".caption", c=".txt", d=""), caption_extensions=(".caption",))
    case = case_of(subset)
    (one,) = audit(case)
    assert one.value == pytest.approx(0.5)
    assert [case.dataset.images[index].path.name for index in one.pictures] == ["a.png", "c.png"]


def test_captions_named_after_the_whole_name_are_counted(tmp_path: Path) -> None:
    subset = Subset(folder=pictures(tmp_path, a=".png.txt", b=".txt"), caption_extensions=(".txt",))
    assert audit(case_of(subset))[0].value == 0.5


def test_class_tokens_do_not_hide_them(tmp_path: Path) -> None:
    subset = Subset(folder=pictures(tmp_path, a=".txt"), caption_extensions=(".caption",), class_tokens="ohwx girl")
    assert audit(case_of(subset))[0].value == 1.0


def test_captions_in_a_folder_of_their_own_are_seen(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    folder = pictures(tmp_path / "images", a="", b="")
    (tmp_path / "labels" / "a.txt").write_text("1girl", encoding="utf-8")
    subset = Subset(folder=folder, caption_folder=tmp_path / "labels", caption_extensions=(".caption",))
    assert audit(case_of(subset, tmp_path))[0].value == 0.5


def test_a_file_that_cannot_be_read_is_another_fault(tmp_path: Path) -> None:
    folder = pictures(tmp_path, a="")
    (folder / "a.txt").write_bytes(b"\xff\xfe\x00")
    assert audit(case_of(Subset(folder=folder, caption_extensions=(".txt",))))[0].value == 0.0


def test_captions_out_of_a_table_are_none_of_them(tmp_path: Path) -> None:
    subset = Subset(folder=pictures(tmp_path, a=".txt"), captions={}, files=("a.png",))
    assert audit(case_of(subset))[0].value == 0.0


def test_repeats_count(tmp_path: Path) -> None:
    case = case_of(Subset(folder=pictures(tmp_path, a=".txt", b=".caption"), caption_extensions=(".caption",)))
    images = tuple(replace(image, repeats=3 if image.path.stem == "a" else 1) for image in case.dataset.images)
    assert audit(replace(case, dataset=replace(case.dataset, images=images)))[0].value == 0.75


def test_an_empty_dataset_gives_a_reason() -> None:
    (one,) = audit(make_case())
    assert one.value is None and one.reason == "the dataset is empty"


def test_a_dataset_without_subsets_has_none() -> None:
    assert audit(make_case([Picture(caption="1girl")]))[0].value == 0.0
