"""Where lines and names of a chart lie."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.charts import apart, scale


def test_the_ends_of_a_scale_are_the_ends_of_the_chart_either_way_round() -> None:
    across, up = scale((0.0, 1.0), (54.0, 568.0)), scale((-0.02, 1.02), (300.0, 18.0))
    assert (across(0.0), across(0.5), across(1.0)) == (54.0, 311.0, 568.0)
    assert (up(-0.02), up(0.5), up(1.02)) == (300.0, 159.0, 18.0)
    assert scale((1.0, 1.0), (54.0, 568.0))(1.0) == 54.0, "one weight alone lies at the left"


HEIGHTS = st.dictionaries(st.text(max_size=3), st.floats(0, 300), max_size=6)


@given(HEIGHTS, st.floats(1, 40), st.none() | st.floats(0, 100))
def test_names_never_overlap_keep_their_order_and_move_only_down(
    heights: dict[str, float], gap: float, top: float | None
) -> None:
    placed = apart(heights, gap) if top is None else apart(heights, gap, top)
    assert set(placed) == set(heights)
    assert all(placed[name] >= max(height, top or 0.0) for name, height in heights.items())
    order = sorted(heights, key=lambda name: placed[name])
    assert [heights[name] for name in order] == sorted(heights.values())
    assert all(low + gap <= high + 1e-9 for low, high in itertools.pairwise(sorted(placed.values())))


def test_names_that_are_far_enough_apart_stay() -> None:
    assert apart({"a": 10.0, "b": 40.0}, 25.0) == {"a": 10.0, "b": 40.0}
    assert apart({"a": 10.0, "b": 12.0}, 25.0, 20.0) == pytest.approx({"a": 20.0, "b": 45.0})
