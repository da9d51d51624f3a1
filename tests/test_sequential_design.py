"""The ship rule by interval, simulated: it errs as rarely as it promises, and takes as many pictures as designed."""

from __future__ import annotations

import random
import statistics

import pytest

from benchmarks.sequential_design import TRUTHS, Design, simulate


def results(name: str, trials: int) -> tuple[float, float, float]:
    """Shares of SHIP and HOLD, and pictures on average, with the spread that the design guessed."""
    rng = random.Random(f"test-{name}")
    found = [simulate(TRUTHS[name], Design(), rng) for _ in range(trials)]
    ship, hold = (statistics.fmean(one.outcome == outcome for one in found) for outcome in ("SHIP", "HOLD"))
    return ship, hold, statistics.fmean(one.pictures for one in found)


@pytest.mark.parametrize(
    ("name", "ship", "hold", "pictures"),
    [
        ("healthy", 1.0, 0.0, 59),
        ("good", 0.97, 0.0, 89),
        ("near", 0.35, 0.0, 149),
        ("weak", 0.0, 0.92, 114),
        ("fail", 0.0, 1.0, 48),
        ("environment-locked", 0.0, 1.0, 50),
    ],
)
def test_power_and_pictures_are_those_of_the_design(name: str, ship: float, hold: float, pictures: float) -> None:
    """Of 192 pictures; the shares within three standard errors of 200 trials, or 0.03, the pictures within a tenth."""
    trials = 200
    found = results(name, trials)
    for share, wanted in zip(found[:2], (ship, hold), strict=True):
        assert share == pytest.approx(wanted, abs=max(0.03, 3 * (wanted * (1 - wanted) / trials) ** 0.5))
    assert found[2] == pytest.approx(pictures, rel=0.1)


def test_the_hardest_lora_that_must_not_ship_is_shipped_once_in_twenty_at_most() -> None:
    ship, _, _ = results("worst", 1500)
    assert ship <= 0.06


def test_looking_once_at_everything_errs_as_little() -> None:
    rng = random.Random(4)
    found = [simulate(TRUTHS["worst"], Design(), rng, sequential=False) for _ in range(800)]
    assert statistics.fmean(one.outcome == "SHIP" for one in found) <= 0.065
    assert {one.pictures for one in found} == {192}
