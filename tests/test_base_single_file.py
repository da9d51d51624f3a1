"""Single-file checkpoints: known by their header, completed by a local config, never by a silent download."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fixtures.loras.table import our_error
from fixtures.loras.written import diffusers_saved
from lora_doctor import base_classes, base_single_file
from lora_doctor.base_models import load_pipeline, pipeline_family, resolve_base
from lora_doctor.base_single_file import config_folder_beside, single_file_family, single_file_prediction
from lora_doctor.errors import EnvironmentFailure, InputRefused
from tests.tiny_pipeline import SIZE, TEXT_WIDTH, tiny_xl_pipeline
from tests.tiny_single_file import write_checkpoint
from tests.tiny_transformers import tiny_sd15

TO_K = "model.diffusion_model.input_blocks.{}.1.transformer_blocks.0.attn2.to_k.weight"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    tiny_sd15(root / "parts").save_pretrained(root / "base")
    return root / "base"


@pytest.fixture
def checkpoint(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder's weights in one file, with the tiny text width known as SD1.5's."""
    monkeypatch.setitem(base_single_file.WIDTHS, TEXT_WIDTH, "sd15")
    monkeypatch.setitem(base_classes.TEXT_WIDTHS, TEXT_WIDTH, "sd15")
    return write_checkpoint(load_pipeline(folder, "cpu"), tmp_path / "my model.safetensors")


