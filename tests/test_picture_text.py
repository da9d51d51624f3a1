"""Writing is found where there is some, and nowhere else."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from fixtures.miniature.world import vocabulary as words
from fixtures.miniature.world.character import Character
from fixtures.miniature.world.drawing import draw_empty, draw_scene
from fixtures.miniature.world.scene import random_scene
from lora_doctor.picture_text import SMALLEST, find_writing

SIDE = 512


def drawn(seed: int) -> Image.Image:
    """A scene of the miniature, enlarged."""
    rng = random.Random(seed)
    scene = random_scene(rng, Character.from_seed(5000 + seed % 90))
    return draw_scene(scene).image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def written(
    picture: Image.Image, text: str, at: tuple[float, float], size: float, fill: str = "white", opacity: float = 1.0,
    anchor: str = "mm",
) -> Image.Image:  # fmt: skip
    layer = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    ImageDraw.Draw(layer).text(at, text, font=ImageFont.load_default(size), fill=fill, anchor=anchor)
    layer.putalpha(layer.getchannel("A").point([int(level * opacity) for level in range(256)]))
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")


def seen(picture: Image.Image) -> tuple[tuple[float, float, float, float], ...]:
    return find_writing(picture.convert("L"))


@pytest.mark.parametrize("size", [12, 16, 24, 40, 64, 100])
@pytest.mark.parametrize("fill", ["black", "white"])
def test_a_line_on_a_flat_ground_is_found_at_its_place(size: int, fill: str) -> None:
    picture = written(Image.new("RGB", (SIDE, SIDE), (128, 120, 140)), "Sample text", (SIDE / 2, 200), size, fill)
    (line,) = seen(picture)
    middle = (line[0] + line[2]) / 2, (line[1] + line[3]) / 2
    assert middle == pytest.approx((0.5, 200 / SIDE), abs=0.05)
    width = ImageFont.load_default(size).getlength("Sample text") / SIDE
    assert line[2] - line[0] == pytest.approx(width, rel=0.2)


@pytest.mark.parametrize("width", [256, 640, 1024, 1500])
def test_it_is_found_in_pictures_of_any_size(width: int) -> None:
    picture = Image.new("RGB", (width, width * 3 // 4), (60, 90, 120))
    assert len(seen(written(picture, "please wait here", (width / 2, width / 2), width / 20))) == 1


def test_speech_bubbles_are_found_in_nearly_every_picture() -> None:
    found = 0
    for seed in range(12):
        picture = drawn(seed)
        pen = ImageDraw.Draw(picture)
        pen.ellipse((60, 30, 420, 130), fill="white", outline="black", width=2)
        pen.text((240, 80), "What are you doing here?", font=ImageFont.load_default(22), fill="black", anchor="mm")
        found += any(line[1] < 0.3 and line[3] > 0.1 for line in seen(picture))
    assert found >= 11


def test_signatures_in_a_corner_are_found_in_most_pictures() -> None:
    pictures = [written(drawn(seed), "@neko_art 2024", (500, 500), 18, opacity=0.85, anchor="rd") for seed in range(12)]
    assert sum(any(line[3] > 0.9 for line in seen(picture)) for picture in pictures) >= 8


def test_half_see_through_watermarks_are_found_in_many_pictures() -> None:
    pictures = [written(drawn(seed), "stockphoto", (256, 300), 64, opacity=0.5) for seed in range(12)]
    assert sum(bool(seen(picture)) for picture in pictures) >= 4


def test_scenes_without_writing_have_none() -> None:
    assert sum(bool(seen(drawn(seed))) for seed in range(40)) <= 1


@pytest.mark.parametrize("environment", words.ATTRIBUTES["environment"])
def test_no_environment_is_taken_for_writing(environment: str) -> None:
    for side in (256, 512, 1024):
        picture = draw_empty(environment).image.resize((side, side), Image.Resampling.LANCZOS)
        assert seen(picture) == ()


def textures() -> dict[str, Image.Image]:
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:SIDE, :SIDE]
    found = {
        f"{name} {pitch}": (np.asarray(values) * 150 + 50).astype(np.uint8)
        for pitch in (7, 13, 24)
        for name, values in {
            "stripes": x // pitch % 2, "blinds": y // pitch % 2, "hatching": (x + y) // pitch % 2,
            "windows": (x // pitch % 2) * (y // pitch % 2), "tiles": (x // pitch + y // pitch) % 2,
        }.items()
    }  # fmt: skip
    for grain in (1, 2, 4):
        noise = Image.fromarray(rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8))
        blurred = np.asarray(noise.filter(ImageFilter.GaussianBlur(grain))).astype(float)
        spread = (blurred - blurred.mean()) / blurred.std()
        found[f"foliage {grain}"] = np.clip(128 + 60 * spread, 0, 255).astype(np.uint8)
    shelf = np.full((SIDE, SIDE), 50, np.uint8)
    for top in range(0, SIDE, 64):
        left = 0
        while left < SIDE:
            width, height = int(rng.integers(5, 18)), int(rng.integers(36, 58))
            shelf[top + 60 - height : top + 60, left : left + width] = rng.integers(60, 240)
            left += width + int(rng.integers(0, 3))
    found["bookshelf"] = shelf
    return {name: Image.fromarray(values) for name, values in found.items()}


@pytest.mark.parametrize(("name", "picture"), textures().items())
def test_no_texture_is_taken_for_writing(name: str, picture: Image.Image) -> None:
    assert seen(picture) == ()


def test_a_row_of_equal_marks_is_no_writing() -> None:
    picture = Image.new("L", (SIDE, SIDE), 220)
    pen = ImageDraw.Draw(picture)
    for left in range(40, 460, 20):
        pen.ellipse((left, 250, left + 12, 262), fill=40)  # beads
        pen.rectangle((left, 350, left + 5, 374), fill=40)  # a fence
    assert seen(picture) == ()


def test_a_word_in_a_thicket_is_not_told() -> None:
    """It may be writing: but so may every row of leaves be, so that nothing is claimed."""
    foliage = textures()["foliage 1"].convert("RGB")
    assert len(seen(written(foliage, "yuki", (256, 256), 14, "black"))) == 0


def test_pictures_too_small_to_read_have_none() -> None:
    picture = written(Image.new("RGB", (400, SMALLEST - 1), "gray"), "Sample text", (200, 60), 24)
    assert seen(picture) == () and seen(
        written(Image.new("RGB", (400, SMALLEST), "gray"), "Sample text", (200, 60), 24)
    )


def test_one_line_is_told_once_though_two_copies_are_searched() -> None:
    picture = written(Image.new("RGB", (1024, 1024), "gray"), "a large heading", (512, 500), 60)
    assert len(seen(picture)) == 1
