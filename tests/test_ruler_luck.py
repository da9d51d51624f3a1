"""Which pictures a dataset happens to show ships nothing that is right at the limit."""

from __future__ import annotations

from unittest import mock

from benchmarks.ruler_luck import row
from lora_doctor.metrics import identity
from lora_doctor.types import FRAMINGS


def shipped(line: str) -> float:
    return float(line.split("|")[3])


def test_at_the_limit_one_in_twenty_ships_whatever_the_references_are_and_a_known_ruler_would_ship_more() -> None:
    assert (
        shipped(row("18", [FRAMINGS[i % 3] for i in range(18)], 0.60, 60, False))
        <= 0.05 + 3 * (0.05 * 0.95 / 60) ** 0.5
    )
    with mock.patch.object(identity, "with_ruler_error", lambda estimate, *_: estimate):
        assert shipped(row("18", [FRAMINGS[i % 3] for i in range(18)], 0.60, 60, False)) > 0.15


def test_many_close_ups_make_no_other_framing_surer() -> None:
    """A score over all framings has the errors of each framing's own marks, not of all pictures together."""
    uneven = [framing for framing, many in zip(FRAMINGS, (80, 6, 6), strict=True) for _ in range(many)]
    assert shipped(row("uneven", uneven, 0.60, 60, True)) <= 0.05 + 3 * (0.05 * 0.95 / 60) ** 0.5
