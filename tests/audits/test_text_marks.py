"""Shares of pictures with writing, and where it stands."""

from __future__ import annotations

from typing import Any

import pytest

from lora_doctor.audits.text_marks import SMALLEST, audit
from lora_doctor.types import Measurement
from tests.audits.make_case import get
from tests.audits.make_pictures import File, case_of

LOGO = (0.7, 0.92, 0.98, 0.96)
PLACES = [(0.1, 0.1, 0.4, 0.14), (0.5, 0.3, 0.8, 0.35), (0.2, 0.55, 0.5, 0.6), (0.6, 0.75, 0.9, 0.8)]


def picture(*text: tuple[float, float, float, float], **other: Any) -> File:
    return File(**{"size": (512, 512), "facts": {"text": text}, **other})


def told(name: str, files: list[File]) -> Measurement:
    return get(audit(case_of(files)), f"pictures.{name}")


def test_the_share_is_weighted_by_repeats_and_most_written_come_first() -> None:
    found = told("text_share", [picture(repeats=2), picture(LOGO), picture(*PLACES)])
    assert found.value == pytest.approx(0.5) and found.pictures == (2, 1)


def test_the_interval_knows_that_some_is_missed_and_some_is_none() -> None:
    seen = told("text_share", [picture(LOGO)] * 10 + [picture()] * 30)
    assert seen.interval is not None and seen.interval[0] < 0.25 - 0.02 and seen.interval[1] > 0.25 / 0.55
    none = told("text_share", [picture()] * 40)
    assert none.value == 0 and none.interval is not None
    assert none.interval[0] == 0 and 0.05 < none.interval[1] < 0.15  # of four all may have been missed


def test_writing_at_one_place_is_told_from_writing_all_over() -> None:
    marked = [picture(LOGO, PLACES[n % 4]) for n in range(6)] + [picture() for _ in range(6)]
    assert told("same_place_text_share", marked).value == pytest.approx(0.5)
    assert told("text_at_one_place_share", marked).value == 1
    scattered = [picture(PLACES[n % 4]) for n in range(8)]
    assert told("text_at_one_place_share", scattered).value == pytest.approx(0.25)


def test_a_single_picture_has_no_place_of_its_own() -> None:
    found = told("same_place_text_share", [picture(LOGO), picture(), picture()])
    assert found.value == 0 and found.pictures == ()


def test_writing_along_an_edge() -> None:
    files = [picture(LOGO), picture((0.1, 0.02, 0.5, 0.08)), picture(LOGO, PLACES[1]), picture(PLACES[2]), picture()]
    found = told("text_at_border_share", files)
    assert found.value == pytest.approx(0.5) and found.pictures == (0, 1)


def test_a_box_beyond_the_picture_is_no_error() -> None:
    assert told("same_place_text_share", [picture((0.9, 0.99, 1.0, 1.0)), picture((0.9, 0.99, 1.0, 1.0))]).value == 1


def test_pictures_too_small_to_read_are_not_counted() -> None:
    small = File(size=(600, SMALLEST - 1), facts={"text": ()})
    found = told("text_share", [small, picture(LOGO)])
    assert (found.value, found.n) == (1.0, 1) and found.reason == "1 pictures are too small to tell"
    for one in audit(case_of([small, small])):
        assert one.value is None and one.reason and "too small" in one.reason


def test_without_writing_there_is_no_place_of_it() -> None:
    for name in ("text_at_one_place_share", "text_at_border_share"):
        assert told(name, [picture(), picture()]).reason == "no writing was seen"


def test_pictures_that_were_not_searched_give_a_reason() -> None:
    for files in ([], [File(facts=None)]):
        assert all(one.value is None and one.reason for one in audit(case_of(files)))
