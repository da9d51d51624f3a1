"""DINO through transformers, with random models of its shape."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lora_doctor.errors import EnvironmentFailure, InputRefused
from lora_doctor.extractors import dino

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
