"""Heads that the trainer cuts off, with and without buckets, centred and random, turned and not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from lora_doctor.audits.bucket_crops import _turned, audit, head_of
from lora_doctor.types import Case, FaceReading, Measurement, Reading, TrainingSettings
from lora_doctor.types import Subset as TrainedSubset
from tests.audits.make_case import get
from tests.audits.make_pictures import File, case_of

TOP = (40.0, 10.0, 80.0, 60.0)
"""A face near the top of a picture of 128 x 256."""
MIDDLE = (40.0, 110.0, 80.0, 150.0)
TALL = (128, 256)
AT_128 = TrainingSettings(resolution=128)


def subset(**options: Any) -> TrainedSubset:
    return TrainedSubset(folder=Path("a"), **{"bucket_step": 8, "bucket_bounds": (32, 512), **options})


def told(case: Case, **where: str) -> Measurement:
    return get(audit(case), "pictures.head_cut_share", **where)


def tall(face: tuple[float, float, float, float] | None, **options: Any) -> Case:
    return case_of([File(size=TALL, face=face)], training=AT_128, subsets=(subset(**options),))


def test_a_square_crop_cuts_the_head_off_a_tall_picture() -> None:
    cut = told(tall(TOP, buckets=False))
    assert (cut.value, cut.reason, cut.pictures) == (1.0, None, (0,))


def test_a_head_in_the_middle_survives_it() -> None:
    assert told(tall(MIDDLE, buckets=False)).value == 0


def test_buckets_keep_it() -> None:
    assert told(tall(TOP, buckets=True)).value == 0


def test_a_picture_longer_than_the_longest_bucket_loses_its_head_all_the_same() -> None:
    case = tall(TOP, buckets=True, bucket_bounds=(112, 144))
    assert told(case).value == 1


def test_where_nothing_is_said_buckets_are_assumed_and_it_says_so() -> None:
    case = tall(TOP, buckets=None)
    assumed = told(case)
    assert assumed.value == 0 and assumed.reason and "assumed (100% without)" in assumed.reason
    assert told(case, buckets="off").value == 1
    assert get(audit(case), "pictures.bucketed_share").value is None


def test_what_does_not_hang_on_buckets_is_told_without_a_caveat() -> None:
    case = case_of([File(size=(128, 128), face=(30, 20, 90, 80))], training=AT_128)
    assert told(case).reason is None and told(case).value == 0
    assert [one.where for one in audit(case) if one.name == "pictures.head_cut_share"] == [{}]


def test_the_hair_above_the_face_belongs_to_the_head() -> None:
    # The crop leaves rows 64 to 192: the face begins at 70, half of its hair at 58.
    assert told(tall((40, 70, 80, 130), buckets=False)).value == 1
    assert told(tall((40, 80, 80, 140), buckets=False)).value == 0


def test_what_the_picture_does_not_show_cannot_be_cut() -> None:
    case = case_of([File(size=(128, 128), face=(-5, -20, 140, 150))], training=AT_128, subsets=(subset(buckets=False),))
    assert told(case).value == 0


def test_random_crops_cut_a_head_as_often_as_they_miss_it() -> None:
    # Windows of 128 of 256 rows; head from 104 - 8 = 96 to 142 (5 % of the face may go): offsets 14 to 96 of 0 to 128.
    case = tall((40.0, 104.0, 80.0, 144.0), buckets=False, random_crop=True)
    assert told(case).value == pytest.approx(1 - 83 / 129)
    assert get(audit(case), "pictures.random_crop_share").value == 1


def test_shares_are_weighted_by_repeats_and_worst_come_first() -> None:
    files = [File(size=TALL, face=MIDDLE, repeats=3), File(size=TALL, face=TOP), File(size=TALL)]
    case = case_of(files, training=AT_128, subsets=(subset(buckets=False),))
    cut = told(case)
    assert (cut.value, cut.n, cut.pictures) == (0.25, 2, (1,))


def test_no_face_gives_a_reason_not_zero() -> None:
    for case in (tall(None, buckets=False), case_of([File(readable=False)]), case_of([])):
        none = told(case)
        assert none.value is None and none.reason == "no face was found in any picture"


def test_without_a_resolution_the_pictures_own_area_is_taken() -> None:
    case = case_of([File(size=TALL, face=TOP)], subsets=(subset(buckets=False),))
    assert told(case).value == 1


def test_readings_of_a_reduced_copy_are_taken_in_shares() -> None:
    case = tall(TOP, buckets=False)
    reading = case.references[0]
    assert reading is not None
    half = replace(reading, width=64, height=128, face=replace(reading.face, box=(20.0, 5.0, 40.0, 30.0)))
    assert told(replace(case, references=(half,))).value == 1
    assert head_of(half) == pytest.approx(head_of(reading))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_turns_as_its_picture_does(orientation: int) -> None:
    stored = Image.new("L", (80, 40))
    stored.paste(255, (10, 5, 30, 15))
    exif = stored.getexif()
    exif[0x0112] = orientation
    upright = ImageOps.exif_transpose(stored)
    box = upright.getbbox()
    assert box is not None
    shares = tuple(side / (upright.height if i % 2 else upright.width) for i, side in enumerate(box))
    assert _turned((10 / 80, 5 / 40, 30 / 80, 15 / 40), orientation) == pytest.approx(shares)


@pytest.mark.parametrize("obeys", [True, None])
def test_heads_are_looked_at_upright_and_cut_as_the_trainer_opens_the_picture(obeys: bool | None) -> None:
    """Stored on its side: a square crop takes off the top once it is turned, or the left, which is the same end."""
    sideways: dict[str, Any] = {"size": (256, 128), "facts": {"orientation": 6}, "looked_at": TALL}
    options = {"buckets": False, "obeys_orientation": obeys}
    case = case_of([File(**sideways, face=TOP), File(**sideways, face=MIDDLE)], training=AT_128,
                   subsets=(subset(**options),))  # fmt: skip
    assert told(case).pictures == (0,)
    wide = subset(buckets=False, obeys_orientation=obeys, resolution=(256, 128))
    cut = told(replace(case, dataset=replace(case.dataset, subsets=(wide,))))
    assert bool(cut.pictures) is (obeys is True), "a wide crop holds the whole picture only as it is stored"


def test_the_area_that_is_lost() -> None:
    lost = get(audit(tall(TOP, buckets=False)), "pictures.area_lost")
    assert lost.value == pytest.approx(0.5) and lost.pictures == (0,)
    assert get(audit(tall(TOP, buckets=True)), "pictures.area_lost").value == pytest.approx(0, abs=0.03)
    assert get(audit(case_of([])), "pictures.area_lost").value is None


def test_a_face_without_a_box_is_no_head() -> None:
    assert head_of(Reading(width=10, height=10, face=FaceReading(faces=0), probabilities={})) is None
    assert head_of(None) is None
