"""Adjectives in prose say a label wherever they stand, and nothing of the noun beside them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.caption_adjectives import adjectives_joined
from lora_doctor.captions import says


@pytest.mark.parametrize(
    ("caption", "label", "said"),
    [
        ("Her hair is long and white.", "white_hair", True),
        ("Her hair is long and white.", "long_hair", True),
        ("her hair is white and long, she smiles", "long_hair", True),
        ("The girl's eyes are a deep blue.", "blue_eyes", True),
        ("Her skin is pale.", "pale_skin", True),
        ("Her hair is light brown", "brown_hair", True),
        ("Her hair is black and red eyes shine", "black_hair", True),
        ("Her hair is black and red eyes shine", "red_hair", False),
        ("Her hair is long and white flowers bloom", "white_hair", False),
        ("Her hair is long. White walls.", "white_hair", False),
        ("Her hair is tied with a white ribbon", "white_hair", False),
        ("her hair is off-white", "white_hair", False),
        ("The hair is brown with red highlights", "red_hair", False),
        ("Her hair is not white", "white_hair", False),
        ("hair, is, white", "white_hair", False),
    ],
)
def test_a_sentence_says_of_hair_eyes_and_skin_what_its_verb_does(caption: str, label: str, said: bool) -> None:
    assert says(caption, label) is said


@pytest.mark.parametrize(
    ("caption", "label", "said"),
    [
        ("a girl with long, white hair stands", "long_hair", True),
        ("a girl with long, white hair stands", "white_hair", True),
        ("A woman with long, straight, black hair", "long_hair", True),
        ("A woman with long, straight, black hair", "straight_hair", True),
        ("a girl with big, blue eyes", "blue_eyes", True),
        ("she is short, white hair", "short_hair", False),
        ("1girl, short, white hair", "short_hair", False),
        ("a woman with long, elegant legs, white hair", "long_hair", False),
    ],
)
def test_a_comma_between_adjectives_of_one_noun_parts_nothing(caption: str, label: str, said: bool) -> None:
    assert says(caption, label) is said


@given(
    st.lists(st.sampled_from(["a girl with long", "her short", "white hair", "big", "blue eyes", "park", "long hair"]))
)
def test_joining_loses_no_word_and_changes_no_order(said: list[str]) -> None:
    assert " ".join(adjectives_joined(said)) == " ".join(said)


@pytest.mark.parametrize("said", [[], ["1girl", "white hair"], ["a girl with long"], ["a girl with long", "park"]])
def test_pieces_that_wait_for_no_noun_of_theirs_stay_as_they_are(said: list[str]) -> None:
    assert list(adjectives_joined(said)) == said
