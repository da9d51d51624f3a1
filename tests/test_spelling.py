"""The trigger is found in every spelling, and ordinary words are not taken for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.spelling import edits, holds, other_spellings, place


@pytest.mark.parametrize(
    ("caption", "held"),
    [
        ("1girl, yuki_nk, white_hair", True),
        ("1girl, Yuki NK", True),
        ("photo of yuki_nk woman", True),
        ("She is yuki_nk.", True),
        ("yuki_nk's book", True),
        ("yuki_nk_dress", False),
        ("my-yuki_nk", False),
        ("yuki-nk", False),
        ("yuki", False),
        ("", False),
    ],
)
def test_a_trigger_is_held_as_a_tag_inside_one_or_in_prose(caption: str, held: bool) -> None:
    assert holds(caption, "yuki_nk") is held


def test_every_piece_of_a_trigger_with_commas_must_be_there() -> None:
    assert holds("yuki_nk, 1girl, white dress", "yuki_nk, white_dress")
    assert not holds("yuki_nk, 1girl", "yuki_nk, white_dress")
    assert not holds("anything", "")


def test_places_count_tokens_as_the_trainer_cuts_them() -> None:
    assert place("1girl, solo, yuki_nk", "yuki_nk") == 2
    assert place("1girl; yuki_nk, solo", "yuki_nk", ";") == 1
    assert place("1girl, solo", "yuki_nk") is None
    assert place("yuki_nk, 1girl, white dress", "yuki_nk, white_dress") == 2


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("yuki", "yuki", 0), ("yuki", "yukki", 1), ("yuki", "yui", 1), ("yuki", "yuik", 1), ("yuki", "yuka", 1),
     ("yuki", "yo", 3), ("kitten", "sitting", 3), ("", "ab", 2), ("abcdef", "badcfe", 3)],
)  # fmt: skip
def test_edits_are_counted_with_swaps_as_one(one: str, other: str, expected: int) -> None:
    assert edits(one, other) == min(expected, 3)
    assert edits(one, other, 5) == expected


@given(st.text("abc", max_size=8), st.text("abc", max_size=8))
def test_edits_are_symmetric_and_zero_only_for_the_same(one: str, other: str) -> None:
    assert edits(one, other, 9) == edits(other, one, 9)
    assert (edits(one, other, 9) == 0) is (one == other)
    assert edits(one, other, 9) <= max(len(one), len(other))


@given(st.text("abcdef", min_size=4, max_size=10), st.integers(0, 9), st.sampled_from("abcdefz"))
def test_one_replaced_letter_is_at_most_one_edit(word: str, at: int, letter: str) -> None:
    at %= len(word)
    assert edits(word, word[:at] + letter + word[at + 1 :]) <= 1


RIGHT = "1girl, yuki_nk, white_hair, library"


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [("yuki_n", "typo"), ("yukki_nk", "typo"), ("yuik_nk", "typo"), ("yuki-nk", "separator"), ("yukink", "separator"),
     ("yuki nk", "separator"), ("Yuki_NK", "case"), ("yukl nk", "typo")],
)  # fmt: skip
def test_other_spellings_are_told_with_their_kind_and_captions(wrong: str, kind: str) -> None:
    captions = [RIGHT, f"1girl, {wrong}, white_hair", RIGHT, f"1girl, {wrong}, beach"]
    (found,) = other_spellings(captions, "yuki_nk")
    assert (found.text, found.kind, found.captions) == (wrong, kind, (1, 3))


def test_a_slip_is_found_in_prose() -> None:
    captions = ["A photo of yuki_nk in a library."] * 9 + ["A photo of yuki_nl. She sits in a library."]
    (found,) = other_spellings(captions, "yuki_nk")
    assert (found.text, found.captions) == ("yuki_nl", (9,))


def test_a_word_beside_the_trigger_is_no_spelling_of_it() -> None:
    captions = ["yuki_nk, yuki_n, white_hair", "yuki_nk, library", "1girl, a red scarf"]
    assert other_spellings(captions, "yuki_nk") == ()


def test_a_word_with_a_meaning_is_only_taken_in_the_triggers_place() -> None:
    known = {"ring", "skin", "run"}.__contains__
    captions = ["1girl, rin, white_hair, ring"] * 9
    assert other_spellings([*captions, "1girl, white_hair, gold, ring"], "rin", known) == ()
    (found,) = other_spellings([*captions, "1girl, ring, white_hair"], "rin", known)
    assert found.text == "ring"


def test_short_triggers_allow_one_edit() -> None:
    assert other_spellings(["sks, a dog", "sk, a dog"], "sks")[0].text == "sk"
    assert other_spellings(["sks, a dog", "skxx, a dog"], "sks") == ()


def test_healthy_captions_have_no_other_spelling() -> None:
    assert other_spellings([RIGHT] * 5, "yuki_nk") == ()
    assert other_spellings([RIGHT, "1girl, white_hair"], "yuki_nk") == ()
    assert other_spellings(["a, b"], "") == ()
