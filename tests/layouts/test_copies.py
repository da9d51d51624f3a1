"""Folders that are listed more than once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.layouts.copies import joined_copies
from lora_doctor.types import Subset

ONE = Subset(folder=Path("a"))


def test_a_folder_alone_stays_as_it_is() -> None:
    other = replace(ONE, folder=Path("b"))
    assert joined_copies([ONE, other]) == (ONE, other)


def test_other_captions_are_another_subset() -> None:
    assert len(joined_copies([ONE, replace(ONE, prefix="x"), replace(ONE, regularisation=True)])) == 3


def test_repeats_and_samples_are_never_mixed() -> None:
    assert len(joined_copies([ONE, replace(ONE, samples=5)])) == 2
    assert joined_copies([replace(ONE, samples=5), replace(ONE, samples=7)])[0].samples == 12


def test_dropout_is_the_mean_of_what_is_shown() -> None:
    rare, often = replace(ONE, repeats=1, caption_dropout=0.8), replace(ONE, repeats=3, caption_dropout=0.0)
    assert joined_copies([rare, often])[0].caption_dropout == pytest.approx(0.2)
    assert joined_copies([rare, replace(often, caption_dropout=None)])[0].caption_dropout == 0.8


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.integers(1, 9)), min_size=1))
def test_what_is_shown_stays_the_same_and_the_largest_size_is_kept(listed: list[tuple[str, int, int]]) -> None:
    subsets = [Subset(folder=Path(name), repeats=repeats, resolution=(side, side)) for name, repeats, side in listed]
    joined = joined_copies(subsets)
    assert [one.folder for one in joined] == list(dict.fromkeys(one.folder for one in subsets))
    for one in joined:
        same = [(repeats, side) for name, repeats, side in listed if name == one.folder.name]
        assert one.repeats == sum(repeats for repeats, _ in same)
        assert one.resolution == (max(side for _, side in same),) * 2
