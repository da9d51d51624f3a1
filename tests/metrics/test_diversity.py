"""How much pictures of one prompt still differ, from embeddings that are exactly what a test says."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from lora_doctor.metrics.diversity import NAME, measure
from lora_doctor.types import Study
from tests.metrics.make_study import get, make_study

BASE = 0.8
"""Radians between two of the base model's pictures of one prompt."""


def spread(kept: float, replicates: int = 2) -> Study:
    """A study in which replicates lie `kept` times as far apart with the LoRA as without, as angles."""
    study = make_study(replicates=replicates)
    renders = {}
    for cell in study.cells:
        angle = BASE * cell.replicate * (kept if cell.weight else 1.0)
        row = np.array([math.cos(angle), math.sin(angle)], np.float32)
        renders[cell.key] = replace(study.renders[cell.key], embedding=row)
    return replace(study, renders=renders)


def test_the_base_models_own_diversity_is_one() -> None:
    assert get(measure(spread(1.0)), NAME).value == pytest.approx(1.0)


def test_pictures_that_do_not_differ_have_none() -> None:
    assert get(measure(spread(0.0)), NAME).value == pytest.approx(0.0, abs=1e-6)


def test_half_of_the_angle_is_about_a_quarter_of_the_distance() -> None:
    expected = (1 - math.cos(BASE / 2)) / (1 - math.cos(BASE))
    assert get(measure(spread(0.5)), NAME).value == pytest.approx(expected, abs=1e-5)


def test_one_picture_of_a_prompt_tells_no_diversity() -> None:
    assert get(measure(spread(1.0, replicates=1)), NAME).value is None
