"""Cramer's V, permutation p-values and Holm's correction as mathematics."""

from __future__ import annotations

import numpy as np
import pytest

from lora_doctor.association import chi_squared, corrected_v, holm, permutation_p


def test_chi_squared_of_a_table_by_hand() -> None:
    first, second = np.repeat([0, 0, 1, 1], [10, 20, 20, 10]), np.repeat([0, 1, 0, 1], [10, 20, 20, 10])
    assert chi_squared(first, second) == pytest.approx(60 * (10 * 10 - 20 * 20) ** 2 / 30**4)


def test_perfect_association_is_one_and_independence_nothing() -> None:
    same = np.arange(30) % 3
    assert corrected_v(same, (same + 1) % 3) == pytest.approx(1)
    assert corrected_v(np.repeat([0, 1], 10), np.tile([0, 1], 10)) == 0


def test_v_is_symmetric_and_bounded() -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        one, other = random.integers(0, 4, 40), random.integers(0, 3, 40)
        assert corrected_v(one, other) == pytest.approx(corrected_v(other, one))
        assert 0 <= corrected_v(one, other) <= 1


def test_chance_does_not_depend_on_order_or_names() -> None:
    random = np.random.default_rng(4)
    for _ in range(5):
        one, other, order = random.integers(0, 4, 30), random.integers(0, 3, 30), random.permutation(30)
        named = (np.array([2, 0, 3, 1])[one], np.array([1, 2, 0])[other])
        assert permutation_p(one, other) == permutation_p(named[0][order], named[1][order])


def test_what_does_not_vary_goes_with_nothing() -> None:
    assert corrected_v(np.zeros(9, int), np.arange(9) % 3) == 0


def test_the_correction_takes_the_chance_of_many_labels_out() -> None:
    """Twenty pictures and eight labels a side: uncorrected V of chance is about 0.6."""
    random = np.random.default_rng(2)
    values = [corrected_v(random.integers(0, 8, 20), random.integers(0, 8, 20)) for _ in range(200)]
    assert np.mean(values) < 0.25


def test_p_values_of_independent_attributes_are_uniform_enough() -> None:
    random = np.random.default_rng(3)
    values = [permutation_p(random.integers(0, 3, 30), random.integers(0, 3, 30)) for _ in range(200)]
    assert np.mean(np.array(values) < 0.05) < 0.11
    assert 0.4 < np.mean(values) < 0.65


def test_a_strong_association_has_a_small_p_the_same_each_time() -> None:
    same = np.arange(30) % 3
    assert permutation_p(same, same) == permutation_p(same, same) <= 0.0002


def test_holm_multiplies_the_smallest_most_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.6]) == [1.0, 1.0] and holm([]) == []
