"""Copying is told from likeness, and two people from one, each against what the dataset itself would set off."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from lora_doctor.metrics.copying import measure
from lora_doctor.metrics.ruler import Ruler, build_ruler
from lora_doctor.types import CLOSE_UP, FRAMINGS, FULL_BODY, Cell, Reading, Study
from tests.metrics.make_study import SPEC, get, make_study, reading, references


def of_reference(study: Study, number: int, share: float) -> Study:
    """The study with a share of the renders at the ship weights replaced by a reference's face."""
    rng, face = random.Random(1), study.references[number]
    assert isinstance(face, Reading)
    renders = {
        cell.key: replace(study.renders[cell.key], face=face.face)
        for cell in study.cells
        if cell.weight in study.ship_weights and rng.random() < share
    }
    return replace(study, renders={**study.renders, **renders})


def test_copies_closer_than_the_references_are_to_each_other_are_counted() -> None:
    found = measure(make_study(identity=lambda c: c.weight * (1.2 if c.environment == "beach" else 0.9)))
    assert get(found, "identity.above_ceiling").value == pytest.approx(0.1)  # beach at weight 1 only
    assert get(found, "identity.above_ceiling_excess").value == pytest.approx(0.1)


def test_copies_are_found_where_full_bodies_are_less_alike_than_close_ups() -> None:
    """Each reference is held to its own framing: else every close-up would be above the ceiling of all."""
    alike = dict(zip(FRAMINGS, (0.85, 0.7, 0.5), strict=True))
    refs = tuple(
        reading(cosine=alike[framing] + 0.01 * (number % 5 - 2), noise=2 + number, labels=SPEC | {"framing": framing})
        for number, framing in enumerate(FRAMINGS * 8)
    )
    study = make_study(refs=refs, identity=lambda c: 0.0 if c.weight == 0 else 0.9)
    copied = {
        cell.key: replace(study.renders[cell.key], face=refs[FRAMINGS.index(cell.framing)].face)
        for cell in study.cells
        if cell.weight and cell.replicate == 0
    }
    ruler = build_ruler(study)
    assert isinstance(ruler, Ruler)
    bars = {framing: mark.floor.value + 1.1 * mark.gap.value for framing, mark in ruler.framings.items()}
    assert all(one < bars[f] for one, f in zip(ruler.references.similarities, ruler.references.framings, strict=True))
    share, excess = (
        get(measure(replace(study, renders={**study.renders, **copied})), f"identity.above_ceiling{end}")
        for end in ("", "_excess")
    )
    assert excess.value == pytest.approx(share.value)


def test_a_reference_that_is_given_back_attracts_and_is_named() -> None:
    found = measure(of_reference(make_study(), 4, 0.7))
    one, excess = (get(found, f"identity.{name}") for name in ("attraction", "attraction_excess"))
    assert one.value == pytest.approx(0.7, abs=0.12) and one.pictures == (4,)
    assert one.interval and one.interval[0] > 0.4
    assert excess.interval and excess.interval[0] > 0.15


def test_copies_of_one_reference_attract_together() -> None:
    study = of_reference(make_study(), 4, 0.7)
    refs = (*study.references, *([study.references[4]] * 3))
    images = (*study.dataset.images, *([study.dataset.images[4]] * 3))
    doubled = replace(study, references=refs, dataset=replace(study.dataset, images=images), copies=((4, 18, 19, 20),))
    one = get(measure(doubled), "identity.attraction")
    assert one.value == pytest.approx(get(measure(study), "identity.attraction").value)
    assert one.pictures == (4, 18, 19, 20)


