"""Likeness to a centroid and to each reference, as mathematics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.metrics.likeness import to_centroid, to_each


def cosines(rows: np.ndarray, references: np.ndarray) -> np.ndarray:
    return np.asarray(rows, float) @ np.asarray(references, float).T


def unit(count: int, seed: int, dimensions: int = 8) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, dimensions))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_centroids_likeness_is_the_dot_product() -> None:
    rows = unit(2, 1)
    assert to_centroid(rows[0])(rows[1]) == float(rows[1] @ rows[0])


@given(st.integers(2, 12), st.integers(0, 99))
def test_likeness_to_each_is_the_mean_over_pairs_and_a_reference_is_not_compared_with_itself(n: int, seed: int) -> None:
    rows = unit(n, seed)
    likeness, own, fewer = to_each(list(rows), cosines)
    fresh = unit(1, seed + 1)[0]
    assert likeness(fresh) == pytest.approx(np.mean([fresh @ row for row in rows]))
    for i in range(n):
        others = [rows[i] @ rows[j] for j in range(n) if j != i]
        assert own[i] == pytest.approx(np.mean(others), abs=1e-9)
        for gone in range(n):
            rest = [rows[i] @ rows[j] for j in range(n) if j not in (i, gone)]
            assert np.isnan(fewer[i, gone]) if gone == i else fewer[i, gone] == pytest.approx(np.mean(rest or [0.0]))


def test_of_identical_references_each_is_wholly_like_the_others() -> None:
    row = unit(1, 3)[0]
    likeness, own, _ = to_each([row] * 4, cosines)
    assert own == pytest.approx([1] * 4) and likeness(row) == pytest.approx(1)


def test_the_mean_over_pairs_does_not_depend_on_how_many_references_there_are() -> None:
    """A centroid comes nearer the person the more references it has; pairs do not, so floor and ceiling stay put."""
    person, rng = unit(1, 5, 32)[0] * 4, np.random.default_rng(6)

    def ceiling(count: int) -> float:
        found = []
        for _ in range(300):
            rows = person + rng.standard_normal((count, 32))
            found += to_each(list(rows / np.linalg.norm(rows, axis=1, keepdims=True)), cosines)[1]
        return float(np.mean(found))

    assert ceiling(5) == pytest.approx(ceiling(25), abs=0.01)
