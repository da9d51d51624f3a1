"""Values come out as what they mean, or as a reason; nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lora_doctor.recorded.values import NoSingleValue, Unreadable, agreed, flag, mapping, real, shown, side, whole


@pytest.mark.parametrize(("value", "number"), [("8", 8), (8, 8), ("8.0", 8), (8.0, 8), (" 1e3 ", 1000)])
def test_a_whole_number_is_read_from_text_and_number(value: Any, number: int) -> None:
    assert whole()(value) == number and type(whole()(value)) is int


@pytest.mark.parametrize(
    "value", ["nan", "inf", float("nan"), "1e999", "9" * 5000, 10**400, -1, "8.5", True, [8], None, "Dynamic"]
)
def test_what_is_no_whole_number_in_range_is_unreadable(value: Any) -> None:
    with pytest.raises(Unreadable):
        whole(0)(value)


def test_flags_are_read_as_python_and_json_write_them() -> None:
    assert [flag(value) for value in ("True", "false", True, "False")] == [True, False, True, False]
    for value in ("yes", 1, None):
        with pytest.raises(Unreadable):
            flag(value)


@pytest.mark.parametrize(
    "text",
    ["{", "[1]", "[" * 100_000, '{"a":' * 40 + "1" + "}" * 40, '{"a": NaN}', '{"a": ' + "9" * 5000 + "}", '"x"', ""],
    ids=["broken", "list", "100000 deep", "40 deep", "NaN", "5000 digits", "text", "empty"],
)
def test_hostile_json_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        mapping(text)


def test_json_is_read_up_to_its_limits() -> None:
    deep = '{"a":' * 31 + "{}" + "}" * 31
    assert mapping(deep)["a"] and len(mapping(json.dumps({"a": "x" * (2**20 - 9)}))["a"]) == 2**20 - 9
    with pytest.raises(Unreadable, match="characters"):
        mapping(json.dumps({"a": "x" * 2**20}))


@pytest.mark.parametrize("value", [512, "512", "(512, 512)", [512, 512], "512x512", "512,512", [512]])
def test_the_side_of_square_pictures_is_found_in_every_spelling(value: Any) -> None:
    assert side(value) == 512


def test_pictures_that_are_not_square_have_no_single_side() -> None:
    with pytest.raises(NoSingleValue, match="832 x 1216 is not square"):
        side("(832, 1216)")
    with pytest.raises(Unreadable):
        side("big")


def test_values_that_differ_have_no_single_value() -> None:
    assert agreed([1, 1], "folders") == 1
    with pytest.raises(NoSingleValue, match="differs between the folders: 1, 2"):
        agreed([1, 2], "folders")


def test_a_shown_value_is_short_and_plain() -> None:
    assert shown("a\n\x1b[31m") == r"'a\n\x1b[31m'"
    assert len(shown("é" * 1000)) <= 40 and shown(10**5000) == "a huge number" and shown({}) == "a dict"
    assert real()("1e-4") == 1e-4