def test_the_one_full_body_of_a_dataset_of_close_ups_copies_nothing_because_all_full_bodies_are_nearest_to_it() -> None:
    """Bodies are like bodies: their faces are small, and blurred alike."""
    rng = np.random.default_rng(5)

    def near(axis: int, one: Reading) -> Reading:
        row = rng.standard_normal(256) / 16
        row[[0, 100 + axis]] += 1
        return replace(one, face=replace(one.face, embedding=(row / np.linalg.norm(row)).astype(np.float32)))

    refs = tuple(near(int(i == 20), one) for i, one in enumerate(references([CLOSE_UP] * 20 + [FULL_BODY])))
    base = make_study(refs=refs, replicates=8)
    keys = {cell.key: cell for cell in base.cells if cell.weight}
    drawn = {key: near(int(cell.framing != CLOSE_UP), base.renders[key]) for key, cell in keys.items()}
    study = replace(base, renders={**base.renders, **drawn})
    one = get(measure(study), "identity.attraction")
    assert one.value is not None and one.value < 0.4
    assert one.reason and "without upper_body, full_body: fewer than 5 references" in one.reason
    unread = replace(study, references=tuple(replace(r, probabilities={}) for r in refs))  # of which nobody knows
    assert (get(measure(unread), "identity.attraction").value or 0) > 0.6


def test_new_pictures_of_the_person_set_off_no_alarm() -> None:
    """Faces drawn as the references were: what is typical of few references is no copying."""
    rng = np.random.default_rng(3)
    base = make_study()
    person = rng.standard_normal(256)

    def fresh(one: Reading, noise: float = 1.0) -> Reading:
        row = person + noise * rng.standard_normal(256)
        return replace(one, face=replace(one.face, embedding=(row / np.linalg.norm(row)).astype(np.float32)))

    alarms = 0
    for _ in range(20):
        refs = tuple(fresh(one) for one in references([CLOSE_UP] * 8))
        renders = {c.key: fresh(base.renders[c.key]) if c.weight else base.renders[c.key] for c in base.cells}
        study = replace(
            base, references=refs, renders=renders, dataset=replace(base.dataset, images=base.dataset.images[:8])
        )
        found = measure(study)
        for name, limit in (("above_ceiling", 0.25), ("attraction", 0.40)):
            share, excess = (get(found, f"identity.{each}").interval for each in (name, f"{name}_excess"))
            assert share and excess
            alarms += share[0] > limit and excess[0] > 0.15
    assert alarms == 0


@pytest.mark.parametrize(("stranger", "same"), [(0.4, 0.6), (0.0, 1.0), (1.0, 0.0)])
def test_two_people_are_counted_apart(stranger: float, same: float) -> None:
    def of(cell: Cell) -> float:
        order = (hash((cell.environment, cell.framing)) + cell.replicate * 7) % 10
        return 0.0 if not cell.weight else (0.05 if order < 10 * stranger else 0.9)

    shares = {(c.environment, c.framing, c.replicate): of(c) for c in make_study().cells if c.weight == 1}
    found = measure(make_study(identity=of, replicates=4))
    assert shares
    low, high = (get(found, f"identity.{name}") for name in ("stranger_share", "same_share"))
    assert (low.value or 0) + (high.value or 0) == pytest.approx(1)
    assert low.value == pytest.approx(stranger, abs=0.25) and high.value == pytest.approx(same, abs=0.25)
    assert low.reason == "at weight 1"


def test_no_face_and_a_poor_likeness_are_neither_person() -> None:
    found = measure(make_study(identity=lambda c: None if c.weight and c.replicate else 0.4 * (c.weight > 0)))
    assert get(found, "identity.stranger_share").value == 0.0
    assert get(found, "identity.same_share").value == 0.0


def test_a_lower_weight_that_does_not_hold_is_no_second_person() -> None:
    found = measure(make_study(identity=lambda c: 0.95 if c.weight == 1 else 0.05))
    assert get(found, "identity.stranger_share").value == 0.0


def test_without_a_ruler_every_one_has_a_reason() -> None:
    told, silent = measure(make_study()), measure(make_study(weights=(0.7, 1.0)))
    assert {m.name for m in told} == {m.name for m in silent}
    assert all(m.value is None and "cannot measure identity" in (m.reason or "") for m in silent)
