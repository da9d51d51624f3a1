"""Settings and the types they must have."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.errors import UsageError
from lora_doctor.layouts.values import Section, largest, unknown_keys

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def section(*tables: dict[str, Any], lenient: bool = False) -> Section:
    return Section(Path("c.toml"), tuple((f"t{i}", table) for i, table in enumerate(tables)), lenient)


def test_the_innermost_table_comes_first_and_null_says_nothing() -> None:
    assert section({"a": 1}, {"a": 2}).whole("a") == 1
    assert section({"a": None}, {"a": 2}).whole("a") == 2
    assert section({}, {}).whole("a") is None


def test_the_place_of_a_wrong_value_is_where_it_stands() -> None:
    with pytest.raises(UsageError, match=r"c\.toml: t1\.a must be a whole number from 0 to 1000000000, not 'x'"):
        section({"b": 1}, {"a": "x"}).whole("a")


@pytest.mark.parametrize(
    ("value", "size"),
    [(512, (512, 512)), ([512, 768], (512, 768)), ("512", (512, 512)), ("512, 768", (512, 768)), ([640], (640, 640))],
)
def test_sizes(value: Any, size: tuple[int, int]) -> None:
    assert section({"a": value}).size("a") == size


def test_text_is_a_number_only_where_it_may_be() -> None:
    assert section({"a": "1e-1"}, lenient=True).real("a") == 0.1
    assert section({"a": "True"}, lenient=True).flag("a") is True
    with pytest.raises(UsageError):
        section({"a": "1e-1"}).real("a")


@given(ANYTHING, st.booleans())
def test_anything_is_read_or_refused_in_a_line(value: Any, lenient: bool) -> None:
    one = section({"a": value}, lenient=lenient)
    readers = (one.text, one.flag, one.real, one.whole, one.share, one.size, one.tables, one.table)
    for read in readers:
        try:
            found = read("a")
        except UsageError as error:
            assert "\n" not in str(error) and len(str(error)) < 300
            continue
        if isinstance(found, float):
            assert math.isfinite(found)


def test_unknown_keys_are_told_and_not_too_many() -> None:
    table = {f"key{i}": 1 for i in range(20)}
    (note,) = unknown_keys("X", [(("top", table), {"key0"})], "it stops")
    assert "top.'key1'" in note and "key0'" not in note and "13 more: it stops." in note
    assert unknown_keys("X", [(("", {"a": 1}), {"a"})], "") == []


def test_the_largest_size_is_that_of_the_largest_area() -> None:
    assert largest([(512, 512), None, (256, 2048)]) == (256, 2048)
    assert largest([None]) is None
