"""No interval promises more than it holds, with the sizes that check-ups have, and none hides behind width."""

from __future__ import annotations

import pytest

from benchmarks.interval_coverage import Scenario, coverage, scenarios

TRIALS = 600
EXPECTED = (0.90, 0.92)
"""No less than is claimed, as far as so few trials tell, and little more."""
DISCRETE = {
    "rate (Wilson with t)": (0.87, 0.985),
    "paired difference of rates": (0.85, 0.965),
    "unpaired difference of rates": (0.91, 0.99),
}
"""Rates of few units have few values, and miss any level by what lies between two of them."""
CAUTIOUS = {
    "any rate (Wilson with t)": (0.90, 0.945),
    "any unpaired difference of rates": (0.90, 0.96),
    "unpaired difference (Welch)": (0.90, 0.95),
    "declared rate (exact)": (0.90, 0.98),
    "declared difference (exact)": (0.90, 0.985),
    "spread between places": (0.99, 1.0),
    "score with the ruler's error": (0.90, 0.95),
}
"""Two places a side leave one or two degrees of freedom, which Welch's formula rounds down; of two to four places the
rates are often alike or near 0 or 1, where there is little spread to see; exact intervals err with less than they may;
a spread allows for the choice of the two places that lie farthest apart; and the ends of two intervals of few degrees
of freedom are put together as of one."""


@pytest.mark.parametrize("scenario", list(scenarios()), ids=lambda one: f"{one.kind}, {one.where}")
def test_nine_of_ten_intervals_hold_the_truth(scenario: Scenario) -> None:
    """Within three standard errors of so many trials."""
    low, high = (DISCRETE | CAUTIOUS).get(scenario.kind, EXPECTED)
    found = coverage(scenario, TRIALS)
    assert low - 3 * (low * (1 - low) / TRIALS) ** 0.5 <= found <= high + 3 * (high * (1 - high) / TRIALS) ** 0.5
