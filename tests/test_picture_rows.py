"""Rows of a table of captions for an identity ratio."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.picture_rows import CaptionTable, present_rows, rows_for
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, Dataset, DatasetImage, Role

TABLE = CaptionTable("text")


def pictures(*kinds: tuple[Role | None, int, float]) -> Dataset:
    """`(role, how many, repeats)`."""
    images = [
        DatasetImage(path=Path(f"/{n}-{i}.png"), sha256="", width=8, height=8, caption="", role=role, repeats=repeats)
        for n, (role, count, repeats) in enumerate(kinds) for i in range(count)
    ]  # fmt: skip
    return Dataset(path=Path("/"), images=tuple(images))


@given(st.integers(1, 60), st.integers(1, 60))
def test_rows_bring_the_ratio_nearer_and_say_what_it_becomes(closeups: int, contexts: int) -> None:
    dataset = pictures((IDENTITY_EMPHASIS, closeups, 1), (IN_CONTEXT, contexts, 1))
    found = rows_for(dataset, TABLE, 0.33)
    assert found is not None
    faces = sum(rows for path, rows in found.rows.items() if path.name.startswith("0-"))
    total = sum(found.rows.values())
    assert faces / total == pytest.approx(found.ratio)
    assert abs(found.ratio - 0.33) <= abs(closeups / (closeups + contexts) - 0.33) + 0.011
    assert found.longer == pytest.approx((closeups + contexts) / total)


def test_rows_that_are_there_already_count_and_the_whole_tables_repeats_do_not() -> None:
    dataset = pictures((IDENTITY_EMPHASIS, 2, 6.0), (IN_CONTEXT, 4, 3.0))
    assert set(present_rows(dataset, CaptionTable("text", 3)).values()) == {2, 1}
    found = rows_for(dataset, CaptionTable("text", 3), 0.5)
    assert found is not None and found.rows == present_rows(dataset, CaptionTable("text", 3))


def test_pictures_without_a_role_keep_their_rows_and_alone_tell_nothing() -> None:
    dataset = pictures((IDENTITY_EMPHASIS, 5, 1), (IN_CONTEXT, 40, 1), (None, 3, 1))
    found = rows_for(dataset, TABLE, 0.33)
    assert found is not None and {rows for path, rows in found.rows.items() if path.name.startswith("2-")} == {1}
    assert found.longer == pytest.approx(48 / sum(found.rows.values()))
    assert rows_for(pictures((None, 3, 1)), TABLE, 0.33) is None
