"""Prompted environments are rendered or not, and the dataset's own do not creep into new ones."""

from __future__ import annotations

import pytest

from lora_doctor.metrics.environment import measure, trained_environments
from lora_doctor.types import Cell
from tests.metrics.make_study import ENVIRONMENTS, LABEL_SETS, Labels, get, make_study, references


def locked(cell: Cell) -> Labels:
    """With the LoRA on, novel environments turn into the library."""
    return {"environment": "library"} if cell.weight and not cell.trained else {}


def test_what_is_asked_is_what_is_read() -> None:
    found = measure(make_study())
    for weight in ("0", "0.4", "0.7", "1", "ship"):
        assert get(found, "environment.match", weight=weight).value == 1.0
    for kind in ("trained", "novel"):
        assert get(found, "environment.match", weight="ship", environment_kind=kind).value == 1.0
        assert get(found, "environment.adherence_loss", environment_kind=kind).value == 0.0
    assert get(found, "environment.intrusion").value == 0.0


def test_a_lora_locked_to_its_environments_loses_the_novel_ones_to_them() -> None:
    found = measure(make_study(labels=locked))
    for name, where in (("adherence_loss", {"environment_kind": "novel"}), ("intrusion", {})):
        one = get(found, f"environment.{name}", **where)
        assert (one.value, one.n) == (1.0, 18)
        assert one.interval and one.interval[0] > 0.5
    assert get(found, "environment.adherence_loss", environment_kind="trained").value == 0.0
    assert get(found, "environment.match", weight="1").value == pytest.approx(0.4)


def test_what_the_base_model_gets_wrong_is_not_the_loras_fault_and_says_nothing_of_it() -> None:
    found = measure(make_study(labels=lambda c: {"environment": "library"} if not c.trained else {}))
    loss = get(found, "environment.adherence_loss", environment_kind="novel")
    assert loss.value is None
    assert loss.reason == (
        "cannot be told: asked for novel environments, the base model draws them no better than chance (0% against 14%)"
    )
    assert get(found, "environment.adherence_loss", environment_kind="trained").value == 0.0
    assert get(found, "environment.intrusion").value == 0.0
    assert get(found, "environment.match", weight="ship", environment_kind="novel").value == 0.0


def test_losing_a_prompt_to_something_else_is_no_intrusion() -> None:
    found = measure(make_study(labels=lambda c: {"environment": "simple_background"} if c.weight else {}))
    assert get(found, "environment.adherence_loss", environment_kind="novel").value == 1.0
    assert get(found, "environment.intrusion").value == 0.0


def test_environments_of_the_dataset_count_as_trained_unless_planned_as_novel() -> None:
    shown = [*["desert"] * 2, "city", "city", "snow", *["simple_background"] * 9]
    refs = tuple(one for name in shown for one in references(["full_body"], environment=name))
    study = make_study(refs=refs)
    assert trained_environments(study, LABEL_SETS["environment"]) == {"library", "forest", "desert"}


def test_an_environment_the_labels_lack_is_left_out_and_named() -> None:
    found = measure(make_study(environments=[*ENVIRONMENTS, ("rooftop", False)]))
    one = get(found, "environment.match", weight="1")
    assert (one.value, one.n) == (1.0, 30)
    assert one.reason == "the label set has no word for rooftop"
    alone = measure(make_study(environments=[("rooftop", False)]))
    assert get(alone, "environment.match", weight="1").reason == "the label set has no word for rooftop"
    assert get(alone, "environment.match", weight="1").value is None


def test_lost_renders_are_missing_on_both_sides_of_the_pair() -> None:
    def lost(cell: Cell) -> bool:
        return cell.weight == 0 and cell.environment == "beach" and cell.replicate == 0

    found = measure(make_study(labels=locked, missing=lost))
    one = get(found, "environment.adherence_loss", environment_kind="novel")
    assert (one.value, one.n) == (1.0, 15)
    assert one.reason == "3 of 18 units are missing: not rendered, or not readable"


@pytest.mark.parametrize("case", ["no label set", "no weight 0"])
def test_what_cannot_be_measured_says_why(case: str) -> None:
    without = {name: labels for name, labels in LABEL_SETS.items() if name != "environment"}
    study = make_study(label_sets=without) if case == "no label set" else make_study(weights=(0.7, 1.0))
    told = "environment.planned" if case == "no label set" else ("environment.planned", "environment.match")
    found = [m for m in measure(study) if m.name not in told]
    assert {m.value for m in found} == {None}
    reasons = {m.reason for m in found}
    assert reasons == {
        "there is no label set of environments" if case == "no label set" else "no such cell was planned"
    }


def test_the_places_of_either_kind_are_counted() -> None:
    found = measure(make_study(environments=(("beach", False), ("city", False), ("snow", False))))
    planned = [get(found, "environment.planned", environment_kind=kind).value for kind in ("trained", "novel")]
    assert planned == [0.0, 3.0]
