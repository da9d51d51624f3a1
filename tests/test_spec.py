"""The spec is what the user says, and for the rest what most of the dataset shows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lora_doctor.errors import UsageError
from lora_doctor.spec import asked_by_name, induce_spec
from lora_doctor.types import CLOSE_UP, FULL_BODY, UPPER_BODY, PictureFacts
from tests.audits.make_case import LABEL_SETS, Picture, dataset_of, reading_of


def induced(*pictures: Picture, **given: str) -> dict[str, str]:
    return induce_spec(dataset_of(pictures), [reading_of(p) for p in pictures], LABEL_SETS, given)


def shown(framing: str, **labels: str) -> Picture:
    return Picture(labels={"framing": framing, "environment": "library"} | labels)


def test_what_most_pictures_show_is_the_spec() -> None:
    white, red = shown(CLOSE_UP, hair_colour="white_hair"), shown(CLOSE_UP, hair_colour="red_hair")
    assert induced(*[white] * 6, *[red] * 4) == {"hair_colour": "white_hair"}
    assert induced(*[white] * 5, *[red] * 5) == {}


def test_pictures_vote_as_often_as_they_are_shown() -> None:
    white = replace(shown(CLOSE_UP, hair_colour="white_hair"), repeats=4)
    red = replace(shown(CLOSE_UP, hair_colour="red_hair"), repeats=1)
    assert induced(*[white] * 3, *[red] * 6) == {"hair_colour": "white_hair"}
    assert induced(*[white] * 1, *[red] * 6) == {"hair_colour": "red_hair"}
    assert induced(white, red) == {"hair_colour": "white_hair"}


def test_pictures_without_colours_do_not_vote_on_colours() -> None:
    pictures = [shown(FULL_BODY, hair_colour="red_hair", body="athletic")] * 3
    pictures += [shown(FULL_BODY, hair_colour="white_hair", body="athletic")] * 6
    dataset = dataset_of(pictures)
    grey = PictureFacts(format="PNG", mode="L")
    images = [replace(image, facts=grey if n > 2 else None) for n, image in enumerate(dataset.images)]
    readings = [reading_of(picture) for picture in pictures]
    spec = induce_spec(replace(dataset, images=tuple(images)), readings, LABEL_SETS, {})
    assert spec == {"hair_colour": "red_hair", "body": "athletic"}


def test_only_pictures_that_show_an_attribute_vote() -> None:
    faces = [shown(CLOSE_UP, body="curvy", height="petite")] * 20
    bodies = [shown(FULL_BODY, body="athletic", height="tall")] * 2
    halves = [shown(UPPER_BODY, body="athletic", height="petite")] * 3
    assert induced(*faces, *bodies, *halves) == {"body": "athletic", "height": "tall"}


def test_one_picture_does_not_make_a_spec() -> None:
    assert induced(shown(FULL_BODY, body="athletic")) == {}
    assert induced(*[shown(FULL_BODY, body="athletic")] * 2) == {"body": "athletic"}


def test_where_and_how_a_character_stands_is_no_spec() -> None:
    assert "environment" not in induced(*[shown(FULL_BODY)] * 9)
    assert "framing" not in induced(*[shown(FULL_BODY)] * 9)


def test_the_user_wins_and_the_rest_is_still_induced() -> None:
    pictures = [shown(FULL_BODY, hair_colour="white_hair", body="athletic")] * 5
    assert induced(*pictures, hair_colour="red_hair", height="tall") == {
        "hair_colour": "red_hair",
        "body": "athletic",
        "height": "tall",
    }


def test_pictures_without_a_framing_vote_on_everything() -> None:
    assert induced(*[Picture(labels={"body": "curvy"})] * 3) == {"body": "curvy"}


def test_pictures_that_could_not_be_read_do_not_vote() -> None:
    white = shown(CLOSE_UP, hair_colour="white_hair")
    assert induced(white, white, *[Picture(readable=False)] * 9) == {"hair_colour": "white_hair"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"hair_color": "white_hair"}, "unknown attribute 'hair_color'. Did you mean hair_colour?"),
        ({"hair_colour": "wite_hair"}, "hair_colour has no label 'wite_hair'. Did you mean white_hair?"),
        ({"environment": "library"}, "'environment' is not part of a character"),
    ],
)
def test_a_spec_the_labels_do_not_have_is_a_usage_error(given: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        induced(**given)
    assert message in str(caught.value)


def asked(*captions: str | None, framing: str = FULL_BODY) -> tuple[str, ...]:
    pictures = [Picture(caption=caption, labels={"framing": framing}) for caption in captions]
    spec = {"hair_colour": "white_hair", "body": "athletic", "top": "red_shirt"}
    return asked_by_name(spec, dataset_of(pictures), [reading_of(p) for p in pictures], LABEL_SETS)


def test_an_outfit_that_captions_name_is_asked_for() -> None:
    assert asked("yuki_nk, red_shirt", "yuki_nk, blue_shirt", "yuki_nk, library") == ("top",)
    assert asked("a girl in a red shirt walks along the beach") == ("top",)


def test_an_outfit_that_captions_leave_out_belongs_to_the_trigger() -> None:
    assert asked("yuki_nk, red_shirt", "yuki_nk", "yuki_nk") == ()
    assert asked(None, None) == ()


def test_pictures_that_do_not_show_the_outfit_need_not_name_it() -> None:
    assert asked("yuki_nk, red_shirt", framing=CLOSE_UP) == ()
    pictures = [Picture(caption="yuki_nk, close-up", labels={"framing": CLOSE_UP})] * 9
    pictures += [Picture(caption="yuki_nk, red_shirt", labels={"framing": FULL_BODY})]
    assert asked_by_name({"top": "red_shirt"}, dataset_of(pictures), [reading_of(p) for p in pictures], LABEL_SETS)


def test_face_and_body_are_never_asked_for() -> None:
    assert asked("yuki_nk, white_hair, athletic, red_shirt") == ("top",)
