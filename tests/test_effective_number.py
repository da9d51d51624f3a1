"""Effective numbers as mathematics: closed forms, bounds, invariances."""

from __future__ import annotations

import numpy as np
import pytest

from lora_doctor.effective_number import MOST, evenly, near, of_alike, of_labels, of_shares


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_equal_shares_count_fully(count: int) -> None:
    assert of_shares([3.0] * count) == pytest.approx(count)


def test_a_rare_one_counts_little() -> None:
    assert 1 < of_shares([99, 1]) < 1.1
    assert of_shares([9, 1, 0]) == of_shares([1, 9])


def test_labels_are_weighted_by_repeats() -> None:
    told, none = np.array([0, 0, 1]), np.zeros((0, 3), int)
    assert of_labels(told, none, np.array([1.0, 1.0, 2.0])).value == pytest.approx(2)


def test_the_interval_holds_the_value_and_the_doubt() -> None:
    told = np.array([0] * 10)
    drawn = np.array([[0] * 10] * 50 + [[0] * 5 + [1] * 5] * 50)
    number = of_labels(told, drawn, np.ones(10))
    assert (number.value, number.low) == (1.0, 1.0) and number.high == pytest.approx(2)


def test_likeness_of_copies_is_one_and_of_strangers_their_number() -> None:
    assert of_alike(np.ones((6, 6)), np.ones(6)) == pytest.approx(1)
    assert of_alike(np.eye(6), np.ones(6)) == pytest.approx(6)


def test_groups_of_copies_are_counted_as_groups() -> None:
    points = np.repeat(np.array([[0.0, 0], [100, 0], [0, 100]]), 5, axis=0)
    assert of_alike(near(points, 10), np.ones(15)) == pytest.approx(3, abs=1e-6)


def test_repeating_a_picture_is_the_same_as_copying_it() -> None:
    points = np.array([[0.0, 0], [8, 0], [30, 10]])
    copied = np.concatenate([points, points[:1], points[:1]])
    assert of_alike(near(points, 10), np.array([3.0, 1, 1])) == pytest.approx(of_alike(near(copied, 10), np.ones(5)))


def test_many_pictures_are_picked_evenly() -> None:
    assert evenly(5) == [0, 1, 2, 3, 4]
    chosen = evenly(10 * MOST)
    assert len(chosen) == MOST and chosen[0] == 0 and set(np.diff(chosen)) == {10}
