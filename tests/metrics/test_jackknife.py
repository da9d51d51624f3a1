"""An interval of leave-one-out similarities holds the truth as often as it says, although they share references."""

from __future__ import annotations

import numpy as np
import pytest

from lora_doctor.metrics.intervals import t_interval
from lora_doctor.metrics.jackknife import mean_of, with_one_less


def similarities(rows: np.ndarray) -> np.ndarray:
    """The cosine of each row with the sum of the others."""
    others = rows.sum(axis=0) - rows
    return (rows * others).sum(axis=1) / np.linalg.norm(others, axis=1)


def test_one_less_is_what_it_would_be_without_it() -> None:
    rows = np.random.default_rng(4).standard_normal((6, 16)) + 1
    without = with_one_less(rows, rows, np.arange(6))
    for gone in range(6):
        kept = [row for row in range(6) if row != gone]
        assert without[kept, gone] == pytest.approx(similarities(rows[kept]))
    assert np.isnan(np.diag(without)).all()


@pytest.mark.parametrize("count", [5, 12, 30])
def test_the_interval_holds_the_truth_as_often_as_it_says(count: int) -> None:
    """And as if the similarities were independent it does not."""
    rng, found, naive = np.random.default_rng(7), [], []
    person = rng.standard_normal(64)
    for _ in range(400):
        rows = person + rng.standard_normal((count, 64)) * rng.uniform(0.4, 1.4, (count, 1))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        own = similarities(rows)
        found.append(mean_of(own, with_one_less(rows, rows, np.arange(count))))
        naive.append(t_interval(own.tolist()))
    truth = float(np.mean([one.value for one in found]))
    held = [[ends is not None and ends[0] <= truth <= ends[1] for ends in each]
            for each in ([one.interval for one in found], naive)]  # fmt: skip
    assert 0.85 <= np.mean(held[0]) <= 0.95
    assert np.mean(held[1]) < np.mean(held[0])


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_to_leave_one_out_have_no_interval(count: int) -> None:
    rows = np.random.default_rng(1).standard_normal((count, 8))
    one = mean_of(np.full(count, 0.5), with_one_less(rows, rows, np.arange(count)))
    assert (one.value, one.n) == (0.5, count)
    assert (one.interval is None) == (count == 1)
