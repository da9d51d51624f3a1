"""The visible x captioned table, and whether pictures show the tokens of most captions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lora_doctor.audits.bindings import audit
from lora_doctor.types import IN_CONTEXT, Measurement
from tests.audits.make_case import LABEL_SETS, Picture, get, make_case


def hair(label: str, caption: str | None, repeats: int = 1) -> Picture:
    return Picture(caption=caption, repeats=repeats, labels={"hair_colour": label, "framing": "close-up"})


def place(label: str, caption: str | None) -> Picture:
    return Picture(role=IN_CONTEXT, caption=caption, labels={"environment": label, "framing": "full_body"})


def found(*pictures: Picture) -> list[Measurement]:
    return audit(make_case(pictures))


def test_a_trait_captioned_nowhere_is_visible_and_not_captioned() -> None:
    told = found(*[hair("white_hair", "1girl")] * 20)
    assert (get(told, "binding.trait_visible", attribute="hair_colour").value or 0) > 0.97
    assert get(told, "binding.trait_captioned", attribute="hair_colour").value == 0
    assert get(told, "binding.captioned", attribute="hair_colour").value == 0


def test_half_the_captions_are_half_and_name_the_pictures_that_lack_it() -> None:
    told = found(*[hair("white_hair", "white_hair")] * 10, *[hair("white_hair", "1girl")] * 10)
    one = get(told, "binding.trait_captioned", attribute="hair_colour")
    assert one.value == pytest.approx(0.5) and set(one.pictures) == set(range(10, 20))


def test_repeats_count() -> None:
    told = found(hair("white_hair", "white_hair", 3), hair("white_hair", "1girl", 1))
    assert get(told, "binding.trait_captioned", attribute="hair_colour").value == pytest.approx(0.75)


def test_another_label_in_the_caption_is_any_and_not_the_own() -> None:
    told = found(*[hair("white_hair", "black_hair")] * 10)
    assert get(told, "binding.captioned", attribute="hair_colour").value == 1
    assert get(told, "binding.trait_captioned", attribute="hair_colour").value == 0


def test_each_of_several_captions_counts_in_part() -> None:
    case = make_case([hair("white_hair", "white_hair")] * 8)
    images = tuple(replace(image, variants=("white_hair, smile", "smile")) for image in case.dataset.images)
    told = audit(replace(case, dataset=replace(case.dataset, images=images)))
    assert get(told, "binding.trait_captioned", attribute="hair_colour").value == pytest.approx(0.5)


def test_environments_are_those_of_in_context_pictures_and_backdrops_are_none() -> None:
    portrait = Picture(caption="", labels={"environment": "beach", "framing": "close-up"})
    told = found(*[place("library", "library")] * 6, *[place("simple_background", "")] * 6, *[portrait] * 6)
    assert {m.where["environment"] for m in told if "environment" in m.where} == {"library"}
    assert get(told, "binding.captioned", attribute="environment").value == pytest.approx(1)


def test_hidden_attributes_have_a_reason_and_no_zero() -> None:
    told = found(*[hair("white_hair", "slender")] * 3)
    one = get(told, "binding.captioned", attribute="body")
    assert one.value is None and one.reason == "no picture that shows body could be read"


def test_an_unsure_instrument_cannot_tell() -> None:
    case = make_case([hair("white_hair", "white_hair")] * 20)
    flat = tuple(
        None if r is None else replace(r, probabilities={k: v * 0 + 1 / len(v) for k, v in r.probabilities.items()})
        for r in case.references
    )
    told = audit(replace(case, references=flat))
    one = get(told, "binding.trait_visible", attribute="hair_colour")
    assert one.value is None and one.reason is not None and one.reason.startswith("CLIP is too unsure")
    assert get(told, "captions.token_visible_share", token="white_hair").value is None


def test_looks_that_captions_tell_apart_are_told_and_others_are_not() -> None:
    both = ("white_hair", "red_hair")
    told = found(*[hair(both[i % 2], both[i % 2]) for i in range(20)])
    assert (get(told, "binding.trait_told", attribute="hair_colour").value or 0) > 0.9
    wrong = found(*[hair(both[i % 2], "white_hair") for i in range(20)])
    one = get(wrong, "binding.trait_told", attribute="hair_colour")
    assert one.value == pytest.approx(0.5, abs=0.03) and set(one.pictures) == set(range(1, 20, 2))


def test_without_a_spec_the_most_usual_label_is_the_characters() -> None:
    pictures = [hair("red_hair", "red_hair")] * 5 + [hair("black_hair", "")] * 4 + [hair("white_hair", "")] * 3
    told = audit(make_case(pictures, spec={}))
    assert get(told, "binding.trait_visible", attribute="hair_colour").value == pytest.approx(5 / 12, abs=0.03)


# ---------------------------------------------------------------- tokens


def test_a_token_that_the_pictures_show_and_one_of_captions_alone_are_told_apart() -> None:
    shown = found(*[place("library", "library, 1girl")] * 12)
    assert (get(shown, "captions.token_visible_share", token="library").value or 0) > 0.95
    places = ("beach", "night_sky", "simple_background")
    habit = found(*[place(places[i % 3], "library, 1girl") for i in range(12)])
    one = get(habit, "captions.token_visible_share", token="library")
    assert one.value is not None and one.value < 0.1 and len(one.pictures) == 12


def test_a_token_no_label_set_has_gets_a_reason() -> None:
    one = get(
        found(*[place("library", "library, holding_book")] * 4), "captions.token_visible_share", token="holding_book"
    )
    assert one.value is None and one.reason is not None and "no label set" in one.reason


def test_a_token_of_a_hidden_attribute_gets_a_reason() -> None:
    one = get(found(*[hair("white_hair", "red_shirt")] * 4), "captions.token_visible_share", token="red_shirt")
    assert (one.value, one.reason) == (None, "no picture whose caption has it shows top")


def test_a_rare_token_is_not_asked() -> None:
    told = found(place("library", "library"), *[place("beach", "1girl")] * 9)
    assert not [m for m in told if m.where.get("token") == "library"]


def test_no_pictures_and_no_captions_raise_nothing() -> None:
    assert all(m.value is None for m in audit(make_case([])))
    assert "top" in LABEL_SETS and found(Picture(caption=None, readable=False))
