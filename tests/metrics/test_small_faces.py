"""What is lost in small faces is told against close-ups, from the closer look, and not without one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from lora_doctor.metrics.small_faces import measure
from lora_doctor.types import CLOSE_UP, FULL_BODY, UPPER_BODY, Cell, Reading, Study
from tests.metrics.make_study import CEILING, DIMENSIONS, FLOOR, get, make_study

HELD = {CLOSE_UP: 0.9, UPPER_BODY: 0.7, FULL_BODY: 0.1}


def _study(closer: float | None, confidence: Mapping[str, float] | None = None) -> Study:
    """Full-body faces read as 0.1, and as `closer` from closer; the base model's are as sure as `confidence` says."""
    study = make_study(identity=lambda c: HELD[c.framing] * (c.weight > 0))
    cells = {cell.key: cell for cell in study.cells}
    return replace(
        study, renders={key: _seen(cells[key], one, closer, confidence or {}) for key, one in study.renders.items()}
    )


def _seen(cell: Cell, seen: Reading, closer: float | None, confidence: Mapping[str, float]) -> Reading:
    if cell.weight == 0:
        return replace(seen, face=replace(seen.face, score=confidence.get(cell.framing, 1.0)))
    if cell.framing != FULL_BODY or closer is None:
        return seen
    cosine = FLOOR + closer * (CEILING - FLOOR)
    row = np.zeros(DIMENSIONS, np.float32)
    row[0], row[1] = cosine, math.sqrt(1 - cosine**2)
    return replace(seen, face=replace(seen.face, closer=row))


@pytest.mark.parametrize("closer", [0.1, 0.5, 0.9])
def test_what_a_closer_look_gives_back_is_not_lost(closer: float) -> None:
    found = get(measure(_study(closer)), "identity.small_face_loss")
    assert found.value == pytest.approx(0.9 - closer, abs=0.01)
    assert found.interval is not None


def test_what_the_base_models_small_faces_lose_in_confidence_is_taken_off() -> None:
    plain, unsure = _study(0.3), _study(0.3, {CLOSE_UP: 1.0, FULL_BODY: 0.8})
    before, after = (get(measure(one), "identity.small_face_loss").value for one in (plain, unsure))
    assert before is not None and after == pytest.approx(before - 0.2, abs=0.01)


def test_without_a_closer_look_there_is_a_reason_and_no_number() -> None:
    found = get(measure(_study(None)), "identity.small_face_loss")
    assert found.value is None and found.reason == "no full-body face was read from closer"
