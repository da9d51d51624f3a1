"""Frequent tokens are found in tags and in prose, the longest phrase of each, and what is meant is left out."""

from __future__ import annotations

import pytest

from lora_doctor.frequent_tokens import frequent_tokens


def shares(captions: list[str], least: float = 0.35, expected: set[str] | None = None) -> dict[str, float]:
    found = frequent_tokens([(text, 1.0) for text in captions], least, (expected or set()).__contains__)
    return {token: share for token, (share, _) in found.items()}


def test_a_tag_counts_whole_and_as_it_is_written() -> None:
    assert shares(["1girl, red_scarf", "Red Scarf, beach", "1girl, red_scarf"]) == {
        "red_scarf": 1.0,
        "1girl": pytest.approx(2 / 3),
    }


def test_a_weight_makes_no_other_token() -> None:
    assert shares(["1girl, (red_scarf:1.2)", "1girl, red_scarf ||| beach", "1girl, (red_scarf)"])["red_scarf"] == 1.0


def test_a_phrase_inside_longer_tags_is_found() -> None:
    captions = ["long red scarf, library", "silk red scarf, beach", "red scarf, city"]
    assert shares(captions, 0.9) == {"red scarf": 1.0}


def test_fragments_of_a_phrase_are_left_out_and_function_words_never_end_one() -> None:
    captions = [f"The woman wears a red silk scarf in a {place}." for place in ("library", "forest", "city")]
    found = shares(captions, 0.9)
    assert "red silk scarf" in found
    assert not {"red", "silk", "scarf", "red silk", "silk scarf", "wears", "a red", "scarf in"} & set(found)


def test_a_fragment_that_is_more_frequent_than_its_phrase_stays() -> None:
    captions = ["She wears a red scarf by the sea today."] * 6 + ["She has a blue scarf in the old town."] * 4
    found = shares(captions, 0.35)
    assert found["scarf"] == 1.0
    assert found["red scarf"] == 0.6


def test_phrases_never_cross_a_comma_or_a_sentence() -> None:
    captions = ["A girl in white. Hair blows in the wind of spring, red, scarf"] * 3
    assert not {"white hair", "white hair blows", "red scarf", "spring red"} & set(shares(captions))


def test_expected_tokens_hide_no_fragment() -> None:
    captions = ["yuki woman, beach", "yuki woman, city"]
    assert shares(captions, 0.9, {"yuki woman"}) == {}
    prose = ["The photo shows yuki woman in a scarf", "The photo shows yuki woman with a scarf on"]
    assert "scarf" in shares(prose, 0.9, {"photo", "yuki", "woman", "yuki woman", "photo shows yuki"})


def test_weights_count_and_the_captions_are_told() -> None:
    found = frequent_tokens([("scarf, a1", 3.0), ("scarf, b1", 1.0), ("c1", 6.0)], 0.35)
    assert found["scarf"] == (pytest.approx(0.4), [0, 1])
    assert frequent_tokens([], 0.35) == {}


def test_a_token_twice_in_a_caption_counts_once() -> None:
    assert shares(["scarf, scarf", "hat"]) == {"hat": 0.5, "scarf": 0.5}


def test_a_tag_with_a_small_word_in_it_is_one_token() -> None:
    assert shares(["lady_of_lake, beach", "lady_of_lake, city"], 0.9) == {"lady_of_lake": 1.0}
