"""Captions that say the same are found whatever their order, and the filters lose no pair."""

from __future__ import annotations

import time
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.caption_groups import ALIKE, caption_content, groups_of


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Shared tokens out of all tokens of the two, 0 to 1; two empty sets are alike."""
    return len(one & other) / len(one | other) if one or other else 1.0


def test_order_case_and_separators_make_no_other_caption() -> None:
    assert caption_content("1girl, White_Hair, library") == caption_content("library, 1girl, white hair")
    assert caption_content("A girl sits in a library.") == caption_content("in a library a girl sits, ,")
    assert caption_content("1girl, beach") != caption_content("1girl, library")


def test_equal_captions_are_one_group_and_the_largest_is_first() -> None:
    a, b, c = frozenset("abc"), frozenset("xyz"), frozenset("q")
    assert groups_of([a, b, c, b, a, b]) == [[1, 3, 5], [0, 4], [2]]
    assert groups_of([a, b, a], 1.0) == [[0, 2], [1]]
    assert groups_of([]) == []


def test_one_word_more_in_twenty_is_nearly_identical_and_one_in_five_is_not() -> None:
    twenty = frozenset(map(str, range(20)))
    assert groups_of([twenty, twenty | {"more"}]) == [[0, 1]]
    assert groups_of([frozenset("abcd"), frozenset("abcde")]) == [[0], [1]]


@given(st.lists(st.frozensets(st.integers(0, 14).map(str), min_size=8, max_size=14), max_size=25))
def test_a_caption_is_grouped_exactly_when_a_groups_first_is_like_it(contents: list[frozenset[str]]) -> None:
    """Against the plain double loop: same first members, same membership."""
    firsts: list[frozenset[str]] = []
    grouped: dict[frozenset[str], bool] = {}
    for content in sorted(set(contents), key=lambda one: (len(one), contents.index(one))):
        grouped[content] = any(jaccard(content, first) >= ALIKE - 1e-9 for first in firsts)
        if not grouped[content]:
            firsts.append(content)
    groups = groups_of(contents)
    assert sorted(index for group in groups for index in group) == list(range(len(contents)))
    assert len(groups) == len(firsts)
    for group in groups:
        shortest = min((contents[index] for index in group), key=len)
        assert all(jaccard(contents[index], shortest) >= ALIKE - 1e-9 for index in group)


@pytest.mark.parametrize("kind", ["tags", "one word apart"])
def test_ten_thousand_captions_take_seconds(kind: str) -> None:
    rng = Random(0)
    words = [f"word{n}" for n in range(300)]
    common = frozenset(words[:40])
    contents = [frozenset(rng.sample(words, 15)) if kind == "tags" else common | {f"number{n}"} for n in range(10_000)]
    began = time.perf_counter()
    groups = groups_of(contents)
    assert time.perf_counter() - began < 20
    assert len(groups[0]) == (1 if kind == "tags" else 10_000)
