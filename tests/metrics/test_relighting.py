"""Light that scales the channels is undone exactly; the same light changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lora_doctor.extractors.colours import PICTURE, read_colours
from lora_doctor.metrics.relighting import relit
from lora_doctor.types import FaceReading

SKIN, HAIR = (250, 225, 210), (200, 60, 50)


def lab(rgb: tuple[int, int, int], tint: tuple[float, float, float] = (1, 1, 1)) -> tuple[float, float, float]:
    pixels = np.full((4, 4, 3), np.array(rgb) * np.array(tint)).round().astype(np.uint8)
    return read_colours(Image.fromarray(pixels), FaceReading(faces=0))[PICTURE]


def test_the_same_skin_changes_nothing() -> None:
    assert relit(lab(HAIR), lab(SKIN), lab(SKIN)) == pytest.approx(lab(HAIR), abs=0.02)


@pytest.mark.parametrize("tint", [(1.0, 0.75, 0.5), (0.45, 0.5, 0.8), (0.5, 0.85, 0.95)])
def test_a_tint_is_undone(tint: tuple[float, float, float]) -> None:
    found = relit(lab(HAIR, tint), lab(SKIN, tint), lab(SKIN))
    assert found == pytest.approx(lab(HAIR), abs=6)  # sRGB is not quite a power, and 8 bits are coarse


def test_black_stays_black_and_nothing_divides_by_0() -> None:
    assert relit((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), lab(SKIN)) == pytest.approx((0, 0, 0), abs=0.5)
