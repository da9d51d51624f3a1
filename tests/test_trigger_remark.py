"""A trigger that no caption holds is told before rendering; caption words stay out of what is public."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lora_doctor.dataset_layout import read_dataset
from lora_doctor.plugins import data_folder
from lora_doctor.trigger_remark import trigger_remark
from lora_doctor.types import Dataset

PATIENTS = data_folder("miniature").parent / "miniature" / "patients"


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """All of its captions say `misa_nk`."""
    return read_dataset(PATIENTS / "misa" / "dataset")


@pytest.mark.parametrize("trigger", ["misa", "mjsa_nk", "yuki_nk"])
def test_a_trigger_in_no_caption_is_told_with_the_word_that_is_there(dataset: Dataset, trigger: str) -> None:
    remark = trigger_remark(dataset, trigger, {})
    assert remark is not None
    assert f"`{trigger}` stands in none of the dataset's captions; most of them say `misa_nk`" in remark.told
    assert f"`{trigger}` stands in none" in remark.public and "misa_nk" not in remark.public


@pytest.mark.parametrize("trigger", ["misa_nk", "misa nk", "MISA_NK"])
def test_a_trigger_in_the_captions_is_not_remarked_on(dataset: Dataset, trigger: str) -> None:
    assert trigger_remark(dataset, trigger, {}) is None


def test_without_captions_nothing_is_said_of_them(dataset: Dataset) -> None:
    silent = replace(dataset, images=tuple(replace(i, caption=None, variants=()) for i in dataset.images))
    assert trigger_remark(silent, "misa", {}) is None


def test_hostile_words_cannot_move_the_cursor(dataset: Dataset) -> None:
    remark = trigger_remark(dataset, "mi\x1b[2Jsa", {})
    assert remark is not None and remark.told.isprintable() and remark.public.isprintable()
