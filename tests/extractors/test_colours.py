"""Colours by pixels: known pictures give known colours, and what cannot be seen is not told."""

from __future__ import annotations

import math
import random
import time

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fixtures.miniature.world import vocabulary as words
from fixtures.miniature.world.character import Character
from fixtures.miniature.world.drawing import draw_scene
from fixtures.miniature.world.scene import random_scene
from lora_doctor.extractors.colours import BACKGROUND, CHEEKS, EYES, HAIR, PICTURE, read_colours
from lora_doctor.types import FaceReading

HAIR_RGB, SKIN, IRIS, WALL = (60, 100, 220), (250, 225, 210), (30, 160, 60), (230, 230, 230)


def lab(rgb: tuple[int, int, int]) -> tuple[float, float, float]:
    """Of a plain picture."""
    return read_colours(Image.new("RGB", (8, 8), rgb), FaceReading(faces=0))[PICTURE]


def head(
    *, size: int = 256, hair: tuple[int, int, int] = HAIR_RGB, skin: tuple[int, int, int] = SKIN
) -> tuple[Image.Image, FaceReading]:
    """A head with a cap of hair, drawn into the middle of a wall."""
    image = Image.new("RGB", (size, size), WALL)
    draw, u = ImageDraw.Draw(image), size / 256
    draw.ellipse((64 * u, 40 * u, 192 * u, 220 * u), fill=hair)
    draw.ellipse((80 * u, 80 * u, 176 * u, 216 * u), fill=skin)
    for x in (104, 152):
        draw.ellipse(((x - 12) * u, 132 * u, (x + 12) * u, 152 * u), fill=(255, 255, 255))
        draw.ellipse(((x - 8) * u, 134 * u, (x + 8) * u, 150 * u), fill=IRIS)
        draw.ellipse(((x - 3) * u, 139 * u, (x + 3) * u, 145 * u), fill=(0, 0, 0))
    points = ((104, 142), (152, 142), (128, 165), (112, 190), (144, 190))
    box = (80 * u, 100 * u, 176 * u, 212 * u)
    return image, FaceReading(faces=1, box=box, landmarks=tuple((x * u, y * u) for x, y in points))


def apart(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return math.dist(one, other)


@pytest.mark.parametrize(
    ("rgb", "known"),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0, 0)),
    ],
)
def test_lab_is_that_of_the_standard(rgb: tuple[int, int, int], known: tuple[float, ...]) -> None:
    assert lab(rgb) == pytest.approx(known, abs=0.05)


def test_the_picture_is_a_mean_of_colours() -> None:
    image = Image.new("RGB", (400, 200), (255, 255, 255))
    image.paste((0, 0, 0), (0, 0, 100, 200))
    assert read_colours(image, FaceReading(faces=0))[PICTURE] == pytest.approx((75, 0, 0), abs=0.5)


@pytest.mark.parametrize("hair", [HAIR_RGB, (20, 20, 20), (250, 220, 100)])
def test_the_background_is_the_wall_whatever_the_person_looks_like(hair: tuple[int, int, int]) -> None:
    assert apart(read_colours(*head(hair=hair))[BACKGROUND], lab(WALL)) < 1


def test_a_face_that_fills_the_picture_leaves_no_background() -> None:
    image, _ = head()
    assert BACKGROUND not in read_colours(image, FaceReading(faces=1, box=(10, 20, 246, 250)))


@pytest.mark.parametrize("size", [96, 256, 900])
def test_hair_and_eyes_are_told_apart_from_skin_and_wall_at_every_size(size: int) -> None:
    seen = read_colours(*head(size=size))
    assert apart(seen[HAIR], lab(HAIR_RGB)) < 3
    assert apart(seen[EYES], lab(IRIS)) < 8 and apart(seen[CHEEKS], lab(SKIN)) < 3


def test_hair_of_the_colour_of_skin_is_still_hair() -> None:
    seen = read_colours(*head(hair=(245, 222, 205)))
    assert apart(seen[HAIR], lab((245, 222, 205))) < 3


def test_a_small_face_has_hair_but_no_eyes() -> None:
    seen = read_colours(*head(size=64))
    assert EYES not in seen and apart(seen[HAIR], lab(HAIR_RGB)) < 5


def test_without_landmarks_there_are_no_eyes_and_without_a_face_all_is_background() -> None:
    image, face = head()
    assert set(read_colours(image, FaceReading(faces=1, box=face.box))) == {PICTURE, BACKGROUND, CHEEKS, HAIR}
    assert set(read_colours(image, FaceReading(faces=0))) == {PICTURE, BACKGROUND}


@pytest.mark.parametrize("box", [(-80.0, -40.0, 60.0, 100.0), (200.0, 180.0, 330.0, 330.0), (10.0, 0.0, 240.0, 256.0)])
def test_a_face_at_the_edge_or_beyond_it_does_no_harm(box: tuple[float, float, float, float]) -> None:
    image, _ = head()
    points = ((box[0], box[1]), (box[2], box[1]), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0))
    seen = read_colours(image, FaceReading(faces=1, box=box, landmarks=points))
    assert all(len(colour) == 3 and np.isfinite(colour).all() for colour in seen.values())


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_every_mode_is_read(mode: str) -> None:
    image, face = head()
    assert PICTURE in read_colours(image.convert(mode), face)


def test_the_miniatures_people_are_read_right_in_every_environment() -> None:
    rng = random.Random(11)
    known = {name: lab(rgb) for name, rgb in words.HAIR_COLOURS.items()}
    for environment in words.ENVIRONMENTS:
        right = []
        for framing in words.FRAMINGS * 10:
            character = Character.from_seed(rng.randrange(10**6, 10**7))
            drawn = draw_scene(random_scene(rng, character, framing=framing, environment=environment))
            hair = read_colours(drawn.image, FaceReading(faces=1, box=drawn.face_box))[HAIR]
            right.append(min(known, key=lambda name: apart(known[name], hair)) == character.hair_colour)
        assert sum(right) >= 0.9 * len(right), environment


def test_a_picture_costs_milliseconds() -> None:
    image, face = head(size=1024)
    began = time.perf_counter()
    for _ in range(20):
        read_colours(image, face)
    assert (time.perf_counter() - began) / 20 < 0.02  # about 2 ms where the machine is quiet
