"""CLIP's tokens are counted as CLIP counts them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_doctor.token_count import WINDOW, clip_count, clip_unread, vocabulary_size, word_rank


@pytest.fixture(scope="module")
def encode() -> object:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer().encode


@pytest.mark.parametrize(
    "text", ["1girl, yuki_nk, white_hair", "A girl's book; 25 cats!", "", "caf\u00e9 \u96ea <b>x</b>"]
)
def test_counts_are_those_of_open_clip(text: str, encode: object) -> None:
    assert clip_count(text) == len(encode(text))  # type: ignore[operator]


@settings(deadline=None, max_examples=60)
@given(text=st.text("ab ,._'1\u00e9\u96ea!", max_size=60))
def test_counts_are_those_of_open_clip_for_any_text(text: str) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer() if not hasattr(test_counts_are_those_of_open_clip_for_any_text, "own") else None
    own = getattr(test_counts_are_those_of_open_clip_for_any_text, "own", None) or tokenizer
    test_counts_are_those_of_open_clip_for_any_text.own = own  # type: ignore[attr-defined]
    assert clip_count(text) == len(own.encode(text))


def test_what_is_read_and_what_is_not_make_the_whole() -> None:
    text = " ".join(f"word{n}" for n in range(60))
    unread = clip_unread(text, WINDOW)
    assert unread and clip_count(text) - clip_count(unread) <= WINDOW
    assert text.replace(" ", "").endswith(unread.replace(" ", ""))
    assert clip_unread("1girl, library", WINDOW) == ""
    assert clip_unread("1girl, library", clip_count("1girl, library")) == ""
    assert clip_unread("girl library", 1) == "library"


def test_a_word_that_is_cut_through_counts_as_not_read() -> None:
    assert clip_count("misa") == 2
    assert clip_unread("girl misa", 2) == "misa"


def test_ranks_order_words_by_how_common_they_are() -> None:
    assert word_rank("girl") < word_rank("sakura") < word_rank("sks")  # type: ignore[operator]
    assert word_rank("Girl") == word_rank("girl")
    assert word_rank("yuki_nk") is None
    assert vocabulary_size() == 49406


def test_a_word_of_a_megabyte_takes_no_time() -> None:
    began = time.perf_counter()
    assert clip_count("a" * 2**20) > WINDOW
    assert clip_count("\U0001f600" * 10_000) > WINDOW
    assert time.perf_counter() - began < 10
