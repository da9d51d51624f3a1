"""A share of captions counts pictures by their repeats and a picture's captions equally."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lora_doctor.caption_share import captioned, share_of_captions, weight
from lora_doctor.types import Dataset
from tests.audits.make_case import Picture, dataset_of


def with_variants(dataset: Dataset, index: int, *variants: str) -> Dataset:
    images = list(dataset.images)
    images[index] = replace(images[index], variants=variants)
    return replace(dataset, images=tuple(images))


def test_repeats_and_variants_are_weighed() -> None:
    dataset = dataset_of([Picture(caption="a", repeats=3), Picture(caption="b"), Picture(caption=None, repeats=9)])
    dataset = with_variants(dataset, 1, "a", "b")
    among = captioned(dataset)
    assert (among, weight(dataset, among)) == ([0, 1], 4.0)
    share = share_of_captions(dataset, "x", among, lambda image, text: text == "a")
    assert share.value == pytest.approx((3 + 0.5) / 4)
    assert share.pictures == (0, 1)
    lacking = share_of_captions(dataset, "x", among, lambda image, text: text == "a", about_lacking=True)
    assert lacking.pictures == (1,)


def test_the_pictures_with_most_such_captions_come_first() -> None:
    dataset = with_variants(dataset_of([Picture(caption="a"), Picture(caption="a")]), 0, "a", "b")
    assert share_of_captions(dataset, "x", [0, 1], lambda image, text: text == "a").pictures == (1, 0)


def test_no_captions_are_a_reason_and_no_zero() -> None:
    share = share_of_captions(dataset_of([Picture(caption=None)]), "x", [], lambda image, text: True, caveat="never")
    assert (share.value, share.reason) == (None, "no picture has a caption")


def test_a_share_over_every_caption_is_one_and_its_complement_none() -> None:
    dataset = dataset_of([Picture(caption="a", repeats=n) for n in (1, 2, 7)])
    assert share_of_captions(dataset, "x", [0, 1, 2], lambda image, text: True).value == 1.0
    assert share_of_captions(dataset, "x", [0, 1, 2], lambda image, text: False).value == 0.0
