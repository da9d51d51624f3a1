"""Captions hold the trigger and the tokens of the spec, or not."""

from __future__ import annotations

import pytest

from lora_doctor.audits.captions import audit
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, TrainingSettings
from tests.audits.make_case import Picture, get, make_case

FACE = Picture(role=IDENTITY_EMPHASIS, caption="1girl, yuki_nk, white_hair, close-up")
BODY = Picture(role=IN_CONTEXT, caption="1girl, yuki_nk, white_hair, athletic, tall, library")


def test_whole_captions_are_fully_covered_but_for_the_face_only_ones() -> None:
    found = audit(make_case([FACE, BODY, BODY]))
    assert get(found, "captions.trigger_coverage").value == 1.0
    assert get(found, "captions.missing_share").value == 0.0
    assert get(found, "captions.identity_token_coverage", attribute="hair_colour").value == 1.0
    assert get(found, "captions.identity_token_coverage", attribute="body").value == pytest.approx(2 / 3)
    assert get(found, "captions.body_token_coverage", role=IDENTITY_EMPHASIS).value == 0.0
    assert get(found, "captions.body_token_coverage", role=IN_CONTEXT).value == 1.0
    assert get(found, "captions.distinct_share").value == pytest.approx(2 / 3)


def test_every_body_token_must_be_there() -> None:
    half = Picture(role=IN_CONTEXT, caption="1girl, tall")
    assert get(audit(make_case([half, BODY])), "captions.body_token_coverage", role=IN_CONTEXT).value == 0.5


def test_another_label_of_the_attribute_is_a_conflict() -> None:
    wrong = Picture(caption="1girl, yuki_nk, black_hair")
    both = Picture(caption="1girl, yuki_nk, white_hair, red_hair")
    found = audit(make_case([FACE, BODY, wrong, both]))
    assert get(found, "captions.identity_token_conflict", attribute="hair_colour").value == 0.5
    assert get(found, "captions.identity_token_coverage", attribute="hair_colour").value == 0.75
    assert get(found, "captions.identity_token_conflict", attribute="body").value == 0.0


def test_a_missing_caption_lacks_the_trigger_and_says_nothing_else() -> None:
    found = audit(make_case([FACE, Picture(caption=None)]))
    assert get(found, "captions.missing_share").value == 0.5
    assert get(found, "captions.trigger_coverage").value == 0.5
    token = get(found, "captions.identity_token_coverage", attribute="hair_colour")
    assert (token.value, token.n) == (1.0, 1)


def test_repeats_count() -> None:
    found = audit(make_case([FACE, Picture(caption="1girl", repeats=3)]))
    assert get(found, "captions.trigger_coverage").value == 0.25


@pytest.mark.parametrize(
    ("caption", "held"),
    [
        ("white_hair", 1.0),
        ("White Hair, 1girl", 1.0),
        ("white  hair", 1.0),
        ("off-white_hair", 0.0),
        ("a girl with long white hair reads a book", 1.0),
        ("a girl whose hair is off-white hairy looking", 0.0),
        ("", 0.0),
    ],
)
def test_a_token_is_a_tag_of_its_own_or_a_phrase_in_prose(caption: str, held: float) -> None:
    found = audit(make_case([Picture(caption=caption)]))
    assert get(found, "captions.identity_token_coverage", attribute="hair_colour").value == held


def test_a_trigger_of_several_pieces_needs_them_all() -> None:
    pictures = [Picture(caption="yuki_nk, 1girl, white dress"), Picture(caption="yuki_nk, 1girl")]
    assert get(audit(make_case(pictures, trigger="yuki_nk, white dress")), "captions.trigger_coverage").value == 0.5


def test_the_order_of_tags_makes_no_other_caption() -> None:
    pictures = [Picture(caption="a, b, c"), Picture(caption="c, a, b"), Picture(caption="a, b")]
    assert get(audit(make_case(pictures)), "captions.distinct_share").value == pytest.approx(2 / 3)


@pytest.mark.parametrize(("tokens", "count"), [(("black_hair", "red_hair"), 2), ((), 0)])
def test_negative_tokens_are_counted(tokens: tuple[str, ...], count: int) -> None:
    found = audit(make_case([FACE], training=TrainingSettings(negative_tokens=tokens)))
    assert get(found, "captions.negative_tokens").value == count


def test_what_cannot_be_said_has_a_reason() -> None:
    found = audit(make_case([Picture(caption=None, role=IN_CONTEXT)]))
    assert get(found, "captions.identity_token_coverage", attribute="body").reason == "no picture has a caption"
    assert get(found, "captions.distinct_share").value is None
    assert get(found, "captions.negative_tokens").reason == "the training config does not say"
    role = get(found, "captions.body_token_coverage", role=IDENTITY_EMPHASIS)
    assert (role.value, role.reason) == (None, "no identity-emphasis picture has a caption")
    bodyless = audit(make_case([FACE], spec={"hair_colour": "white_hair", "tail": "long_tail"}))
    assert get(bodyless, "captions.body_token_coverage", role=IN_CONTEXT).reason == "the spec names no body attribute"
    assert (
        get(bodyless, "captions.identity_token_conflict", attribute="tail").reason == "there is no label set for tail"
    )
