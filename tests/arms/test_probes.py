"""Probes ask what tells causes apart: turned up, fewer directions, parts left alone."""

from __future__ import annotations

import pytest

from lora_doctor.arms import blocks, headroom, truncation
from lora_doctor.lora_variants import PARTS
from tests.arms.make_case import make_case


@pytest.mark.parametrize("probe", [blocks, headroom, truncation])
def test_a_probe_waits_for_a_finding_and_is_small(probe: object) -> None:
    assert probe.FOR_FINDINGS is True  # type: ignore[attr-defined]
    assert 0 < len(probe.plan(make_case())) <= 64  # type: ignore[attr-defined]


def test_it_is_turned_up_beyond_every_ship_weight() -> None:
    assert {cell.weight for cell in headroom.plan(make_case())} == {1.3, 1.5}


def test_directions_are_left_out_at_the_highest_ship_weight() -> None:
    assert {(cell.weight, cell.variant) for cell in truncation.plan(make_case())} == {(1.0, "rank/2"), (1.0, "rank/4")}


@pytest.mark.parametrize(("rank", "variants"), [(1, set()), (2, {"rank/2"}), (4, {"rank/2", "rank/4"})])
def test_a_lora_of_few_directions_has_none_to_leave_out(rank: int, variants: set[str]) -> None:
    assert {cell.variant for cell in truncation.plan(make_case(rank=rank))} == variants


def test_every_part_of_the_model_is_left_alone_once() -> None:
    assert {cell.variant for cell in blocks.plan(make_case())} == {f"without/{part}" for part in PARTS}
