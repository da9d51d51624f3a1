"""Prompts are tags in one fixed order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.errors import UsageError
from lora_doctor.prompts import build_prompt

YUKI: dict[str, Any] = {
    "class_token": "1girl",
    "trigger": "yuki_nk",
    "identity_tokens": ("white_hair", "blue_eyes"),
    "framing": "full_body",
    "environment": "beach",
}
TOKEN = st.text("abc_ ", max_size=4)


def test_tokens_come_in_the_order_of_the_captions() -> None:
    expected = "1girl, yuki_nk, white_hair, blue_eyes, standing, beach, full_body"
    assert build_prompt(**YUKI, pose="standing") == expected


def test_an_outfit_stands_between_the_character_and_the_place() -> None:
    prompt = build_prompt(**{**YUKI, "identity_tokens": ()}, outfit=("red_shirt", "black_skirt"))
    assert prompt == "1girl, yuki_nk, red_shirt, black_skirt, beach, full_body"


def test_without_pose_or_identity_nothing_is_left_behind() -> None:
    assert build_prompt(**{**YUKI, "identity_tokens": ()}) == "1girl, yuki_nk, beach, full_body"


def test_an_unknown_dialect_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="Known: tags"):
        build_prompt(**YUKI, dialect="verse")


@given(TOKEN, TOKEN, st.lists(TOKEN, max_size=4), TOKEN, TOKEN)
def test_every_token_is_said_exactly_once(who: str, trigger: str, tokens: list[str], framing: str, place: str) -> None:
    prompt = build_prompt(class_token=who, trigger=trigger, identity_tokens=tokens, framing=framing, environment=place)
    said = prompt.split(", ") if prompt else []
    assert len(said) == len(set(said))
    assert set(said) == {token.strip() for token in (who, trigger, *tokens, framing, place)} - {""}
