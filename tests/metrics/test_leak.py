"""Identity without the trigger, and what a description adds to it."""

from __future__ import annotations

import pytest

from lora_doctor.metrics.leak import measure
from tests.metrics.make_arm import with_arm
from tests.metrics.make_study import get, make_study

STUDY = make_study()


def test_without_the_arm_there_is_a_reason_and_no_number() -> None:
    found = measure(STUDY)
    names = ["leak.identity", "leak.score", "leak.ratio", "trigger.description_gain"]
    assert [one.name for one in found] == names
    for one in found:
        assert one.value is None and "was not rendered" in str(one.reason)


def test_a_character_that_needs_its_trigger_does_not_leak() -> None:
    found = measure(with_arm(STUDY, "no_trigger", identity=lambda cell: 0.0))
    assert get(found, "leak.score").value == pytest.approx(0.0)
    assert get(found, "leak.ratio").value == pytest.approx(0.0)


def test_the_leak_is_what_the_lora_adds_to_the_base_model() -> None:
    study = with_arm(STUDY, "no_trigger", identity=lambda cell: 0.1 + 0.5 * cell.weight)
    assert get(measure(study), "leak.score").value == pytest.approx(0.5)
    assert get(measure(study), "leak.ratio").value == pytest.approx(0.6)  # of 1.0 with the trigger


def test_a_description_that_adds_nothing_gains_nothing() -> None:
    assert get(measure(with_arm(STUDY, "described")), "trigger.description_gain").value == pytest.approx(0.0)


def test_a_trigger_that_does_little_alone_gains_by_a_description() -> None:
    weak = make_study(identity=lambda cell: 0.3 * cell.weight)
    found = get(measure(with_arm(weak, "described")), "trigger.description_gain")
    assert found.value == pytest.approx(0.7)
    assert found.interval is not None and found.interval[0] > 0.2


def test_without_a_ruler_the_reason_is_that_of_the_ruler() -> None:
    found = measure(with_arm(make_study(refs=()), "no_trigger"))
    assert all(one.value is None for one in found)
    assert "usable face" in str(get(found, "leak.score").reason)
