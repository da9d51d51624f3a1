"""Captions hold the tokens of the spec in both roles, or not, or contradict them."""

from __future__ import annotations

import pytest

from lora_doctor.audits.identity_tokens import audit
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, TrainingSettings
from tests.audits.make_case import LABEL_SETS, Picture, get, make_case
from tests.make_label_set import label_set

FACE = Picture(role=IDENTITY_EMPHASIS, caption="1girl, yuki_nk, white_hair, close-up")
BODY = Picture(role=IN_CONTEXT, caption="1girl, yuki_nk, white_hair, athletic, tall, library")
COVERAGE, CONFLICT = "captions.identity_token_coverage", "captions.identity_token_conflict"


def test_whole_captions_are_fully_covered_but_for_the_face_only_ones() -> None:
    found = audit(make_case([FACE, BODY, BODY]))
    assert get(found, COVERAGE, attribute="hair_colour").value == 1.0
    body = get(found, COVERAGE, attribute="body")
    assert (body.value, body.pictures) == (pytest.approx(2 / 3), (0,))
    assert get(found, COVERAGE, attribute="body", role=IDENTITY_EMPHASIS).value == 0.0
    assert get(found, "captions.body_token_coverage", role=IDENTITY_EMPHASIS).value == 0.0
    assert get(found, "captions.body_token_coverage", role=IN_CONTEXT).value == 1.0


def test_every_body_token_must_be_there() -> None:
    half = Picture(role=IN_CONTEXT, caption="1girl, tall")
    found = get(audit(make_case([half, BODY])), "captions.body_token_coverage", role=IN_CONTEXT)
    assert (found.value, found.pictures) == (0.5, (0,))


def test_a_role_without_the_token_is_told() -> None:
    without = Picture(role=IN_CONTEXT, caption="1girl, yuki_nk, library")
    found = audit(make_case([FACE, without]))
    assert get(found, COVERAGE, attribute="hair_colour").value == 0.5
    assert get(found, COVERAGE, attribute="hair_colour", role=IDENTITY_EMPHASIS).value == 1.0
    assert get(found, COVERAGE, attribute="hair_colour", role=IN_CONTEXT).value == 0.0


def test_a_role_is_asked_only_where_the_framing_shows_the_trait() -> None:
    length = label_set("hair_length", "identity", "short_hair long_hair", ("full_body",))
    near = Picture(role=IN_CONTEXT, caption="1girl", labels={"framing": "upper_body"})
    far = Picture(role=IN_CONTEXT, caption="1girl, long_hair", labels={"framing": "full_body"})
    case = make_case([near, far], spec={"hair_length": "long_hair"}, label_sets={**LABEL_SETS, "hair_length": length})
    found = audit(case)
    assert get(found, COVERAGE, attribute="hair_length").value == 0.5
    assert get(found, COVERAGE, attribute="hair_length", role=IN_CONTEXT).value == 1.0


def test_clothes_are_no_identity_tokens() -> None:
    found = audit(make_case([BODY], spec={"top": "red_shirt", "hair_colour": "white_hair"}))
    assert get(found, "spec.identity", attribute="top").value == 0.0
    assert get(found, "spec.identity", attribute="hair_colour").value == 1.0
    assert not [m for m in found if m.name == CONFLICT and m.where["attribute"] == "top"]


def test_another_label_of_the_attribute_is_a_conflict() -> None:
    wrong = Picture(caption="1girl, yuki_nk, black_hair")
    both = Picture(caption="1girl, yuki_nk, white_hair, red_hair")
    found = audit(make_case([FACE, BODY, wrong, both]))
    conflict = get(found, CONFLICT, attribute="hair_colour")
    assert (conflict.value, conflict.pictures) == (0.5, (2, 3))
    assert get(found, COVERAGE, attribute="hair_colour").value == 0.75
    assert get(found, CONFLICT, attribute="body").value == 0.0


