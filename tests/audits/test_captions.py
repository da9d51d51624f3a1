"""Missing, empty and unreadable captions are counted apart; class words are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lora_doctor.audits.captions import audit
from lora_doctor.types import Case, Measurement, Skipped
from tests.audits.make_case import Picture, get, make_case


def with_skipped(case: Case, *names: str, kind: str = "caption") -> list[Measurement]:
    skipped = tuple(Skipped(path=Path(name), kind=kind, reason="is not UTF-8: byte 3.") for name in names)  # type: ignore[arg-type]
    return audit(replace(case, dataset=replace(case.dataset, skipped=skipped)))


def test_missing_and_empty_captions_are_missing() -> None:
    found = audit(
        make_case([Picture(caption="a"), Picture(caption=None), Picture(caption=" ,\n"), Picture(caption="b")])
    )
    missing = get(found, "captions.missing_share")
    assert (missing.value, missing.pictures) == (0.5, (1, 2))


def test_repeats_count() -> None:
    found = audit(make_case([Picture(caption="a"), Picture(caption=None, repeats=3)]))
    assert get(found, "captions.missing_share").value == 0.75


def test_an_unreadable_caption_is_not_also_missing() -> None:
    found = with_skipped(make_case([Picture(caption="a"), Picture(caption=None), Picture(caption=None)]), "1.txt")
    assert get(found, "captions.missing_share").pictures == (2,)
    unreadable = get(found, "captions.unreadable")
    assert (unreadable.value, unreadable.pictures) == (1.0, (1,))


def test_other_skipped_files_are_no_captions() -> None:
    found = with_skipped(make_case([Picture(caption="a"), Picture(caption=None)]), "1.png", kind="picture")
    assert get(found, "captions.unreadable").value == 0.0
    assert get(found, "captions.missing_share").value == 0.5


def test_a_caption_file_of_no_picture_is_counted_and_names_none() -> None:
    found = get(with_skipped(make_case([Picture(caption="a")]), "elsewhere.txt"), "captions.unreadable")
    assert (found.value, found.pictures) == (1.0, ())


@pytest.mark.parametrize(
    "caption", ["1girl, white_hair", "White_Hair, 1GIRL", "ohwx woman", "yuki_nk, a young woman with a book in hand"]
)
def test_a_class_word_is_found_in_tags_and_prose(caption: str) -> None:
    assert get(audit(make_case([Picture(caption=caption)])), "captions.class_word_coverage").value == 1.0


def test_captions_without_a_class_word_are_told() -> None:
    found = audit(make_case([Picture(caption="1girl, a"), Picture(caption="1girl, b"), Picture(caption="yuki_nk, c")]))
    coverage = get(found, "captions.class_word_coverage")
    assert (coverage.value, coverage.pictures) == (pytest.approx(2 / 3), (2,))
    assert get(found, "captions.class_word_share", word="1girl").value == pytest.approx(2 / 3)


def test_what_cannot_be_said_has_a_reason() -> None:
    found = audit(make_case([Picture(caption=None)]))
    assert get(found, "captions.class_word_coverage").reason == "no picture has a caption"
    assert get(audit(make_case([])), "captions.missing_share").reason == "the dataset is empty"