@pytest.mark.parametrize(
    ("shapes", "family"),
    [
        ({TO_K.format(1): (320, 768)}, "sd15"),
        ({TO_K.format(1): (320, 1024)}, "sd2"),
        ({TO_K.format(4): (640, 2048)}, "sdxl"),
        ({TO_K.format(4): (640, 999)}, "unknown"),
        ({"model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight": (1, 1)}, "sd3"),
        ({"double_blocks.0.img_attn.qkv.weight": (9216, 3072)}, "flux"),
        ({"model.diffusion_model.noise_refiner.0.attention.qkv.weight": (1, 1)}, "z-image"),
        ({"transformer_blocks.0.img_mlp.net.2.weight": (1, 1)}, "qwen-image"),
        ({"lora_unet_down_blocks_0.lora_up.weight": (1, 1)}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_the_family_is_told_by_names_and_text_width(shapes: dict[str, tuple[int, ...]], family: str) -> None:
    assert single_file_family(shapes) == family


def test_a_checkpoint_may_mark_itself_as_v_prediction() -> None:
    assert single_file_prediction({"v_pred": ()}) == "v_prediction"
    assert single_file_prediction({TO_K: (1, 768)}) is None


def test_a_checkpoint_loads_to_the_same_weights_as_its_folder(checkpoint: Path, folder: Path) -> None:
    loaded, expected = load_pipeline(checkpoint, "cpu", config=folder), load_pipeline(folder, "cpu")
    for name in ("unet", "vae", "text_encoder"):
        one, two = (getattr(each, name).state_dict() for each in (loaded, expected))
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in two), name
    assert type(loaded.scheduler) is type(expected.scheduler)


def test_a_checkpoint_draws_what_its_folder_draws(checkpoint: Path, folder: Path) -> None:
    def draw(pipeline: Any) -> np.ndarray[Any, Any]:
        generator = torch.Generator().manual_seed(1)
        made = pipeline("a girl", num_inference_steps=2, width=SIZE, height=SIZE, generator=generator, output_type="np")
        return np.asarray(made.images)

    one, two = draw(load_pipeline(checkpoint, "cpu", config=folder)), draw(load_pipeline(folder, "cpu"))
    assert np.abs(one - two).max() < 1e-5 and np.ptp(one) > 0


def test_an_sdxl_checkpoint_loads_to_the_same_weights_as_its_folder_and_takes_a_lora(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # diffusers tells the two encoders of a checkpoint apart by their widths.
    monkeypatch.setitem(base_single_file.WIDTHS, TEXT_WIDTH + 48, "sdxl")
    tiny_xl_pipeline(tmp_path / "parts", second_width=48).save_pretrained(tmp_path / "base")
    expected = load_pipeline(tmp_path / "base", "cpu")
    path = write_checkpoint(expected, tmp_path / "x.safetensors")
    loaded = load_pipeline(path, "cpu", config=tmp_path / "base")
    assert pipeline_family(loaded) == "sdxl"
    for name in ("unet", "vae", "text_encoder", "text_encoder_2"):
        one, two = (getattr(each, name).state_dict() for each in (loaded, expected))
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in two), name
    lora = tmp_path / "lora.safetensors"
    wanted = diffusers_saved()(expected, lora)
    assert our_error(loaded, lora, wanted) < 1e-5


def without(path: Path, part: str) -> Path:
    tensors = load_file(path)
    lost = next(name for name in tensors if part in name)
    save_file({name: tensor.clone() for name, tensor in tensors.items() if name != lost}, path)
    return path


def test_a_checkpoint_that_lacks_a_tensor_is_refused(checkpoint: Path, folder: Path) -> None:
    with pytest.raises(InputRefused, match="lacks tensors of the model"):
        load_pipeline(without(checkpoint, "proj_in.weight"), "cpu", config=folder)


def test_a_tensor_that_diffusers_leaves_empty_without_a_word_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(base_single_file.WIDTHS, TEXT_WIDTH + 48, "sdxl")
    tiny_xl_pipeline(tmp_path / "parts", second_width=48).save_pretrained(tmp_path / "base")
    path = write_checkpoint(load_pipeline(tmp_path / "base", "cpu"), tmp_path / "x.safetensors")
    with pytest.raises(InputRefused, match=r"lacks 1 tensors of the model \(text_encoder_2\.text_projection\.weight"):
        load_pipeline(without(path, "1.model.text_projection"), "cpu", config=tmp_path / "base")


def test_a_folder_of_configs_beside_the_file_is_used(checkpoint: Path, folder: Path) -> None:
    assert config_folder_beside(checkpoint) is None
    shutil.copytree(folder, checkpoint.with_suffix(""), ignore=shutil.ignore_patterns("*.safetensors"))
    source = resolve_base(checkpoint)
    assert (source.kind, source.name, source.config) == ("file", "my model.safetensors", checkpoint.with_suffix(""))
    assert load_pipeline(source, "cpu").safety_checker is None


def test_without_configs_and_offline_the_message_names_the_model_and_the_place(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(EnvironmentFailure) as caught:
        load_pipeline(str(checkpoint), "cpu")
    said = str(caught.value)
    assert "stable-diffusion-v1-5/stable-diffusion-v1-5" in said and str(tmp_path / "cache") in said
    assert str(checkpoint.with_suffix("")) in said and "\n" not in said


def test_a_v_prediction_mark_reaches_the_scheduler_and_can_be_overruled(folder: Path, checkpoint: Path) -> None:
    marked = write_checkpoint(load_pipeline(folder, "cpu"), checkpoint, v_pred=torch.zeros(0))
    assert load_pipeline(marked, "cpu", config=folder).scheduler.config.prediction_type == "v_prediction"
    told = load_pipeline(marked, "cpu", config=folder, prediction_type="epsilon")
    assert told.scheduler.config.prediction_type == "epsilon"


def test_a_config_of_another_pipeline_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    from tests.tiny_pipeline import tiny_xl_pipeline

    tiny_xl_pipeline(tmp_path / "parts").save_pretrained(tmp_path / "xl")
    with pytest.raises(InputRefused, match="the config is of a `StableDiffusionXLPipeline`"):
        load_pipeline(checkpoint, "cpu", config=tmp_path / "xl")


def test_a_file_of_another_family_says_what_it_is_and_what_to_do(tmp_path: Path) -> None:
    save_file({"double_blocks.0.img_attn.qkv.weight": torch.zeros(3, 1)}, tmp_path / "flux.safetensors")
    with pytest.raises(InputRefused, match=r"single-file checkpoint of flux.*diffusers folder or the hub id"):
        load_pipeline(tmp_path / "flux.safetensors", "cpu")


def test_a_lora_is_no_base_model(tmp_path: Path) -> None:
    save_file({"unet.x.lora_A.weight": torch.zeros(3, 1)}, tmp_path / "lora.safetensors")
    with pytest.raises(InputRefused, match="no base model that is known here"):
        load_pipeline(tmp_path / "lora.safetensors", "cpu")


@pytest.mark.parametrize("name", ["x.safetensors", "x.ckpt", "x.bin"])
def test_a_pickled_file_is_refused_under_any_name(tmp_path: Path, name: str) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / name)
    with pytest.raises(InputRefused, match=r"no \.safetensors file.*Pickled weights are never loaded"):
        load_pipeline(tmp_path / name, "cpu")
