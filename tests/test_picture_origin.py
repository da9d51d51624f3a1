"""What generators write into files is read, whoever wrote it; what a file does not say stays open."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lora_doctor.picture_facts import facts_of
from lora_doctor.picture_origin import EXIF_PART, MARK, USER_COMMENT, Origin, origin_of

PARAMETERS = (
    "1girl, Steps: of marble, Model: none\nNegative prompt: lowres, Model: bad\n"
    "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, Model hash: 6CE0161689, Model: anyThing-v3, "
    'Version: v1.9.4, Lora hashes: "yuki: e3b0c44298fc"'
)
GRAPH = {"4": {"inputs": {"ckpt_name": "sdxl/noobai_XL.safetensors"}, "class_type": "CheckpointLoaderSimple"}}


def png(texts: dict[str, str], *, exif: Image.Exif | None = None, kind: str = "PNG") -> tuple[Image.Image, bytes]:
    """The picture with these texts in it, saved and opened again."""
    info = PngInfo()
    for key, text in texts.items():
        info.add_itxt(key, text)
    buffer = io.BytesIO()
    options: dict[str, Any] = {"pnginfo": info} if kind == "PNG" else {}
    Image.new("RGB", (16, 16), (200, 30, 90)).save(buffer, kind, exif=Image.Exif() if exif is None else exif, **options)
    opened = Image.open(io.BytesIO(buffer.getvalue()))
    opened.load()
    return opened, buffer.getvalue()


def commented(comment: bytes, kind: str = "JPEG") -> tuple[Image.Image, bytes]:
    exif = Image.Exif()
    exif.get_ifd(EXIF_PART)[USER_COMMENT] = comment
    return png({}, exif=exif, kind=kind)


@pytest.mark.parametrize(
    ("texts", "origin"),
    [
        ({"parameters": PARAMETERS}, Origin(generator="AUTOMATIC1111", model="anyThing-v3", model_hash="6ce0161689")),
        ({"parameters": "a\nSteps: 9, Seed: 4"}, Origin(generator="AUTOMATIC1111")),
        ({"prompt": json.dumps(GRAPH)}, Origin(generator="ComfyUI", model="sdxl/noobai_XL.safetensors")),
        ({"workflow": json.dumps({"nodes": []})}, Origin(generator="ComfyUI")),
        (
            {"Software": "NovelAI", "Source": "NovelAI Diffusion V4 37442FCA", "Comment": "{}"},
            Origin(generator="NovelAI", model="NovelAI Diffusion V4 37442FCA"),
        ),
        (
            {"invokeai_metadata": json.dumps({"seed": 1, "model": {"key": "k", "hash": "blake3:1", "name": "illu"}})},
            Origin(generator="InvokeAI", model="illu"),
        ),
    ],
)
def test_each_generator_is_read_by_its_own_habit(texts: dict[str, str], origin: Origin) -> None:
    assert origin_of(*png(texts)) == origin


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize(
    "comment",
    [
        b"UNICODE\0" + PARAMETERS.encode("utf-16-be"),
        b"UNICODE\0" + PARAMETERS.encode("utf-16-le"),
        b"ASCII\0\0\0" + PARAMETERS.encode("ascii"),
        b"\0" * 8 + PARAMETERS.encode("utf-8"),
    ],
)
def test_comments_of_other_formats_are_read_in_every_encoding(comment: bytes, kind: str) -> None:
    found = origin_of(*commented(comment, kind))
    assert found is not None and (found.model, found.model_hash) == ("anyThing-v3", "6ce0161689")


def test_the_mark_of_a_trained_model_is_found_wherever_it_stands() -> None:
    picture, raw = png({"XML:com.adobe.xmp": f"<x:xmpmeta>{MARK.decode()}</x:xmpmeta>"})
    assert origin_of(picture, raw) == Origin(generator="generator")


@pytest.mark.parametrize(
    "texts",
    [
        {}, {"Software": "GIMP 2.10"}, {"parameters": "a photograph of Steps"}, {"prompt": "a girl"},
        {"Comment": "NovelAI"}, {"parameters": "Steps: many, Model: x"},
    ],
)  # fmt: skip
def test_a_file_that_says_nothing_of_the_kind_has_no_origin(texts: dict[str, str]) -> None:
    assert origin_of(*png(texts)) is None


def test_text_that_is_meant_to_do_harm_is_read_in_no_time() -> None:
    start = time.perf_counter()
    for text in ("Steps: 1, " * 100_000, "Steps: 1, Model: " + "," * 500_000, '"nodes"' + '"ckpt_name" : "' * 40_000,
                 '"model":{' * 80_000, "Steps: 1, Model: " + "\x1b" * 60_000):  # fmt: skip
        for key in ("parameters", "prompt", "invokeai_metadata"):
            picture = Image.new("RGB", (4, 4))
            picture.info[key] = text
            found = origin_of(picture, b"")
            assert found is None or len(found.model) <= 200
    assert time.perf_counter() - start < 5


def test_facts_of_a_picture_tell_its_origin() -> None:
    facts = facts_of(*png({"parameters": PARAMETERS}))
    assert (facts.generator, facts.made_with, facts.made_with_hash) == ("AUTOMATIC1111", "anyThing-v3", "6ce0161689")
    silent = facts_of(*png({}))
    assert (silent.generator, silent.made_with, silent.made_with_hash) == ("", "", "")
