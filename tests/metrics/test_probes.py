"""What probes tell: headroom above weight 1, what fewer directions keep, what a part of the model holds."""

from __future__ import annotations

import pytest

from lora_doctor.metrics.probes import measure
from lora_doctor.types import UPPER_BODY
from tests.metrics.make_arm import with_arm
from tests.metrics.make_study import get, make_study

STUDY = make_study(identity=lambda cell: 0.5 * cell.weight)


def test_where_no_probe_was_rendered_there_is_nothing_to_tell() -> None:
    assert measure(STUDY) == []


def test_headroom_is_what_is_gained_above_the_ship_weight() -> None:
    study = with_arm(STUDY, "headroom", weights=(1.3, 1.5), identity=lambda cell: 0.5 * cell.weight)
    found = measure(study)
    assert get(found, "probe.identity", weight="1.3").value == pytest.approx(0.65)
    assert get(found, "probe.headroom", weight="1.5").value == pytest.approx(0.25)


def test_a_lora_that_has_no_more_to_give_has_no_headroom() -> None:
    study = with_arm(STUDY, "headroom", weights=(1.3,), identity=lambda _: 0.5)
    assert get(measure(study), "probe.headroom", weight="1.3").value == pytest.approx(0.0)


def test_what_a_variant_keeps_is_its_share_of_the_whole() -> None:
    study = with_arm(STUDY, "truncation", weights=(1.0,), variant="rank/2", identity=lambda _: 0.2)
    study = with_arm(study, "truncation", weights=(1.0,), variant="rank/4", identity=lambda _: 0.5)
    found = measure(study)
    assert get(found, "probe.kept", variant="rank/2").value == pytest.approx(0.4)
    assert get(found, "probe.kept", variant="rank/4").value == pytest.approx(1.0)


def test_a_part_without_which_new_places_come_back_holds_the_lock() -> None:
    locked = make_study(labels=lambda cell: {"environment": "library"} if cell.weight else {})
    study = with_arm(locked, "blocks", weights=(1.0,), framings=(UPPER_BODY,), variant="without/text_encoder")
    study = with_arm(study, "blocks", weights=(1.0,), framings=(UPPER_BODY,), variant="without/mid",
                     labels=lambda _: {"environment": "library"})  # fmt: skip
    found = measure(study)
    assert get(found, "probe.adherence_gain", variant="without/text_encoder").value == pytest.approx(1.0)
    assert get(found, "probe.adherence_gain", variant="without/mid").value == pytest.approx(0.0)
