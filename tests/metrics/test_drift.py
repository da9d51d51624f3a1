"""Places without anybody: what the LoRA does to them, from embeddings and labels that are exactly what a test says."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lora_doctor.metrics.drift import measure
from lora_doctor.types import FULL_BODY, Cell, Study
from tests.metrics.make_arm import with_arm
from tests.metrics.make_study import get, make_study

SEED_ANGLE = 0.6
"""Radians between the base model's pictures of one place."""


def places(angle: Callable[[Cell], float], **arm: object) -> Study:
    """The arm with each picture's embedding turned by `angle` from its seed's own."""
    study = with_arm(make_study(), "places", framings=(FULL_BODY,), **arm)  # type: ignore[arg-type]
    renders = dict(study.renders)
    for cell in study.arms["places"]:
        turned = SEED_ANGLE * cell.replicate + angle(cell)
        row = np.array([math.cos(turned), math.sin(turned)], np.float32)
        renders[cell.key] = replace(renders[cell.key], embedding=row)
    return replace(study, renders=renders)


def half_angle(angle: float) -> float:
    return (1 - math.cos(angle)) / 2


def test_a_lora_that_changes_nothing_has_no_drift() -> None:
    found = measure(places(lambda _: 0.0, identity=lambda _: None))
    for name in ("place_loss", "people", "distance", "relative"):
        assert get(found, f"drift.{name}").value == pytest.approx(0.0, abs=1e-6)
    assert get(found, "drift.seeds").value == pytest.approx(half_angle(SEED_ANGLE), abs=1e-6)


def test_as_far_as_another_seed_is_a_relative_drift_of_one() -> None:
    found = measure(places(lambda cell: SEED_ANGLE * cell.weight))
    assert get(found, "drift.relative").value == pytest.approx(1.0, abs=1e-5)


def test_a_place_that_no_longer_comes_and_a_person_who_does_are_counted() -> None:
    found = measure(places(
        lambda _: 0.0, identity=lambda cell: 0.5 if cell.weight else None,
        labels=lambda cell: {"environment": "desert"} if cell.weight and cell.environment == "forest" else {},
    ))  # fmt: skip
    assert get(found, "drift.place_loss").value == pytest.approx(1 / 5)
    assert get(found, "drift.people").value == pytest.approx(1.0)


def test_places_that_the_labels_have_no_word_for_are_left_out_and_named() -> None:
    def lost(cell: Cell) -> dict[str, str]:
        return {"environment": "desert"} if cell.weight and cell.environment == "forest" else {}

    known = measure(places(lambda _: 0.0, labels=lost))
    study = places(lambda _: 0.0, labels=lost)
    arm = study.arms["places"]
    odd = tuple(replace(cell, environment="igloo") for cell in arm if cell.environment == "library")
    more = {cell.key: replace(study.renders[arm[0].key], probabilities={}) for cell in odd}
    found = measure(replace(study, arms={"places": (*arm, *odd)}, renders={**study.renders, **more}))
    one, other = (get(each, "drift.place_loss") for each in (known, found))
    assert one.value == other.value == pytest.approx(1 / 5) and one.interval == other.interval
    assert "the label set has no word for igloo" in (other.reason or "")


def test_without_the_arm_nothing_is_said_but_why() -> None:
    found = measure(make_study())
    assert {one.value for one in found} == {None} and all("was not rendered" in str(one.reason) for one in found)


def test_a_lost_picture_never_makes_the_drift_firmer() -> None:
    whole = places(lambda cell: 0.3 * cell.weight)
    (lost, *_) = [cell for cell in whole.arms["places"] if cell.weight]
    torn = replace(whole, renders={key: one for key, one in whole.renders.items() if key != lost.key})
    for name in ("place_loss", "distance"):
        before, after = (get(measure(study), f"drift.{name}").interval for study in (whole, torn))
        assert before is not None and after is not None
        assert after[0] <= before[0] + 1e-9 and after[1] >= before[1] - 1e-9
