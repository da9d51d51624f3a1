"""Which pictures a dataset happens to show ships nothing that is right at the limit."""

from __future__ import annotations

from unittest import mock

from benchmarks.ruler_luck import row
from lora_doctor.metrics import identity


def shipped(line: str) -> float:
    return float(line.split("|")[3])


def test_at_the_limit_one_in_twenty_ships_whatever_the_references_are_and_a_known_ruler_would_ship_more() -> None:
    assert shipped(row(18, 0.60, 60)) <= 0.05 + 3 * (0.05 * 0.95 / 60) ** 0.5
    with mock.patch.object(identity, "with_ruler_error", lambda estimate, *_: estimate):
        assert shipped(row(18, 0.60, 60)) > 0.15
