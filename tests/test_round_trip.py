"""A picture through the base model's encoder and decoder keeps its shape, its content and the render's size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lora_doctor.memory import place
from lora_doctor.plugins import data_folder
from lora_doctor.render import Renderer
from tests.tiny_pipeline import tiny_xl_pipeline
from tests.tiny_transformers import TRANSFORMERS, tiny_sd15

PICTURES = sorted((data_folder("miniature") / "patients" / "yuki" / "dataset").glob("*.png"))


@pytest.fixture(scope="module")
def miniature():
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(data_folder("miniature") / "base", safety_checker=None)
    return _renderer(pipeline)


def _renderer(pipeline) -> Renderer:
    return Renderer(pipeline, None, steps=1, guidance=1.0, width=64, height=64)


def _open(path: Path) -> Image.Image:
    with Image.open(path) as opened:
        return opened.convert("RGB")


def test_what_comes_back_is_the_picture_but_for_a_blur(miniature) -> None:
    other = _open(PICTURES[9])
    for path in PICTURES[:4]:
        own = _open(path)
        back = miniature.redraw(own)
        assert back is not None and back.size == own.size
        itself, another = (np.abs(np.asarray(own, float) - np.asarray(p, float)).mean() for p in (back, other))
        assert itself < 12 < another, "levels of 255"


@pytest.mark.parametrize("family", ["sd15", "sdxl", *TRANSFORMERS])
@pytest.mark.parametrize("memory", ["full", "sequential"])
def test_every_family_draws_pictures_again_however_little_memory_it_has(family, memory, tmp_path: Path) -> None:
    make = {"sd15": tiny_sd15, "sdxl": tiny_xl_pipeline, **TRANSFORMERS}[family]
    pipeline = place(make(tmp_path), memory, "cpu")
    back = _renderer(pipeline).redraw(_open(PICTURES[0]))
    assert back is not None and back.size == (64, 64)


def test_nothing_about_it_is_random(miniature) -> None:
    first, second = (miniature.redraw(_open(PICTURES[0])) for _ in range(2))
    assert first is not None and second is not None
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize(("given", "drawn"), [((128, 128), (64, 64)), ((40, 160), (32, 128)), ((30, 30), (64, 64))])
def test_the_shape_is_kept_at_as_many_pixels_as_a_render(miniature, given, drawn) -> None:
    back = miniature.redraw(_open(PICTURES[0]).resize(given))
    assert back is not None and back.size == drawn


def test_memory_that_runs_out_gives_nothing(miniature, monkeypatch) -> None:
    def out(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(miniature.pipeline.vae, "encode", out)
    assert miniature.redraw(_open(PICTURES[0])) is None
