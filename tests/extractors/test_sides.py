"""One-sidedness of a head: the other sign in a mirrored picture, none in an even face; size and tilt change little."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from lora_doctor.extractors.sides import GRID, read_sides
from lora_doctor.types import FaceReading


def head(*, size: int = 128, mark: bool = True, turn: float = 0.0) -> tuple[Image.Image, FaceReading]:
    """A face with a dark mark on the image's left cheek, turned by so many degrees about the middle of the picture."""
    image = Image.new("RGB", (size * 4, size * 4), (240, 240, 250))
    draw, u = ImageDraw.Draw(image), size * 4 / 32
    draw.ellipse((8 * u, 6 * u, 24 * u, 26 * u), fill=(230, 190, 160))
    for x in (12.5, 19.5):
        draw.ellipse(((x - 1) * u, 13 * u, (x + 1) * u, 15 * u), fill=(30, 60, 90))
    if mark:
        draw.ellipse((11 * u, 18 * u, 13 * u, 20 * u), fill=(60, 20, 20))
    image = image.rotate(turn, resample=Image.Resampling.BICUBIC, fillcolor=(240, 240, 250)).resize((size, size))
    angle, middle = math.radians(turn), size / 2

    def at(x: float, y: float) -> tuple[float, float]:
        x, y = x * size / 32 - middle, y * size / 32 - middle
        return (middle + x * math.cos(angle) + y * math.sin(angle), middle - x * math.sin(angle) + y * math.cos(angle))

    points = (at(12.5, 14), at(19.5, 14), at(16, 18), at(13, 22), at(19, 22))
    return image, FaceReading(faces=1, box=(0, 0, size, size), landmarks=points)


def mirrored(image: Image.Image, face: FaceReading) -> tuple[Image.Image, FaceReading]:
    """The picture turned left to right, its points again with the image's left first."""
    assert face.landmarks is not None
    turned = [(image.width - x, y) for x, y in face.landmarks]
    left, right, nose, corner, other = turned
    return ImageOps.mirror(image), FaceReading(faces=1, box=face.box, landmarks=(right, left, nose, other, corner))


def sides(image: Image.Image, face: FaceReading) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    found = read_sides(image, face)
    assert found is not None and found.shape == (GRID * GRID // 2 * 3,)
    return np.asarray(found, np.float64)


@pytest.mark.parametrize("turn", [0.0, 12.0, -25.0])
@pytest.mark.parametrize("size", [48, 128])
def test_a_mirrored_picture_has_the_other_sign(size: int, turn: float) -> None:
    shown = head(size=size, turn=turn)
    assert sides(*mirrored(*shown)) == pytest.approx(-sides(*shown), abs=2e-3)


def test_an_even_face_has_no_side() -> None:
    even, marked = sides(*head(mark=False)), sides(*head())
    assert even @ even < 0.05 * (marked @ marked)  # Pillow's ellipses are a pixel wider on the right


@pytest.mark.parametrize("other", [head(size=64), head(turn=15.0), head(size=96, turn=-20.0)])
def test_size_and_tilt_change_little(other: tuple[Image.Image, FaceReading]) -> None:
    one, two = sides(*head()), sides(*other)
    assert one @ two / math.sqrt((one @ one) * (two @ two)) > 0.8


def test_what_is_outside_the_picture_counts_as_alike() -> None:
    image, face = head()
    assert face.landmarks is not None
    left = face.landmarks[0][0] - 6
    cut = image.crop((round(left), 0, image.width, image.height))
    moved = tuple((x - round(left), y) for x, y in face.landmarks)
    found = read_sides(cut, FaceReading(faces=1, landmarks=moved))
    assert found is not None
    halves = found.reshape(GRID, GRID // 2, 3)
    assert not halves[:, : GRID // 4].any() and halves.any()


def test_a_face_without_eyes_or_with_both_in_a_few_pixels_has_none() -> None:
    image, _ = head()
    assert read_sides(image, FaceReading(faces=0)) is None
    assert read_sides(image, FaceReading(faces=1, landmarks=((10, 10), (12, 10)))) is None
