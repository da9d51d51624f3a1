"""The mixture gives probabilities, respects what is known, and falls back on what is usual."""

from __future__ import annotations

import numpy as np
import pytest

from lora_doctor.role_mixture import SHOTS, USUAL_SHOTS, Seen, shots_of


def seen(count: int, seed: int = 0, **given: np.ndarray) -> Seen:  # type: ignore[type-arg]
    rng = np.random.default_rng(seed)
    clip = rng.dirichlet([0.5] * 3, count)
    parts = {
        "below": rng.lognormal(0.8, 1.0, count), "above": rng.uniform(0, 0.4, count), "clip": clip,
        "plain": rng.uniform(0, 1, count), "allowed": np.ones((count, len(SHOTS)), bool),
    }  # fmt: skip
    return Seen(**{**parts, **given})


@pytest.mark.parametrize("count", [1, 2, 50])
def test_rows_are_probabilities(count: int) -> None:
    rows = shots_of(seen(count))
    assert rows.shape == (count, len(SHOTS))
    assert (rows >= 0).all()
    np.testing.assert_allclose(rows.sum(axis=1), 1)


def test_equal_pictures_have_equal_rows() -> None:
    one = seen(1, 3)
    many = Seen(**{name: np.repeat(getattr(one, name), 9, axis=0) for name in Seen.__annotations__})
    assert np.ptp(shots_of(many), axis=0).max() < 1e-12


def test_a_shot_that_the_user_ruled_out_has_no_chance() -> None:
    allowed = np.ones((30, 4), bool)
    allowed[:10, :2] = False
    rows = shots_of(seen(30, 1, allowed=allowed))
    assert (rows[:10, :2] == 0).all()
    np.testing.assert_allclose(rows.sum(axis=1), 1)


def test_a_picture_nobody_saw_is_what_is_usual() -> None:
    nothing = np.full(1, np.nan)
    blank = seen(1, below=nothing, above=nothing, clip=np.full((1, 3), np.nan), plain=nothing)
    assert shots_of(blank)[0] == pytest.approx(USUAL_SHOTS, abs=0.25)
    assert (shots_of(blank)[0] > 0.02).all()


def test_absurd_geometry_is_an_outlier_and_not_a_number_that_breaks() -> None:
    rows = shots_of(seen(4, below=np.array([-50.0, 1e9, 0.0, 3.0]), above=np.array([0.0, 1.0, 1.0, 0.0])))
    assert np.isfinite(rows).all()
