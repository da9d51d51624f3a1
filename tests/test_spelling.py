"""The trigger is found in every spelling, and ordinary words are not taken for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.labels import load_labels
from lora_doctor.plugins import data_folder
from lora_doctor.spelling import edits, holds, other_spellings, place, respelt, writes
from lora_doctor.trigger import Vocabulary


@pytest.mark.parametrize(
    ("caption", "held"),
    [
        ("1girl, yuki_nk, white_hair", True),
        ("1girl, Yuki NK", True),
        ("photo of yuki_nk woman", True),
        ("She is yuki_nk.", True),
        ("yuki_nk's book", True),
        ("yuki_nk站在海滩里，白发", True),
        ("海滩里的yuki_nk，白发", True),
        ("初音のyuki_nkが歌う", True),
        ("yuki_nkさん_dress", True),
        ("(yuki_nk:1.2), 1girl", True),
        ("1girl, yuki_nk ||| smile", True),
        ("yuki_nk_dress", False),
        ("my-yuki_nk", False),
        ("yuki-nk", False),
        ("yuki", False),
        ("", False),
    ],
)
def test_a_trigger_is_held_as_a_tag_inside_one_or_in_prose(caption: str, held: bool) -> None:
    assert holds(caption, "yuki_nk") is held


@pytest.mark.parametrize(
    ("caption", "trigger", "held"),
    [
        ("米拉坐在海滩上，长发", "米拉", True),
        ("一个叫米拉的女孩", "米拉", True),
        ("初音が笑っている", "初音", True),
        ("photo of 米拉, smile", "米拉", True),
        ("ëlla站在海滩里", "ëlla", True),
        ("ëllaria, smile", "ëlla", False),
        ("雪地里的女孩", "雪", False),
        ("雪, smile", "雪", True),
    ],
)
def test_a_trigger_without_latin_letters_is_held_in_a_sentence_without_spaces(
    caption: str, trigger: str, held: bool
) -> None:
    assert holds(caption, trigger) is writes(caption, trigger) is held


@pytest.mark.parametrize("trigger", ["saber (fate)", "saber \\(fate\\)", "saber_(fate)"])
@pytest.mark.parametrize("caption", ["saber (fate), 1girl", "saber \\(fate\\), 1girl", "1girl, saber_\\(fate\\)"])
def test_a_bracket_is_the_same_with_a_backslash(caption: str, trigger: str) -> None:
    assert holds(caption, trigger)
    assert not holds("saber, 1girl", trigger)


def test_a_trigger_whose_brackets_are_escaped_is_no_other_spelling() -> None:
    assert other_spellings(["saber \\(fate\\), 1girl"], "saber (fate)") == ()


def test_every_piece_of_a_trigger_with_commas_must_be_there() -> None:
    assert holds("yuki_nk, 1girl, white dress", "yuki_nk, white_dress")
    assert not holds("yuki_nk, 1girl", "yuki_nk, white_dress")
    assert not holds("anything", "")


def test_a_trigger_is_written_with_its_capitals_and_separators_whatever_the_runs_of_space() -> None:
    assert writes("a photo of ohwx  woman", "ohwx woman")
    assert writes("smile, ohwx\nwoman", "ohwx woman")
    assert not writes("OHWX woman", "ohwx woman")
    assert not writes("ohwx_woman", "ohwx woman")
    assert writes("yuki_nk, smile, white dress", "yuki_nk, white dress")
    assert not writes("yuki_nk, smile", "yuki_nk, white dress")


def test_places_count_tokens_as_the_trainer_cuts_them() -> None:
    assert place("1girl, solo, yuki_nk", "yuki_nk") == 2
    assert place("1girl; yuki_nk, solo", "yuki_nk", ";") == 1
    assert place("1girl, solo", "yuki_nk") is None
    assert place("1girl ||| yuki_nk, smile", "yuki_nk") == 1
    assert place("1girl, ohwx woman", "ohwx") == 1
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


def test_two_edits_are_a_slip_from_six_letters_on() -> None:
    assert other_spellings(["sks, a dog", "sk, a dog"], "sks")[0].text == "sk"
    assert other_spellings(["sks, a dog", "skxx, a dog"], "sks") == ()
    assert other_spellings(["luna, 1girl", "lema, 1girl"], "luna") == ()
    assert other_spellings(["yuki_nk, 1girl", "yuko_nl, 1girl"], "yuki_nk")[0].text == "yuko_nl"


VOCABULARY = Vocabulary(load_labels(data_folder("rules") / "labels" / "character.toml"))


@pytest.mark.parametrize("trigger", ["luna", "mina", "hana", "sora", "lena", "rina", "blackcat"])
def test_no_word_of_ordinary_captions_is_taken_for_a_short_name(trigger: str) -> None:
    lacking = [
        "1girl, pink hair, smile, solo", "1girl, short hair, sitting", "1girl, long hair, red eyes", "solo, 1girl, hat",
        "a photo of a woman with long hair in a red dress", "1girl, solo, gold hair ring", "a black cat on a wall",
    ]  # fmt: skip
    captions = [f"1girl, {trigger}, solo, white hair, smile"] * 8 + lacking
    assert other_spellings(captions, trigger, VOCABULARY.knows, VOCABULARY.lists) == ()


def test_a_listed_tag_is_never_a_slip_even_in_the_triggers_place() -> None:
    captions = ["1girl, hain, white hair"] * 9
    assert other_spellings([*captions, "1girl, hair, smile"], "hain", VOCABULARY.knows, VOCABULARY.lists) == ()
    (found,) = other_spellings([*captions, "1girl, hainn, smile"], "hain", VOCABULARY.knows, VOCABULARY.lists)
    assert (found.text, found.places) == ("hainn", None)


def test_a_slip_is_found_and_mended_inside_a_weight_and_a_kept_part() -> None:
    captions = ["1girl, yuki_nk ||| smile"] * 8 + ["1girl, (yuki_nl:1.2), smile", "1girl, yuki_nl ||| smile"]
    (found,) = other_spellings(captions, "yuki_nk")
    assert (found.text, found.captions) == ("yuki_nl", (8, 9))
    assert respelt(captions[8], found, "yuki_nk") == "1girl, (yuki_nk:1.2), smile"
    assert respelt(captions[9], found, "yuki_nk") == "1girl, yuki_nk ||| smile"


def test_a_word_with_a_meaning_is_respelt_alone_and_in_its_place() -> None:
    known = {"ring", "gold"}.__contains__
    (found,) = other_spellings(["1girl, rin, white_hair"] * 9 + ["1girl, ring, white_hair"], "rin", known)
    assert respelt("1girl, ring, white_hair", found, "rin") == "1girl, rin, white_hair"
    assert respelt("1girl, gold ring, white_hair", found, "rin") == "1girl, gold ring, white_hair"
    assert respelt("1girl, white_hair, ring", found, "rin") == "1girl, white_hair, ring"


def test_healthy_captions_have_no_other_spelling() -> None:
    assert other_spellings([RIGHT] * 5, "yuki_nk") == ()
    assert other_spellings([RIGHT, "1girl, white_hair"], "yuki_nk") == ()
    assert other_spellings(["a, b"], "") == ()
