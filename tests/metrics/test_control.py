"""What can still be asked for: the base model draws it, the LoRA does or does not."""

from __future__ import annotations

import pytest

from lora_doctor.metrics.control import measure
from lora_doctor.types import UPPER_BODY
from tests.metrics.make_arm import with_arm
from tests.metrics.make_study import get, make_study

STUDY = make_study()


def outfits(lora: str, base: str = "blue_shirt"):
    return with_arm(
        STUDY,
        "outfits",
        asked="blue_shirt",
        framings=(UPPER_BODY,),
        labels=lambda c: {"top": lora if c.weight else base},
    )


def test_clothes_that_come_as_asked_are_no_loss() -> None:
    found = measure(outfits("blue_shirt"))
    assert get(found, "control.loss", kind="outfit").value == pytest.approx(0.0)
    assert get(found, "control.match", kind="outfit").value == 1.0


def test_clothes_that_the_lora_will_not_change_are_lost() -> None:
    found = get(measure(outfits("red_shirt")), "control.loss", kind="outfit")
    assert found.value == pytest.approx(1.0)
    assert found.interval is not None and found.interval[0] > 0.25


def test_what_the_base_model_cannot_draw_cannot_be_lost() -> None:
    found = measure(outfits("red_shirt", base="red_shirt"))
    assert get(found, "control.base_match", kind="outfit").value == 0.0
    loss = get(found, "control.loss", kind="outfit")
    assert loss.value is None
    assert "cannot be told: asked for outfits, the base model draws them no better than" in str(loss.reason)


def test_traits_of_other_people_are_asked_by_their_own_arm() -> None:
    study = with_arm(STUDY, "other_people", asked="black_hair",
                     labels=lambda c: {"hair_colour": "white_hair" if c.weight else "black_hair"})  # fmt: skip
    assert get(measure(study), "control.loss", kind="trait").value == pytest.approx(1.0)


def test_a_label_that_the_framing_does_not_show_is_not_asked_of_it() -> None:
    study = with_arm(STUDY, "outfits", asked="blue_shirt", framings=("close-up",))
    assert get(measure(study), "control.loss", kind="outfit").value is None


def test_what_was_not_rendered_has_a_reason() -> None:
    found = measure(STUDY)
    names = [f"control.{name}" for name in ("match", "base_match", "loss")]
    assert [(one.name, one.where["kind"]) for one in found] == [
        (name, kind) for kind in ("outfit", "pose", "expression", "trait") for name in names
    ]
    for one in found:
        assert one.value is None and "was not rendered" in str(one.reason)
