"""Saturation, contrast, detail and clipping of pictures that are known to the pixel."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lora_doctor.extractors.pixels import pixel_facts


def picture(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8))


def flat(*colour: int, side: int = 64) -> Image.Image:
    return picture(np.full((side, side, 3), colour))


def test_grey_has_neither_chroma_nor_contrast_nor_detail() -> None:
    facts = pixel_facts(flat(119, 119, 119))
    assert facts.colour[0] == pytest.approx(50, abs=0.5)  # sRGB 119 is L* 50
    assert (facts.chroma, facts.lightness_spread, facts.detail, facts.clipped) == pytest.approx((0, 0, 0, 0), abs=0.05)


def test_pure_red_is_as_colourful_as_its_lab_says_and_clipped() -> None:
    facts = pixel_facts(flat(255, 0, 0))
    assert facts.colour == pytest.approx((53.24, 80.09, 67.20), abs=0.5)
    assert facts.chroma == pytest.approx(104.55, abs=0.5)
    assert facts.clipped == 1.0


def test_half_black_half_white_has_the_largest_contrast() -> None:
    values = np.zeros((64, 64, 3))
    values[:, 32:] = 255
    assert pixel_facts(picture(values)).lightness_spread == pytest.approx(50, abs=0.1)


def test_noise_has_more_detail_than_its_blur() -> None:
    noise = picture(np.random.default_rng(0).integers(0, 256, (64, 64, 3)))
    blurred = noise.resize((16, 16), Image.Resampling.BOX).resize((64, 64), Image.Resampling.BICUBIC)
    assert pixel_facts(noise).detail > 5 * pixel_facts(blurred).detail


def test_a_picture_in_another_size_of_the_same_says_nearly_the_same() -> None:
    x = np.linspace(60, 200, 1024)
    large = picture(np.stack([np.tile(x, (1024, 1)), np.full((1024, 1024), 90), np.full((1024, 1024), 90)], axis=-1))
    small = large.resize((512, 512), Image.Resampling.BOX)
    one, two = pixel_facts(large), pixel_facts(small)
    assert one.chroma == pytest.approx(two.chroma, rel=0.02)
    assert one.lightness_spread == pytest.approx(two.lightness_spread, rel=0.02)
