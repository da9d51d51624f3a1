"""A caption names what it says as a tag, or as a phrase in prose."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.captions import (
    caption_tokens,
    cut,
    is_prose,
    names,
    pieces,
    prose_piece,
    said_tokens,
    says,
    sentences,
    stripped,
    swapped,
    texts,
    words_of,
)
from lora_doctor.types import DatasetImage


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


def test_a_kept_part_and_commas_of_other_scripts_part_what_is_said() -> None:
    assert pieces("1girl, yuki_nk ||| White_Hair") == ["1girl", "yuki nk", "white hair"]
    assert pieces("1girl, smile\nwhite hair\n") == ["1girl", "smile", "white hair"]
    assert pieces("1girl, no. 2, white hair., ...") == ["1girl", "no. 2", "white hair"]
    assert pieces("yuki_nk; white hair;smile; ;d; park；sea") == ["yuki nk", "white hair;smile", ";d", "park", "sea"]
    assert said_tokens("yuki_nk，white_hair、smile || park") == ["yuki_nk", "white_hair", "smile", "park"]
    assert caption_tokens("1girl, yuki_nk ||| smile, park") == ["1girl", "yuki_nk ||| smile", "park"]


@given(st.text("ab ,|，、;；"))
def test_what_is_cut_and_its_marks_are_the_caption_again(caption: str) -> None:
    assert "".join(cut(caption)) == caption


def test_a_weight_hides_nothing_that_is_said() -> None:
    assert pieces("(White_Hair:1.2), ((smile))") == ["white hair", "smile"]
    assert says("1girl, (ice blue eyes:1.1)", "blue_eyes") and names("(white hair:0.8), park", "white_hair")


def test_words_end_where_a_script_without_spaces_begins() -> None:
    assert words_of("yuki_nk站在海滩, (saber_(fate))") == ["yuki_nk", "站在海滩", "saber_(fate)"]
    assert sentences("yuki_nk站在海滩。她在笑。") == [["yuki_nk站在海滩"], ["她在笑"]]


def test_tokens_are_what_stands_between_commas() -> None:
    assert caption_tokens("1girl,  white  hair,, full_body ,\n") == ["1girl", "white hair", "full_body"]
    assert caption_tokens("") == []


@pytest.mark.parametrize(
    ("word", "bare"),
    [
        ("saber_(fate)", "saber_(fate)"), ("saber_(fate),", "saber_(fate)"), ("(saber_(fate))", "saber_(fate)"),
        ("(yuki_nk)", "yuki_nk"), ("((yuki))", "yuki"), ("(white", "white"), ("hair)", "hair"),
        ("[trigger].", "trigger"), ("\\(fate\\)", "\\(fate\\)"), ("(a)_(b)", "(a)_(b)"), ("yuki's", "yuki"),
        ("()", ""), (")(", ""),
    ],
)  # fmt: skip
def test_brackets_go_with_the_marks_around_a_word_unless_they_are_part_of_it(word: str, bare: str) -> None:
    assert stripped(word) == bare


@given(st.lists(st.text("ab_c ", min_size=1, max_size=8).map(lambda text: " ".join(text.split())).filter(bool)))
def test_joining_and_splitting_tokens_changes_nothing(tokens: list[str]) -> None:
    assert caption_tokens(", ".join(tokens)) == tokens


@pytest.mark.parametrize(
    ("caption", "label", "said"),
    [
        ("1girl, ice_blue_eyes", "blue_eyes", True),
        ("1girl, blue_eyes", "blue_eyes", True),
        ("a white-haired girl reads a book", "white_hair", True),
        ("1girl, white-haired woman", "white_hair", True),
        ("off-white_hair", "white_hair", False),
        ("black_hair_ribbon", "black_hair", False),
        ("white hair with black hair ties", "black_hair", False),
        ("white hair with black hair ties", "white_hair", True),
        ("a woman wearing a blue hair wig", "blue_hair", False),
        ("she wears a red hair ribbon", "hair_ribbon", True),
        ("1girl, red_hair_ribbon", "hair_ribbon", True),
        ("very long hair", "long_hair", True),
        ("long_hair", "very_long_hair", False),
        ("", "blue_eyes", False),
        ("blue_eyes", "", False),
        ("a woman with gray hair", "grey_hair", True),
        ("1girl, short blond hair", "blonde_hair", True),
        ("a gray-haired woman", "grey_hair", True),
        ("1girl, tanned skin", "tan", True),
        ("a woman with long white hair in a park", "long_hair", True),
        ("1girl, very_long_wavy_black_hair", "very_long_hair", True),
        ("1girl, white_long_hair", "white_hair", True),
        ("a man with short dark brown hair", "short_hair", True),
        ("a man with medium brown hair", "medium_hair", False),
        ("1girl, blue_black_hair", "blue_hair", False),
        ("a woman in a long white dress, black hair", "long_hair", False),
        ("long white hair ribbon", "long_hair", False),
        ("1girl, tall_female", "tall", True),
    ],
)
def test_a_more_precise_token_says_the_label(caption: str, label: str, said: bool) -> None:
    assert says(caption, label) is said


def test_a_long_row_of_adjectives_takes_no_time() -> None:
    began = time.monotonic()
    assert not says("long " * 50_000, "long_hair")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("caption", "label", "said"),
    [
        ("a woman in a tan trench coat", "tan", False),
        ("yuki_nk stands on a street, wearing tan leather boots", "tan", False),
        ("she is dressed in tan and white", "tan", False),
        ("yuki_nk runs on a track in athletic shoes", "athletic", False),
        ("a tall building stands behind her", "tall", False),
        ("1girl, tan", "tan", True),
        ("she is tan and wears white", "tan", True),
        ("she has tan skin", "tan", True),
        ("an athletic woman in athletic shoes", "athletic", True),
        ("a slender young ohwx woman walks", "slender", True),
        ("the woman is athletic. Trees stand behind her", "athletic", True),
        ("yuki_nk, a tall and slender woman in a park", "tall", True),
    ],
)
def test_a_word_for_a_body_is_said_of_somebody_and_not_of_a_coat(caption: str, label: str, said: bool) -> None:
    assert says(caption, label) is said
    assert names(caption, label) is said


def test_no_label_is_named_across_the_end_of_a_sentence() -> None:
    assert not says("the wall is white. Hair and clothes are wet", "white_hair")


@given(st.text("ab_ ,c.", max_size=30), st.text("abc_", min_size=1, max_size=6))
def test_whatever_a_caption_names_it_also_says(caption: str, label: str) -> None:
    assert says(caption, label) or not names(caption, label)


@pytest.mark.parametrize(
    ("caption", "text"),
    [("She sits. Her name is yuki_nk.", "yuki_nk"), ("a photo of yuki_nk's red shirt", "red_shirt"),
     ("photo of ohwx man", "ohwx"), ('a girl named "yuki_nk" by the sea', "yuki_nk")],
)  # fmt: skip
def test_marks_do_not_hide_a_word_of_prose(caption: str, text: str) -> None:
    assert names(caption, text)


@pytest.mark.parametrize(
    ("piece", "prose"),
    [("white hair", False), ("looking at viewer", False), ("hands on hips", False), ("photo of ohwx man", True),
     ("hands_in_pockets", False),
     ("the girl", True), ("one two three four five", True)],
)  # fmt: skip
def test_short_tags_are_no_prose_and_sentences_are(piece: str, prose: bool) -> None:
    assert prose_piece(piece) is prose


def test_a_caption_is_prose_when_most_of_its_words_are() -> None:
    assert not is_prose("yuki_nk; white hair; standing; park bench")
    assert is_prose("yuki_nk, a girl in a red shirt walks along the beach")
    assert not is_prose("1girl, yuki_nk, white_hair, very_long_hair, blue_eyes, a girl of style")
    assert not is_prose("")


def test_a_picture_has_all_its_captions_and_no_empty_ones() -> None:
    def image(caption: str | None, variants: tuple[str, ...] = ()) -> DatasetImage:
        return DatasetImage(path=Path("0.png"), sha256="", width=1, height=1, caption=caption, variants=variants)

    assert texts(image("one")) == ("one",)
    assert texts(image("one", ("one", "two", " "))) == ("one", "two")
    assert texts(image(None)) == texts(image(" \n")) == texts(image(", ,")) == ()


def test_sentences_are_cut_at_their_ends_and_stripped_of_marks() -> None:
    assert sentences("Yuki's hair is white. She (really) sits!") == [
        ["Yuki", "hair", "is", "white"],
        ["She", "really", "sits"],
    ]
    assert sentences("...") == []


def test_a_label_is_swapped_as_a_whole_however_it_is_written() -> None:
    assert swapped("yuki, Night Sky, night_skyline", "night_sky", "beach") == "yuki, beach, night_skyline"
    assert swapped("a girl at the beach.", "beach", "forest") == "a girl at the forest."
    assert swapped("yuki, close-up", "beach", "forest") == "yuki, close-up"
