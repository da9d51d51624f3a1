"""What the decoder takes is the score before minus the score after, framing by framing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lora_doctor.metrics.round_trip_loss import NAME, measure
from lora_doctor.types import CLOSE_UP, FULL_BODY, UPPER_BODY, Reading, Study
from tests.metrics.make_study import CEILING, FLOOR, get, make_study, reading, references

LEFT = {CLOSE_UP: 1.0, UPPER_BODY: 0.9, FULL_BODY: 0.6}
"""Framing -> the share of the way from the base model's face that a picture has left after the round trip."""


def _redrawn(index: int, own: Reading, left: float | None) -> Reading:
    seen = reading(
        cosine=None if left is None else FLOOR + left * (CEILING - FLOOR), noise=200 + index,
        labels={"framing": own.top_label(make_study().label_sets["framing"]) or ""},
    )  # fmt: skip
    return seen


def _study(left: dict[str, float | None]) -> Study:
    study = make_study(identity=lambda c: 0.0)
    framing = study.label_sets["framing"]
    known = {i: one for i, one in enumerate(study.references) if one is not None}
    return replace(study, redrawn={i: _redrawn(i, one, left[one.top_label(framing) or ""]) for i, one in known.items()})


def test_the_loss_is_what_the_round_trip_takes() -> None:
    study = _study(dict(LEFT))
    for framing, left in LEFT.items():
        found = get(measure(study), NAME, framing=framing)
        # References agree with the centroid of the others less than with the axis that they all share.
        assert found.value == pytest.approx(1.0 - left, abs=0.03)
        assert found.interval is not None and found.n == 6


def test_a_face_that_the_round_trip_loses_is_all_lost() -> None:
    found = get(measure(_study({**LEFT, FULL_BODY: None})), NAME, framing=FULL_BODY)
    assert found.value == pytest.approx(1.0, abs=0.01)


def test_without_pictures_of_a_framing_there_is_a_reason_and_no_number() -> None:
    none = make_study(refs=references((CLOSE_UP, UPPER_BODY) * 6))
    found = get(measure(none), NAME, framing=FULL_BODY)
    assert found.value is None
    assert found.reason == "no full_body picture of the dataset was put through the base model's decoder"
    assert get(measure(none), NAME, framing=CLOSE_UP).reason == ("no picture was put through the base model's decoder")
