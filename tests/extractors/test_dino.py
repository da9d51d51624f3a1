"""DINO through transformers, with random models of its shape; the body crop as geometry."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lora_doctor.errors import EnvironmentFailure, InputRefused
from lora_doctor.extractors import dino
from lora_doctor.types import FaceReading

GREY = (100, 100, 100)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny_instruments import make_dino

    return make_dino(tmp_path_factory.mktemp("dino") / "tiny")


@pytest.fixture(scope="module")
def reader(folder: Path) -> dino.DinoReader:
    return dino.load(folder)


def noise(seed: int, size: tuple[int, int] = (60, 40)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


def person(head: tuple[int, int, int], body: tuple[int, int, int]) -> tuple[Image.Image, FaceReading]:
    """A face of 20 pixels at the top of 100 x 200, and a body below it."""
    image = Image.new("RGB", (100, 200), (0, 255, 0))
    image.paste(head, (35, 10, 65, 40))
    image.paste(body, (30, 45, 70, 200))
    return image, FaceReading(faces=1, score=1.0, box=(40, 18, 60, 38))


def test_embeddings_have_unit_length_and_tell_pictures_apart(reader: dino.DinoReader) -> None:
    rows = reader.embed([noise(1), noise(2), noise(1)])
    assert rows.shape == (3, 32) and rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert np.allclose(rows[0], rows[2], atol=1e-5) and not np.allclose(rows[0], rows[1], atol=1e-3)


def test_a_dinov3_is_read_too(tmp_path: Path) -> None:
    from tests.tiny_instruments import make_dino

    assert dino.load(make_dino(tmp_path / "v3", version=3)).embed([noise(1)]).shape == (1, 32)


def test_nothing_of_a_tall_picture_is_cut_off(reader: dino.DinoReader) -> None:
    plain = Image.new("RGB", (40, 120), GREY)
    feet = plain.copy()
    feet.paste((255, 0, 0), (0, 108, 40, 120))
    one, two = reader.embed([plain, feet])
    assert not np.allclose(one, two, atol=1e-3)


def test_the_embedding_is_that_of_the_library_itself(reader: dino.DinoReader, folder: Path) -> None:
    import torch
    from transformers import AutoModel

    square = noise(4, (56, 56))
    pixels = (np.asarray(square, np.float32) / 255 - np.array(dino.MEAN)) / np.array(dino.DEVIATION)
    batch = torch.from_numpy(pixels.transpose(2, 0, 1)[None].astype(np.float32))
    with torch.no_grad():
        token = AutoModel.from_pretrained(folder)(pixel_values=batch).last_hidden_state[0, 0].numpy()
    assert reader.embed([square])[0] == pytest.approx(token / np.linalg.norm(token), abs=1e-4)


def test_the_body_does_not_know_the_head() -> None:
    one, face = person((255, 0, 0), (0, 0, 255))
    two, _ = person((255, 255, 255), (0, 0, 255))
    assert dino.body_crop(one, face, GREY).tobytes() == dino.body_crop(two, face, GREY).tobytes()


def test_the_body_knows_the_outfit(reader: dino.DinoReader) -> None:
    people = [person((255, 0, 0), colour) for colour in ((0, 0, 255), (255, 255, 0))]
    one, two = reader.bodies([image for image, _ in people], [face for _, face in people])
    assert not np.allclose(one, two, atol=1e-3)
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)


def test_the_body_is_cut_around_the_person_and_stays_inside() -> None:
    image, face = person((255, 0, 0), (0, 0, 255))
    crop = dino.body_crop(image, face, GREY)
    assert crop.size == (100, 181)  # 5 face heights wide, 9 high, rounded outwards, within 100 x 200
    assert crop.getpixel((50, 10)) == GREY and crop.getpixel((50, 120)) == (0, 0, 255)


@pytest.mark.parametrize(
    "face",
    [FaceReading(faces=0), FaceReading(faces=1, box=(20, 20, 90, 190)), FaceReading(faces=1, box=(5, 5, 5, 5))],
)
def test_without_a_face_or_below_a_portrait_there_is_no_body(reader: dino.DinoReader, face: FaceReading) -> None:
    image, known = person((255, 0, 0), (0, 0, 255))
    assert dino.body_crop(image, face, GREY) is None
    nobody, somebody = reader.bodies([image, image], [face, known])
    assert nobody is None and somebody is not None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", "{}"), ("config.json", "["), ("preprocessor_config.json", "[]"),
        ("preprocessor_config.json", '{"image_mean": [2, 0, 0]}'), ("model.safetensors", "not tensors"),
    ],
)  # fmt: skip
def test_a_damaged_folder_is_refused(folder: Path, tmp_path: Path, name: str, content: str) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / name).write_text(content)
    with pytest.raises(InputRefused, match="is no DINO model"):
        dino.load(copy)


def test_pickled_weights_are_not_loaded(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(InputRefused, match=r"holds no model\.safetensors"):
        dino.load(copy)


def test_code_that_comes_with_a_model_is_not_run(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    config = json.loads((copy / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModel": "evil.M"}}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(InputRefused, match="is no DINO model"):
        dino.load(copy)
    assert not (tmp_path / "ran").exists()


def test_offline_the_name_is_a_hub_id_and_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EnvironmentFailure, match=r"facebook/dinov2-small: .*preprocessor_config\.json"):
        dino.load("dino")
