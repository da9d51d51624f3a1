"""Weights of prompts are left out of what captions say, and brackets of names stay."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.caption_weights import unweighted


@pytest.mark.parametrize(
    ("caption", "said"),
    [
        ("1girl, (white hair:1.2), smile", "1girl, white hair, smile"),
        ("(white hair, blue eyes: .9)", "white hair, blue eyes"),
        ("((white hair)), [smile], {park}", "white hair, smile, park"),
        ("((white hair:1.2):0.9)", "white hair"),
        ("(white hair)\nsmile", "white hair\nsmile"),
        ("a girl with (white hair:1.2) in a park", "a girl with white hair in a park"),
        ("white_hair:1.2, yuki; smile:.8", "white_hair, yuki; smile"),
        ("(saber_(fate):1.1), (saber \\(fate\\):1.1)", "saber_(fate), saber \\(fate\\)"),
    ],
)
def test_numbers_and_brackets_of_emphasis_go(caption: str, said: str) -> None:
    assert unweighted(caption) == said


@pytest.mark.parametrize(
    "caption",
    [
        "saber_(fate), 1girl", "2b_(nier:automata)", "saber \\(fate\\)", "hoshino ai (oshi no ko), smile",
        "16:9, rating:1, at 10:30.5, <lora:yuki:0.8>, ratio a:1.2b",
        "(16:9), park", "a (very) wide shot", "(((", "a) b (c", ":), (o)_(o)", "",
    ],
)  # fmt: skip
def test_brackets_that_are_part_of_what_is_said_stay(caption: str) -> None:
    assert unweighted(caption) == caption


@given(st.text("a(){}[]\\:.1 ,|", max_size=40))
def test_only_brackets_numbers_and_spaces_beside_them_are_left_out(caption: str) -> None:
    assert unweighted(caption).count("a") == caption.count("a")
    assert unweighted(caption).count(",") == caption.count(",")


@pytest.mark.parametrize("unit", ["(", "(a)", "(a:1.1) ", "(a(b)", "a)"])
def test_captions_made_to_be_slow_take_no_time(unit: str) -> None:
    started = time.monotonic()
    unweighted(unit * 20_000)
    unweighted("(" * 20_000 + unit * 1000 + ")" * 20_000)
    assert time.monotonic() - started < 5
