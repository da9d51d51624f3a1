"""A LoRA that knows its captions by heart loses the person where the same words name another place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lora_doctor.metrics.caption_rigidity import measure
from lora_doctor.types import Study
from tests.metrics.make_arm import with_arm
from tests.metrics.make_study import get, make_study


def study(there: float, away: float) -> Study:
    """Five captions; the character is at `there` with them as they are, at `away` where they name another place."""
    made = make_study()
    for arm, level in (("captions", there), ("recombined", away)):
        made = with_arm(made, arm, identity=lambda cell, level=level: level * cell.weight, asked="0")
    places = {place: str(number) for number, place in enumerate(dict.fromkeys(c.environment for c in made.cells))}
    renamed = {
        arm: tuple(replace(cell, asked=places[cell.environment]) for cell in cells) for arm, cells in made.arms.items()
    }
    keys = {
        new.key: made.renders[old.key]
        for arm, cells in made.arms.items() for old, new in zip(cells, renamed[arm], strict=True)
    }  # fmt: skip
    return replace(made, arms=renamed, renders={**made.renders, **keys})


def test_who_comes_at_any_place_loses_nothing() -> None:
    found = measure(study(0.8, 0.8))
    assert get(found, "control.caption_identity").value == pytest.approx(0.8)
    assert get(found, "control.caption_drop").value == pytest.approx(0.0)


def test_captions_learned_by_heart_are_told_by_what_is_lost_at_another_place() -> None:
    drop = get(measure(study(0.8, 0.3)), "control.caption_drop")
    assert drop.value == pytest.approx(0.5)
    assert drop.interval is not None and drop.interval[0] > 0.15 and drop.environments == 5


def test_a_lost_picture_takes_its_pair_along_and_widens_the_interval() -> None:
    whole = study(0.8, 0.3)
    gone = next(cell.key for cell in whole.arms["recombined"] if cell.weight == 1)
    some = {key: one for key, one in whole.renders.items() if key != gone}
    drop = get(measure(replace(whole, renders=some, missing={gone: "lost"})), "control.caption_drop")
    before = get(measure(whole), "control.caption_drop")
    assert drop.interval is not None and before.interval is not None and drop.n == before.n - 1
    assert drop.interval[0] <= before.interval[0] and drop.interval[1] >= before.interval[1]


def test_without_the_arm_there_is_a_reason() -> None:
    assert all(one.value is None and "was not rendered" in str(one.reason) for one in measure(make_study()))
