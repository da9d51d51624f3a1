"""Sizes of pictures against what they are trained at."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_doctor.audits.picture_sizes import audit
from lora_doctor.types import Subset, TrainingSettings
from tests.audits.make_case import get
from tests.audits.make_pictures import File, case_of

AT_512 = TrainingSettings(resolution=512)


def test_pictures_are_small_by_area_not_by_side() -> None:
    files = [File(size=(256, 1024)), File(size=(400, 400)), File(size=(250, 250)), File(size=(512, 512))]
    told = audit(case_of(files, training=AT_512))
    assert get(told, "pictures.small_share", factor="1.25").value == pytest.approx(0.5)
    assert get(told, "pictures.small_share", factor="1.25").pictures == (2, 1)  # worst first
    assert get(told, "pictures.small_share", factor="2").pictures == (2,)


def test_a_few_pixels_less_are_not_small() -> None:
    told = audit(case_of([File(size=(500, 500))] * 3, training=AT_512))
    assert get(told, "pictures.small_share", factor="1.25").value == 0


def test_the_subsets_resolution_comes_before_the_settings() -> None:
    subsets = (Subset(folder=Path("a"), resolution=(256, 256)), Subset(folder=Path("b")))
    files = [File(size=(300, 300), subset=0), File(size=(300, 300), subset=1, repeats=3)]
    told = audit(case_of(files, training=AT_512, subsets=subsets))
    assert get(told, "pictures.small_share", factor="1.25").value == pytest.approx(0.75)  # weighted by repeats


def test_an_unknown_resolution_gives_a_reason_not_zero() -> None:
    told = audit(case_of([File(size=(20, 20))]))
    one = get(told, "pictures.small_share", factor="2")
    assert one.value is None and one.reason and "resolution" in one.reason
    assert get(told, "pictures.shorter_side", quantile="50").value == 20


def test_pictures_of_unknown_resolution_are_named_beside_the_others() -> None:
    subsets = (Subset(folder=Path("a"), resolution=(256, 256)), Subset(folder=Path("b")))
    told = audit(case_of([File(subset=0), File(subset=1)], subsets=subsets))
    one = get(told, "pictures.small_share", factor="2")
    assert (one.value, one.n) == (1.0, 1) and one.reason and one.reason.startswith("of 1 pictures")


@pytest.mark.parametrize(
    ("subset", "value"),
    [
        (Subset(folder=Path("a"), upscales=True), 1.0),
        (Subset(folder=Path("a"), upscales=False), 0.0),
        (Subset(folder=Path("a"), buckets=False, upscales=False), 1.0),  # cut to the resolution itself
        (Subset(folder=Path("a")), None),
    ],
)
def test_whether_small_pictures_are_enlarged(subset: Subset, value: float | None) -> None:
    told = get(audit(case_of([File()], training=AT_512, subsets=(subset,))), "pictures.small_enlarged")
    assert told.value == value and (told.reason is None) == (value is not None)


def test_sides_are_those_of_the_smallest_and_the_middle_picture() -> None:
    files = [File(size=(30, 90)), File(size=(200, 50)), File(size=(80, 70))]
    told = audit(case_of(files))
    assert get(told, "pictures.shorter_side", quantile="0").value == 30
    assert get(told, "pictures.shorter_side", quantile="50").value == 50


def test_long_pictures_are_long_either_way() -> None:
    files = [File(size=(100, 300)), File(size=(500, 100)), File(size=(100, 200)), File(repeats=2)]
    told = audit(case_of(files))
    assert get(told, "pictures.long_share").value == pytest.approx(2 / 5)
    assert get(told, "pictures.long_share").pictures == (1, 0)
    assert get(told, "pictures.longest_ratio").value == 5


def test_an_empty_dataset_gives_reasons() -> None:
    assert all(one.value is None and one.reason for one in audit(case_of([])))
