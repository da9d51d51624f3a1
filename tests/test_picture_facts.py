"""Facts about a decoded picture, in every mode and of every format that a dataset may hold."""

from __future__ import annotations

import io
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lora_doctor.picture_facts import facts_of
from lora_doctor.types import PictureFacts

MODES = [
    "1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16",
    "I;16B", "I;16L",
]  # fmt: skip


def stored(picture: Image.Image, kind: str = "PNG", **options: Any) -> PictureFacts:
    """The facts of the picture once it was saved and opened again."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    with Image.open(io.BytesIO(buffer.getvalue())) as opened:
        opened.load()
        return facts_of(opened, buffer.getvalue())


def gradient(mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> Image.Image:
    y, x = np.mgrid[: size[1], : size[0]]
    return Image.fromarray(np.stack([x * 3, y * 4, 200 - x], axis=2).clip(0, 255).astype(np.uint8)).convert(mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (33, 20), (200, 150)])
def test_every_mode_has_facts(mode: str, size: tuple[int, int]) -> None:
    facts = facts_of(Image.new(mode, size), b"")
    assert facts.mode == mode and facts.text == () and 0 <= facts.transparent <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_read_and_not_applied(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert stored(gradient(), "JPEG", exif=exif).orientation == orientation
    assert stored(gradient(), exif=exif).perceptual_hash == stored(gradient()).perceptual_hash


@pytest.mark.parametrize("orientation", [0, 9, 60000])
def test_an_orientation_that_means_nothing_is_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert stored(gradient(), "JPEG", exif=exif).orientation == 1


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_metadata_is_no_error() -> None:
    picture = gradient()
    picture.info["exif"] = b"Exif\0\0II*\0\xff\xff\xff\xff"
    assert facts_of(picture, b"").orientation == 1


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_is_the_share_of_see_through_pixels(mode: str) -> None:
    picture = gradient("RGBA", (40, 40))
    alpha = Image.new("L", (40, 40), 255)
    alpha.paste(127, (0, 0, 40, 10))  # half transparent
    alpha.paste(128, (0, 10, 40, 20))  # a little less than half
    picture.putalpha(alpha)
    if mode != "PA":  # what has a palette is made of what has one
        picture = picture.convert(mode)
    else:
        whole = picture.convert("P").convert("PA")
        whole.putalpha(alpha)
        picture = whole
    assert facts_of(picture, b"").transparent == pytest.approx(0.25)


def test_the_colour_that_a_palette_calls_transparent_counts() -> None:
    picture = Image.new("P", (10, 10), 0)
    picture.putpalette([255, 0, 0, 0, 0, 255] + [0] * 762)
    picture.paste(1, (0, 0, 5, 10))
    assert stored(picture, transparency=1).transparent == pytest.approx(0.5)


def test_opaque_pictures_are_not_transparent() -> None:
    assert stored(gradient()).transparent == 0 and stored(gradient("RGBA")).transparent == 0


def test_lab_has_a_channel_a_that_is_no_alpha() -> None:
    assert facts_of(Image.new("LAB", (8, 8)), b"").transparent == 0


@pytest.mark.parametrize(("kind", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})])
def test_frames_of_animations_are_counted(kind: str, options: dict[str, Any]) -> None:
    more = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue")]
    assert stored(gradient(), kind, save_all=True, append_images=more, **options).frames == 3
    assert stored(gradient(), kind, **options).frames == 1


def test_a_camera_preview_is_no_animation() -> None:
    facts = stored(gradient(), "MPO", save_all=True, append_images=[gradient()])
    assert facts.format == "MPO" and facts.frames == 1


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [  # CIE Lab under D65, as every converter gives them
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((119, 119, 119), (50.03, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
    ],
)
def test_colour_is_cie_lab(rgb: tuple[int, int, int], lab: tuple[float, float, float]) -> None:
    assert facts_of(Image.new("RGB", (30, 30), rgb), b"").colour == pytest.approx(lab, abs=0.05)


def test_sixteen_bits_keep_their_brightness() -> None:
    deep = Image.fromarray(np.full((20, 20), 119 * 257, np.uint16))
    assert facts_of(deep, b"").colour[0] == pytest.approx(50.0, abs=0.1)


def test_the_hash_of_a_deep_or_packed_picture_is_that_of_the_plain_one() -> None:
    grey = gradient("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert facts_of(deep, b"").perceptual_hash == facts_of(grey, b"").perceptual_hash
    assert facts_of(gradient("RGBA"), b"").perceptual_hash == facts_of(gradient(), b"").perceptual_hash


def test_a_large_picture_takes_little_time() -> None:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    picture = coarse.resize((1024, 1024), Image.Resampling.BICUBIC)
    facts_of(picture, b"")  # imports
    took = []
    for _ in range(5):
        began = time.process_time()
        facts_of(picture, b"")
        took.append(time.process_time() - began)
    assert min(took) < 0.05  # 14 ms where nothing else runs
