"""A caption names what it says as a tag, or as a phrase in prose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.captions import caption_tokens, names, pieces


@pytest.mark.parametrize(
    ("caption", "text", "named"),
    [
        ("1girl, Red_Shirt", "red_shirt", True),
        ("1girl, red  shirt", "red_shirt", True),
        ("1girl, dark_red_shirt", "red_shirt", False),
        ("a girl in a red shirt walks along the beach", "red_shirt", True),
        ("a girl in a dark-red shirtdress walks along", "red_shirt", False),
        ("yuki_nk, red_shirt", "yuki_nk, red_shirt", True),
        ("yuki_nk", "yuki_nk, red_shirt", False),
        ("yuki_nk", "", False),
        (None, "yuki_nk", False),
    ],
)
def test_tags_match_whole_and_prose_by_phrase(caption: str | None, text: str, named: bool) -> None:
    assert names(caption, text) is named


def test_pieces_are_folded_and_never_empty() -> None:
    assert pieces(" White_Hair,, close-up ,") == ["white hair", "close-up"]


def test_tokens_are_what_stands_between_commas() -> None:
    assert caption_tokens("1girl,  white  hair,, full_body ,\n") == ["1girl", "white hair", "full_body"]
    assert caption_tokens("") == []


@given(st.lists(st.text("ab_c ", min_size=1, max_size=8).map(lambda text: " ".join(text.split())).filter(bool)))
def test_joining_and_splitting_tokens_changes_nothing(tokens: list[str]) -> None:
    assert caption_tokens(", ".join(tokens)) == tokens