@pytest.mark.parametrize(
    ("caption", "conflict"),
    [("athletic", 0.0), ("slender, athletic", 0.0), ("slender", 1.0), ("yuki_nk beside a slender vase", 0.0),
     ("white_hair, black_hair", 1.0),
     ("white_hair, black_hair, multicolored_hair", 0.0), ("2girls, white_hair, black_hair", 0.0),
     ("2girls, black_hair", 1.0), ("a girl with white hair hugs a man with black hair", 0.0),
     ("white hair with black hair ties", 0.0), ("yuki_nk at a counter, a clerk has black hair", 0.0),
     ("yuki_nk, a knight with black hair", 1.0), ("no black hair but white hair is to be seen", 1.0)],
)  # fmt: skip
def test_two_labels_conflict_only_where_they_are_rivals_and_one_persons(caption: str, conflict: float) -> None:
    attribute = "hair_colour" if "hair" in caption else "body"
    assert get(audit(make_case([Picture(caption=caption)])), CONFLICT, attribute=attribute).value == conflict


def test_pictures_tell_wrong_captions_from_wrong_pictures() -> None:
    wrong_caption = Picture(caption="black_hair", labels={"hair_colour": "white_hair"})
    wrong_picture = Picture(caption="black_hair", labels={"hair_colour": "black_hair"})
    seen = "captions.contradiction_seen_share"
    found = get(audit(make_case([FACE, wrong_caption, wrong_picture, wrong_picture])), seen, attribute="hair_colour")
    assert (found.value, found.pictures) == (pytest.approx(2 / 3), (2, 3))
    assert get(audit(make_case([FACE])), seen, attribute="hair_colour").reason == "no caption contradicts the spec"
    unread = Picture(caption="black_hair", readable=False)
    assert get(audit(make_case([unread])), seen, attribute="hair_colour").reason == "no such picture was read"


def test_a_spec_that_no_caption_shares_is_in_doubt() -> None:
    found = audit(make_case([Picture(caption="1girl, black_hair")] * 5))
    for name in (COVERAGE, CONFLICT):
        assert "agree on black_hair" in (get(found, name, attribute="hair_colour").reason or "")
    negatives = audit(make_case([Picture(caption="white_hair, black_hair")] * 5))
    assert get(negatives, CONFLICT, attribute="hair_colour").reason is None


def test_prose_is_a_caveat() -> None:
    """What its words say is found, what they only hint at is not: the share is a lower bound."""
    for caption, share in (("her long hair is white as snow", 1.0), ("her long hair shines like snow in winter", 0.0)):
        found = get(audit(make_case([Picture(caption=caption)])), COVERAGE, attribute="hair_colour")
        assert (found.value, "prose" in (found.reason or "")) == (share, True)


@pytest.mark.parametrize(
    ("caption", "held"),
    [
        ("white_hair", 1.0),
        ("White Hair, 1girl", 1.0),
        ("white  hair", 1.0),
        ("snow_white_hair", 1.0),
        ("off-white_hair", 0.0),
        ("a girl with long white hair reads a book", 1.0),
        ("a girl whose hair is off-white hairy looking", 0.0),
    ],
)
def test_a_token_is_a_tag_of_its_own_or_a_phrase_in_prose(caption: str, held: float) -> None:
    assert get(audit(make_case([Picture(caption=caption)])), COVERAGE, attribute="hair_colour").value == held


def test_a_missing_caption_says_nothing() -> None:
    token = get(audit(make_case([FACE, Picture(caption=None)])), COVERAGE, attribute="hair_colour")
    assert (token.value, token.n) == (1.0, 1)


@pytest.mark.parametrize(("tokens", "count"), [(("black_hair", "red_hair"), 2), ((), 0)])
def test_negative_tokens_are_counted(tokens: tuple[str, ...], count: int) -> None:
    found = audit(make_case([FACE], training=TrainingSettings(negative_tokens=tokens)))
    assert get(found, "captions.negative_tokens").value == count


def test_what_cannot_be_said_has_a_reason() -> None:
    found = audit(make_case([Picture(caption=None, role=IN_CONTEXT)]))
    assert get(found, COVERAGE, attribute="body").reason == "no picture has a caption"
    assert get(found, "captions.negative_tokens").reason == "the training config does not say"
    role = get(found, "captions.body_token_coverage", role=IDENTITY_EMPHASIS)
    assert (role.value, role.reason) == (None, "no identity-emphasis picture has a caption")
    bodyless = audit(make_case([FACE], spec={"hair_colour": "white_hair", "tail": "long_tail"}))
    assert get(bodyless, "captions.body_token_coverage", role=IN_CONTEXT).reason == "the spec names no body attribute"
    assert get(bodyless, CONFLICT, attribute="tail").reason == "there is no label set for tail"
