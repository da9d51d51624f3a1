"""The hash of look-alikes: equal for the same picture, near for altered ones, exact for mirrored ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from lora_doctor.perceptual_hash import BITS, perceptual_hashes

FLIPPED = Image.Transpose.FLIP_LEFT_RIGHT


def scene(seed: int, size: tuple[int, int] = (96, 96)) -> Image.Image:
    """Smooth random shapes, as pictures have them."""
    coarse = np.random.default_rng(seed).integers(0, 256, (16, 16), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def apart(one: Image.Image, other: Image.Image) -> int:
    return (perceptual_hashes(one)[0] ^ perceptual_hashes(other)[0]).bit_count()


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_the_mirrored_hash_is_the_hash_of_the_mirrored_picture(seed: int, width: int, height: int) -> None:
    picture = scene(seed, (32 * width, 32 * height))  # so that shrinking rounds both the same
    assert perceptual_hashes(picture) == perceptual_hashes(picture.transpose(FLIPPED))[::-1]


@given(st.integers(0, 10_000), st.integers(64, 200), st.integers(64, 200))
@settings(max_examples=40, deadline=None)
def test_rounding_changes_few_bits_of_the_mirrored_hash(seed: int, width: int, height: int) -> None:
    picture = scene(seed, (width, height))
    told, turned = perceptual_hashes(picture)[1], perceptual_hashes(picture.transpose(FLIPPED))[0]
    assert (told ^ turned).bit_count() <= 8  # 0 or 1 in four of five pictures, 6 in one of 450; 12 still counts as near


@pytest.mark.parametrize("seed", range(8))
def test_size_and_brightness_hardly_change_it(seed: int) -> None:
    picture = scene(seed)
    assert apart(picture, picture.resize((400, 300), Image.Resampling.BICUBIC)) <= 4
    assert apart(picture, ImageEnhance.Brightness(picture).enhance(0.8)) <= 4


def test_different_pictures_differ_in_about_half_of_the_bits() -> None:
    distances = [apart(scene(a), scene(b)) for a in range(12) for b in range(a)]
    assert min(distances) > 12 and abs(np.mean(distances) - BITS / 2) < 4


@pytest.mark.parametrize("level", [0, 1, 77, 254, 255])
def test_flat_pictures_have_no_waves(level: int) -> None:
    assert perceptual_hashes(Image.new("L", (50, 31), level)) == (0, 0)


def test_it_fits_64_bits_and_uses_them() -> None:
    hashes = [perceptual_hashes(scene(seed))[0] for seed in range(200)]
    used = [sum(one >> bit & 1 for one in hashes) for bit in range(BITS)]
    assert all(0 <= one < 2**BITS for one in hashes) and all(20 < count < 180 for count in used)
