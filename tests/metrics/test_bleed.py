"""Other people: how much of the character they get."""

from __future__ import annotations

import pytest

from lora_doctor.metrics.bleed import measure
from tests.metrics.make_arm import with_arm
from tests.metrics.make_study import get, make_study

STUDY = make_study()


def test_other_people_who_stay_themselves_have_no_bleed() -> None:
    found = measure(with_arm(STUDY, "other_people", identity=lambda cell: 0.05))
    assert get(found, "bleed.score").value == pytest.approx(0.0)


def test_bleed_is_what_the_lora_adds_at_the_same_seeds() -> None:
    found = measure(with_arm(STUDY, "other_people", identity=lambda cell: 0.1 + 0.4 * cell.weight))
    assert get(found, "bleed.score").value == pytest.approx(0.4)


def test_what_it_is_meant_for_is_said_even_where_nothing_was_rendered() -> None:
    import dataclasses

    assert get(measure(STUDY), "use.with_others").value == 0
    assert get(measure(dataclasses.replace(STUDY, with_others=True)), "use.with_others").value == 1
    assert get(measure(STUDY), "bleed.score").value is None
