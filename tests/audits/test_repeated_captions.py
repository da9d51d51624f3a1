"""Captions that pictures share, and whether the pictures differ."""

from __future__ import annotations

import pytest

from lora_doctor.audits.repeated_captions import audit
from tests.audits.make_case import LABEL_SETS, Picture, get, make_case, reading_of


def showing(caption: str, repeats: int = 1, **labels: str) -> Picture:
    return Picture(caption=caption, labels=labels, repeats=repeats)


def sure(pictures: list[Picture]) -> list[float]:
    """Readings of `make_case` are 0.9 sure, which is not certain; here they are."""
    case = make_case(pictures)
    for reading in case.references:
        for row in () if reading is None else reading.probabilities.values():
            row[:] = (row == row.max()) * 0.98 + 0.02 / len(row)
    found = audit(case)
    different = get(found, "captions.identical_yet_different_share")
    assert different.value is not None and different.interval is not None
    assert different.interval[0] <= different.value == different.interval[1]
    return [different.value, *different.pictures]


def test_the_order_of_tags_makes_no_other_caption() -> None:
    pictures = [Picture(caption="a, b, c"), Picture(caption="c, a, b"), Picture(caption="a, b")]
    found = audit(make_case(pictures))
    assert get(found, "captions.distinct_share").value == pytest.approx(2 / 3)
    largest = get(found, "captions.largest_group_share")
    assert (largest.value, largest.pictures) == (pytest.approx(2 / 3), (0, 1))


def test_distinct_captions_have_no_group() -> None:
    found = audit(make_case([Picture(caption="a"), Picture(caption="b")]))
    assert get(found, "captions.near_identical_share").value == 0.0
    assert get(found, "captions.largest_group_share").value == 0.0


def test_nearly_identical_prose_is_found_and_repeats_count() -> None:
    text = (
        "a girl with long white hair and blue eyes sits on a wooden chair in the old library reading a thick red book"
    )
    pictures = [Picture(caption=text), Picture(caption=f"{text} quietly", repeats=2), Picture(caption="b", repeats=1)]
    found = get(audit(make_case(pictures)), "captions.near_identical_share")
    assert (found.value, found.pictures) == (0.75, (0, 1))
    assert get(audit(make_case(pictures)), "captions.distinct_share").value == 1.0


def test_one_caption_for_different_places_is_told_with_all_its_pictures() -> None:
    same = [showing("1girl", environment="library")] * 2
    assert sure([*same, showing("1girl", environment="beach"), showing("other", environment="beach")]) == [
        0.25,
        2,
        0,
        1,
    ]


def test_pictures_that_look_alike_may_share_a_caption() -> None:
    assert sure([showing("1girl", environment="library")] * 4) == [0.0]


def test_two_pictures_that_differ_are_both_told() -> None:
    assert sure([showing("a", environment="beach"), showing("a", environment="library"), showing("b")]) == [
        pytest.approx(2 / 3), 0, 1,
    ]  # fmt: skip


def test_what_the_framing_hides_makes_no_difference() -> None:
    pictures = [showing("a", top=top, framing="close-up") for top in ("red_shirt", "blue_shirt")]
    assert sure(pictures) == [0.0]


def test_an_uncertain_reading_makes_no_difference() -> None:
    reading = reading_of(showing("a", environment="beach"))
    assert reading is not None and reading.probabilities["environment"].max() <= 0.9
    found = audit(make_case([showing("a", environment="beach"), showing("a", environment="library")]))
    assert get(found, "captions.identical_yet_different_share").value == 0.0


def test_what_cannot_be_said_has_a_reason() -> None:
    name = "captions.identical_yet_different_share"
    assert get(audit(make_case([Picture(caption=None)])), name).reason == "no picture has a caption"
    assert get(audit(make_case([Picture(caption="a", readable=False)])), name).reason == "no picture could be read"
    identity = {"hair_colour": LABEL_SETS["hair_colour"]}
    found = audit(make_case([Picture(caption="a")], label_sets=identity))
    assert get(found, name).reason == "there are no such label sets"
    assert get(audit(make_case([])), "captions.distinct_share").value is None
