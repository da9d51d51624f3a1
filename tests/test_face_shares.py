"""Weighted shares, quantiles and their errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lora_doctor.face_shares import left_out, normal_chance, quantile, share, sure_faces
from lora_doctor.types import FaceReading
from tests.audits.make_case import Picture, make_case


def test_certain_readings_have_no_width() -> None:
    assert share([1, 1, 2], [True, False, True], [1, 0, 1]) == (0.75, (0.75, 0.75))


def test_the_interval_holds_the_count_in_nine_of_ten_worlds() -> None:
    rng = np.random.default_rng(0)
    chances = rng.uniform(0.05, 0.95, 60)
    _, (low, high) = share([1.0] * 60, [chance > 0.5 for chance in chances], list(chances))
    counts = (rng.random((20000, 60)) < chances).mean(axis=1)
    assert np.mean((counts >= low) & (counts <= high)) == pytest.approx(0.9, abs=0.03)


def test_the_interval_always_holds_the_share() -> None:
    value, (low, high) = share([1, 1], [True, True], [0.5, 0.5])
    assert low <= value <= high


def test_quantiles_count_repeats() -> None:
    assert quantile([1, 1, 1], [3, 1, 2], 0.5) == 2
    assert quantile([9, 1], [1, 2], 0.9) == 1
    assert quantile([9, 1], [1, 2], 0.95) == 2
    assert quantile([1], [7], 0.1) == 7


def test_chances_are_even_at_the_limit_and_symmetric() -> None:
    assert normal_chance(0, 2) == 0.5
    assert normal_chance(1.0, 2) + normal_chance(-1.0, 2) == pytest.approx(1)
    assert normal_chance(1.6448536 * 2, 2) == pytest.approx(0.95)


def test_faces_that_the_detector_doubts_are_left_out_relative_to_the_others() -> None:
    case = make_case([Picture()] * 6)
    box = (0.0, 0.0, 10.0, 10.0)
    for typical, doubted in ((0.98, 0.58), (0.7, 0.5)):
        scores = [typical] * 5 + [doubted]
        faces = [FaceReading(faces=1, score=score, box=box) for score in scores]
        references = tuple(replace(r, face=f) for r, f in zip(case.references, faces, strict=True) if r is not None)
        kept, doubts = sure_faces(replace(case, references=references))
        assert [index for index, _ in kept] == [0, 1, 2, 3, 4]
        assert doubts == 1
    assert left_out(0) is None
    assert "without 2 " in (left_out(2) or "")


def test_faces_without_a_score_all_count() -> None:
    case = make_case([Picture()] * 2)
    references = tuple(
        replace(r, face=FaceReading(faces=1, box=(0, 0, 9, 9))) for r in case.references if r is not None
    )
    assert len(sure_faces(replace(case, references=references))[0]) == 2
    assert sure_faces(make_case())[0] == []
