"""Behaviour of exact shares: known values, and how their ends close in."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.exact_shares import EACH_LOOK, closer, exact, units_behind


@pytest.mark.parametrize("n", [5, 20, 60])
def test_without_a_loss_the_exact_upper_end_is_the_closed_form(n: int) -> None:
    assert exact(0, n, 0.05) == (0.0, pytest.approx(1 - 0.05 ** (1 / n)))
    assert exact(n, n, 0.05) == (pytest.approx(0.05 ** (1 / n)), 1.0)


def test_the_exact_interval_is_that_of_published_tables() -> None:
    """Two of twenty, 95 %: 0.012 to 0.317 (Clopper and Pearson)."""
    assert exact(2, 20, 0.025) == pytest.approx((0.0123, 0.3170), abs=1e-4)


@given(k=st.integers(0, 40), n=st.integers(1, 40))
def test_the_exact_interval_holds_the_share_and_mirrors(k: int, n: int) -> None:
    k = min(k, n)
    low, high = exact(k, n, 0.05)
    assert 0 <= low <= k / n <= high <= 1
    assert exact(n - k, n, 0.05) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize("truth", [0.05, 0.15, 0.3])
def test_the_exact_interval_misses_at_either_end_no_more_often_than_it_says(truth: float) -> None:
    rng, ends = random.Random(5), []
    for _ in range(3000):
        ends.append(exact(sum(rng.random() < truth for _ in range(20)), 20, 0.05))
    assert statistics.fmean(high < truth for _, high in ends) <= 0.05 + 0.012
    assert statistics.fmean(low > truth for low, _ in ends) <= 0.05 + 0.012


@given(st.integers(1, 200), st.data())
def test_the_units_behind_an_interval_are_those_it_was_made_of(n: int, data: st.DataObject) -> None:
    seen = data.draw(st.integers(0, n))
    for end in exact(seen, n, EACH_LOOK):
        units = units_behind(seen / n, end)
        if 0 < end < 1:
            assert units == pytest.approx(n, rel=1e-6)
            assert closer(seen / n, end, 3.0) == pytest.approx(exact(3 * seen, 3 * n, EACH_LOOK)[end > seen / n])
        else:
            assert units is None and closer(seen / n, end, 3.0) is None


def test_near_nothing_an_end_closes_in_faster_than_with_the_root_of_the_units() -> None:
    _, first = exact(0, 20, EACH_LOOK)
    assert closer(0.0, first, 2.0) == pytest.approx(0.0746, abs=1e-3)
    assert first / 2**0.5 > 0.1


@pytest.mark.parametrize(("share", "end"), [(-0.1, 0.2), (1.2, 0.9), (0.2, -0.1), (0.2, 1.0), (0.2, 0.2)])
def test_what_no_count_can_give_has_no_units_behind_it(share: float, end: float) -> None:
    assert units_behind(share, end) is None
