"""A picture through the base model's encoder and decoder keeps its shape, its content and the render's size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lora_doctor.memory import place
from lora_doctor.plugins import data_folder
from lora_doctor.round_trip import ENOUGH, pictures_to_redraw, round_trip
from lora_doctor.types import CLOSE_UP, FULL_BODY
from tests.metrics.make_study import LABEL_SETS, reading
from tests.tiny_pipeline import tiny_xl_pipeline
from tests.tiny_transformers import TRANSFORMERS, tiny_sd15

PICTURES = sorted((data_folder("miniature") / "patients" / "yuki" / "dataset").glob("*.png"))


@pytest.fixture(scope="module")
def miniature():
    from diffusers import StableDiffusionPipeline

    return StableDiffusionPipeline.from_pretrained(data_folder("miniature") / "base", safety_checker=None)


def _open(path: Path) -> Image.Image:
    with Image.open(path) as opened:
        return opened.convert("RGB")


def test_what_comes_back_is_the_picture_but_for_a_blur(miniature) -> None:
    for path in PICTURES[:4]:
        own = _open(path)
        back = round_trip(miniature, own, 64, 64)
        assert back is not None and back.size == own.size
        errors = [
            np.abs(np.asarray(own, float) - np.asarray(other, float)).mean() for other in (back, _open(PICTURES[9]))
        ]
        assert errors[0] < 12 < errors[1], "of 255: much closer to itself than to another picture"


@pytest.mark.parametrize("family", ["sd15", "sdxl", *TRANSFORMERS])
@pytest.mark.parametrize("memory", ["full", "sequential"])
def test_every_family_draws_pictures_again_however_little_memory_it_has(family, memory, tmp_path: Path) -> None:
    make = {"sd15": tiny_sd15, "sdxl": tiny_xl_pipeline, **TRANSFORMERS}[family]
    pipeline = place(make(tmp_path), memory, "cpu")
    back = round_trip(pipeline, _open(PICTURES[0]), 64, 64)
    assert back is not None and back.size == (64, 64)


def test_nothing_about_it_is_random(miniature) -> None:
    first, second = (round_trip(miniature, _open(PICTURES[0]), 64, 64) for _ in range(2))
    assert first is not None and second is not None
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize(("given", "drawn"), [((128, 128), (64, 64)), ((40, 160), (32, 128)), ((30, 30), (64, 64))])
def test_the_shape_is_kept_at_as_many_pixels_as_a_render(miniature, given, drawn) -> None:
    back = round_trip(miniature, _open(PICTURES[0]).resize(given), 64, 64)
    assert back is not None and back.size == drawn


def test_memory_that_runs_out_gives_nothing(miniature, monkeypatch) -> None:
    def out(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(miniature.vae, "encode", out)
    assert round_trip(miniature, _open(PICTURES[0]), 64, 64) is None


def test_a_few_pictures_of_each_framing_are_chosen_without_copies() -> None:
    framings = [CLOSE_UP] * 30 + [FULL_BODY] * 3
    seen = [reading(cosine=0.8, noise=2, labels={"framing": framing}) for framing in framings]
    faceless = reading(cosine=None, noise=2, labels={"framing": FULL_BODY})
    chosen = pictures_to_redraw([*seen, faceless, None], LABEL_SETS, copies=[(30, 31)])
    assert chosen[-2:] == [30, 32], "neither the copy, nor the picture without a face, nor the unreadable one"
    assert len(chosen) == ENOUGH + 2 and len(set(chosen)) == len(chosen)
    assert chosen[0] == 0 and chosen[ENOUGH - 1] >= 27, "from one end of the dataset to the other"
