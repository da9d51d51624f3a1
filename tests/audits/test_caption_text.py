"""Style and length of captions, and what the text encoder does not read of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lora_doctor.audits.caption_text import audit
from lora_doctor.types import Case, LoraFile, Measurement, Subset, TrainingSettings
from tests.audits.make_case import Picture, get, make_case

TAGS = Picture(caption="1girl, yuki_nk, white_hair, athletic, tall, library")
PROSE = Picture(caption="yuki_nk is a tall girl with white hair who sits in a library and reads.")
FILLER = ", ".join(f"token number {n}" for n in range(30))
SPEC = {"hair_colour": "white_hair"}


def with_subset(case: Case, **habits: object) -> list[Measurement]:
    subset = Subset(folder=Path("d"), **habits)  # type: ignore[arg-type]
    return audit(replace(case, dataset=replace(case.dataset, subsets=(subset,))))


def of_family(case: Case, family: str) -> list[Measurement]:
    file: LoraFile = replace(case.lora, family=family)  # type: ignore[type-var, assignment]
    return audit(replace(case, lora=file))


def test_styles_are_told_per_caption() -> None:
    found = audit(make_case([TAGS, TAGS, TAGS, PROSE]))
    assert get(found, "captions.prose_share").value == 0.25
    mixed = get(found, "captions.mixed_styles")
    assert (mixed.value, mixed.pictures) == (0.25, (3,))
    assert get(audit(make_case([TAGS, PROSE, PROSE])), "captions.mixed_styles").pictures == (0,)
    assert get(audit(make_case([PROSE, PROSE])), "captions.mixed_styles").value == 0.0


@pytest.mark.parametrize(("family", "share"), [("flux", 0.5), ("sdxl", 0.0), ("miniature", 0.0)])
def test_tags_do_not_suit_a_model_that_was_trained_on_sentences(family: str, share: float) -> None:
    assert get(of_family(make_case([TAGS, PROSE]), family), "captions.unsuited_style_share").value == share


def test_an_unknown_base_model_is_a_reason() -> None:
    for case in (make_case([TAGS]), replace(make_case([TAGS]), lora=None)):
        found = get(of_family(case, "unknown") if case.lora else audit(case), "captions.unsuited_style_share")
        assert (found.value, found.reason) == (None, "the base model is not known")


def test_the_tenth_shortest_caption_is_told_with_its_pictures() -> None:
    pictures = [TAGS] * 8 + [Picture(caption="yuki_nk")] * 2
    found = audit(make_case(pictures))
    short = get(found, "captions.words", quantile="10")
    assert (short.value, short.pictures) == (2.0, (8, 9))
    assert get(found, "captions.words", quantile="50").value == 8.0
    assert get(audit(make_case([TAGS] * 19 + [Picture(caption="a")])), "captions.words", quantile="10").value == 8.0


def test_repeats_move_a_quantile() -> None:
    pictures = [TAGS, Picture(caption="yuki_nk", repeats=9)]
    assert get(audit(make_case(pictures)), "captions.words", quantile="50").value == 2.0


def test_captions_in_the_window_lose_nothing_whatever_the_trainer_reads() -> None:
    found = audit(make_case([TAGS]))
    for name in ("captions.cut_off_share", "captions.cut_off_identity_share"):
        assert (get(found, name).value, get(found, name).reason) == (0.0, None)


def test_long_captions_are_cut_and_the_assumed_window_is_a_caveat() -> None:
    long = Picture(caption=f"1girl, yuki_nk, white_hair, {FILLER}")
    found = audit(make_case([TAGS, long], spec=SPEC))
    cut = get(found, "captions.cut_off_share")
    assert (cut.value, cut.pictures, "assumed" in (cut.reason or "")) == (0.5, (1,), True)
    assert get(found, "captions.cut_off_identity_share").value == 0.0
    told = with_subset(make_case([TAGS, long], spec=SPEC), max_tokens=75)
    assert (get(told, "captions.cut_off_share").value, get(told, "captions.cut_off_share").reason) == (0.5, None)
    wide = with_subset(make_case([TAGS, long], spec=SPEC), max_tokens=225)
    assert get(wide, "captions.cut_off_share").value == 0.0


@pytest.mark.parametrize("end", ["yuki_nk", "White_Hair"])
def test_an_identity_token_at_the_end_of_a_long_caption_is_lost(end: str) -> None:
    found = with_subset(make_case([Picture(caption=f"1girl, {FILLER}, {end}"), TAGS], spec=SPEC), max_tokens=75)
    lost = get(found, "captions.cut_off_identity_share")
    assert (lost.value, lost.pictures) == (0.5, (0,))
    twice = with_subset(make_case([Picture(caption=f"{end}, {FILLER}, {end}")], spec=SPEC), max_tokens=75)
    assert get(twice, "captions.cut_off_identity_share").value == 0.0


def test_shuffled_captions_may_lose_any_token_and_say_so() -> None:
    long = Picture(caption=f"1girl, yuki_nk, white_hair, {FILLER}")
    for found in (
        with_subset(make_case([long], spec=SPEC), max_tokens=75, shuffle=True),
        audit(make_case([long], spec=SPEC, training=TrainingSettings(shuffle_captions=True))),
    ):
        lost = get(found, "captions.cut_off_identity_share")
        assert (lost.value, "shuffled" in (lost.reason or "")) == (1.0, True)


def test_a_model_that_reads_with_another_encoder_is_not_counted_with_clip() -> None:
    found = get(of_family(make_case([TAGS]), "flux"), "captions.cut_off_share")
    assert (found.value, "another text encoder" in (found.reason or "")) == (None, True)


def test_no_caption_is_a_reason() -> None:
    found = audit(make_case([Picture(caption=None)]))
    names = ("captions.prose_share", "captions.mixed_styles", "captions.cut_off_share")
    assert {get(found, name).reason for name in names} == {"no picture has a caption"}
    assert get(found, "captions.words", quantile="10").reason == "no picture has a caption"
