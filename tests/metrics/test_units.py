"""Slices pick the cells they name, and a unit is one number or missing."""

from __future__ import annotations

import pytest

from lora_doctor.metrics.units import framings_of, pick, sample, ship_caveat, weights_of
from lora_doctor.types import FRAMINGS, FULL_BODY
from tests.metrics.make_study import LABEL_SETS, make_study, reading


def test_the_ship_slice_is_the_ship_weights_and_nothing_else() -> None:
    study = make_study(ship_weights=(0.7, 1.0))
    assert {cell.weight for cell in pick(study, {"weight": "ship"})} == {0.7, 1.0}
    assert {cell.weight for cell in pick(study, {"weight": "0.4"})} == {0.4}
    assert len(pick(study, {})) == len(study.cells)


def test_axes_combine_and_other_keys_do_not_narrow() -> None:
    study = make_study()
    where = {"weight": "1", "framing": FULL_BODY, "environment_kind": "novel", "attribute": "top"}
    assert len(pick(study, where)) == 3 * 2
    assert not pick(study, where | {"environment": "library"})


def test_weights_are_written_as_in_slices_and_ascend() -> None:
    study = make_study(weights=(1.0, 0.0, 0.4))
    assert weights_of(study) == ("0", "0.4", "1")
    assert framings_of(study) == FRAMINGS


def test_a_unit_is_the_mean_over_its_weights_and_missing_when_one_of_them_is() -> None:
    study = make_study(ship_weights=(0.4, 1.0), environments=[("beach", False)], framings=["close-up"])
    ship = pick(study, {"weight": "ship"})
    whole = sample(ship, lambda cell: cell.weight, rate=False)
    assert dict(whole.units["beach"]) == {("close-up", 0): 0.7, ("close-up", 1): 0.7}
    torn = sample(ship, lambda c: None if (c.weight, c.replicate) == (1.0, 1) else c.weight, rate=False)
    assert dict(torn.units["beach"]) == {("close-up", 0): 0.7, ("close-up", 1): None}
    assert (torn.n, torn.planned, torn.means()) == (1, 2, {"beach": 0.7})


def test_masking_makes_a_unit_missing_on_both_sides() -> None:
    cells = pick(make_study(environments=[("beach", False)], framings=["close-up"]), {"weight": "1"})
    one = sample(cells, lambda cell: None if cell.replicate else 1.0, rate=True)
    two = sample(cells, lambda _: 0.5, rate=True)
    assert two.masked(one).n == 1 == one.masked(two).n
    assert one.filled(0.25).means() == {"beach": 0.625}


def test_an_unplanned_ship_weight_is_said_of_ship_slices_only() -> None:
    study = make_study(weights=(0.0, 0.7), ship_weights=(0.7, 0.8, 1.0))
    assert ship_caveat(study, {"weight": "ship"}) == "ship weight 0.8, 1 was not planned"
    assert ship_caveat(study, {"weight": "0.7"}) is None
    assert ship_caveat(make_study()) is None


@pytest.mark.parametrize("label", ["white_hair", "red_hair"])
def test_the_top_label_is_the_most_probable_one(label: str) -> None:
    seen = reading(cosine=None, noise=1, labels={"hair_colour": (label, 0.4)})
    assert seen.top_label(LABEL_SETS["hair_colour"]) == label
    assert seen.top_label(LABEL_SETS["body"]) is None
    assert seen.top_label(None) is None
