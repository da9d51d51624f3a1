"""The trigger's coverage, spellings, place and the chance that it is dropped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lora_doctor.audits.trigger import audit
from lora_doctor.types import Case, Measurement, Subset, TrainingSettings
from tests.audits.make_case import Picture, get, make_case

RIGHT = Picture(caption="1girl, yuki_nk, white_hair")


def with_subset(case: Case, **habits: object) -> list[Measurement]:
    subset = Subset(folder=Path("d"), **habits)  # type: ignore[arg-type]
    return audit(replace(case, dataset=replace(case.dataset, subsets=(subset,))))


def test_healthy_captions_hold_the_trigger_in_one_spelling() -> None:
    found = audit(make_case([RIGHT, RIGHT]))
    assert get(found, "captions.trigger_coverage").value == 1.0
    assert get(found, "captions.trigger_missing_share").value == 0.0
    assert get(found, "captions.trigger_misspelt_share").value == 0.0
    assert get(found, "captions.trigger_spelling_share", spelling="yuki_nk").value == 1.0
    assert get(found, "captions.trigger_spelling_edits", spelling="yuki_nk").value == 0.0


def test_a_missing_caption_lacks_the_trigger_but_is_no_caption_without_it() -> None:
    found = audit(make_case([RIGHT, Picture(caption=None)]))
    coverage = get(found, "captions.trigger_coverage")
    assert (coverage.value, coverage.pictures) == (0.5, (1,))
    assert get(found, "captions.trigger_missing_share").value == 0.0


def test_repeats_count() -> None:
    found = audit(make_case([RIGHT, Picture(caption="1girl", repeats=3)]))
    assert get(found, "captions.trigger_coverage").value == 0.25
    missing = get(found, "captions.trigger_missing_share")
    assert (missing.value, missing.pictures) == (0.75, (1,))


def test_every_caption_of_a_picture_counts_equally() -> None:
    case = make_case([RIGHT, RIGHT])
    images = (case.dataset.images[0], replace(case.dataset.images[1], variants=("1girl, yuki_nk", "1girl, beach")))
    found = audit(replace(case, dataset=replace(case.dataset, images=images)))
    assert get(found, "captions.trigger_coverage").value == 0.75
    assert get(found, "captions.trigger_missing_share").value == 0.25


def test_a_misspelt_trigger_is_named_and_not_missing() -> None:
    found = audit(make_case([RIGHT] * 8 + [Picture(caption="1girl, yuki_n, beach"), Picture(caption="1girl, beach")]))
    assert get(found, "captions.trigger_coverage").value == pytest.approx(0.8)
    missing = get(found, "captions.trigger_missing_share")
    assert (missing.value, missing.pictures) == (pytest.approx(0.1), (9,))
    wrong = get(found, "captions.trigger_spelling_share", spelling="yuki_n")
    assert (wrong.value, wrong.pictures) == (pytest.approx(0.1), (8,))
    assert get(found, "captions.trigger_spelling_edits", spelling="yuki_n").value == 1.0


def test_other_separators_are_misspelt_and_other_capitals_only_told() -> None:
    found = audit(
        make_case([RIGHT] * 7 + [Picture(caption=f"1girl, {way}") for way in ("yuki-nk", "yuki nk", "Yuki_NK")])
    )
    assert get(found, "captions.trigger_misspelt_share").value == pytest.approx(0.2)
    assert get(found, "captions.trigger_case_share").value == pytest.approx(0.1)
    assert get(found, "captions.trigger_missing_share").value == 0.0


def test_a_trigger_of_several_pieces_needs_them_all() -> None:
    pictures = [Picture(caption="yuki_nk, 1girl, white dress"), Picture(caption="yuki_nk, 1girl")]
    assert get(audit(make_case(pictures, trigger="yuki_nk, white dress")), "captions.trigger_coverage").value == 0.5


def test_places_are_counted_from_one() -> None:
    late = Picture(caption="1girl, white_hair, library, sitting, smile, yuki_nk")
    found = audit(make_case([RIGHT] * 8 + [late] * 2))
    place = get(found, "captions.trigger_place", quantile="90")
    assert (place.value, place.pictures) == (6.0, (8, 9))
    assert get(found, "captions.trigger_place_share", place="second").value == pytest.approx(0.8)
    assert get(found, "captions.trigger_place_share", place="later").value == pytest.approx(0.2)
    assert get(audit(make_case([RIGHT] * 19 + [late])), "captions.trigger_place", quantile="90").value == 2.0


@pytest.mark.parametrize(("kept", "rate", "lost"), [(1, 0.3, 0.3), (2, 0.3, 0.0), (0, 0.1, 0.1), (1, 0.0, 0.0)])
def test_a_trigger_behind_the_kept_tokens_is_dropped_with_them(kept: int, rate: float, lost: float) -> None:
    found = with_subset(make_case([RIGHT]), keep_tokens=kept, caption_token_dropout=rate)
    assert get(found, "captions.trigger_dropped_share").value == pytest.approx(lost)
    config = TrainingSettings(keep_tokens=kept, caption_token_dropout=rate)
    found = audit(make_case([RIGHT], training=config))
    assert get(found, "captions.trigger_dropped_share").value == pytest.approx(lost)


@pytest.mark.parametrize(
    ("caption", "lost"),
    [
        ("1girl, yuki_nk ||| white_hair, smile", 0.0),
        ("1girl ||| white_hair, yuki_nk", 0.3),
        ("1girl ||| white_hair ||| yuki_nk", 0.0),
        ("1girl, yuki_nk, white_hair", 0.3),
        ("yuki_nk, 1girl, white_hair", 0.0),
    ],
)
def test_the_kept_part_of_a_caption_is_never_dropped_and_stands_for_the_kept_tokens(caption: str, lost: float) -> None:
    case = make_case([Picture(caption=caption)])
    found = with_subset(case, keep_separator="|||", keep_tokens=1, caption_token_dropout=0.3)
    assert get(found, "captions.trigger_dropped_share").value == pytest.approx(lost)


def test_lora_doctors_own_trainer_drops_no_trigger() -> None:
    config = TrainingSettings(trainer="lora-doctor", caption_token_dropout=0.3)
    assert get(audit(make_case([RIGHT], training=config)), "captions.trigger_dropped_share").value == 0.0


def test_the_trainers_separator_tells_places() -> None:
    found = with_subset(make_case([Picture(caption="1girl, solo; yuki_nk")]), separator=";")
    assert get(found, "captions.trigger_place", quantile="90").value == 2.0


def test_what_cannot_be_said_has_a_reason() -> None:
    found = audit(make_case([RIGHT]))
    assert "does not say" in (get(found, "captions.trigger_dropped_share").reason or "")
    unknown = audit(make_case([RIGHT], trigger=""))
    assert {m.reason for m in unknown} == {"no trigger is known"}
    assert all(m.value is None for m in unknown)
    nothing = audit(make_case([Picture(caption=None)]))
    assert get(nothing, "captions.trigger_coverage").value == 0.0
    assert get(nothing, "captions.trigger_missing_share").reason == "no picture has a caption"
    absent = audit(make_case([Picture(caption="1girl")]))
    assert get(absent, "captions.trigger_place", quantile="90").reason == "no caption holds the trigger"


@pytest.mark.parametrize(
    ("trigger", "listed", "common"),
    [("yuki_nk", 0.0, False), ("ohwx", 0.0, False), ("emma", 0.0, True), ("woman", 1.0, True), ("1girl", 1.0, False),
     ("white_hair", 1.0, True), ("masterpiece", 1.0, False)],
)  # fmt: skip
def test_ordinary_words_are_told_from_made_up_ones(trigger: str, listed: float, common: bool) -> None:
    found = audit(make_case([RIGHT], trigger=trigger))
    assert get(found, "captions.trigger_listed").value == listed
    assert ((get(found, "captions.trigger_word_rank").value or 0) < 10_000) is common
