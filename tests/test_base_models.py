"""Loading base models: only safetensors, only known classes, sane schedulers, one clear line for everything else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lora_doctor.base_models import base_family, load_pipeline, pipeline_family, render_defaults
from lora_doctor.errors import EnvironmentFailure, InputRefused, UsageError
from tests.tiny_pipeline import tiny_folder, tiny_xl_pipeline


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("models") / "base")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(saved, tmp_path / "base"))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_loads_a_folder_ready_to_render(saved: Path) -> None:
    pipeline = load_pipeline(saved, "cpu")
    assert type(pipeline).__name__ == "StableDiffusionPipeline"
    assert pipeline.safety_checker is None and not pipeline.unet.training
    assert pipeline.unet.dtype == torch.float32 and pipeline.device.type == "cpu"
    picture = pipeline("a girl", num_inference_steps=2, width=16, height=16).images[0]
    assert np.ptp(np.asarray(picture)) > 0


def test_loading_says_nothing_on_the_terminal(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_pipeline(str(saved), "cpu")
    assert capfd.readouterr() == ("", "")


def test_the_weights_are_those_of_the_files(saved: Path) -> None:
    from safetensors.torch import load_file

    stored = load_file(saved / "unet" / "diffusion_pytorch_model.safetensors")
    loaded = load_pipeline(saved, "cpu").unet.state_dict()
    assert stored.keys() == loaded.keys()
    assert all(torch.equal(loaded[name], value) for name, value in stored.items())


def test_loads_sdxl(tmp_path: Path) -> None:
    tiny_xl_pipeline(tmp_path / "parts").save_pretrained(tmp_path / "xl")
    assert type(load_pipeline(tmp_path / "xl", "cpu")).__name__ == "StableDiffusionXLPipeline"


@pytest.mark.parametrize(("width", "family"), [(128, "miniature"), (768, "sd15"), (1024, "sd2"), (32, "unknown")])
def test_the_family_is_told_by_the_width_of_the_text(folder: Path, width: int, family: str) -> None:
    edit(folder / "unet" / "config.json", cross_attention_dim=width)
    assert base_family(folder) == family


def test_a_loaded_pipeline_has_the_family_of_its_folder(saved: Path) -> None:
    assert pipeline_family(load_pipeline(saved, "cpu")) == base_family(saved)


@pytest.mark.parametrize(
    ("family", "size", "steps", "guidance"),
    [("miniature", 64, 10, 3.0), ("sd15", 512, 25, 7.0), ("sdxl", 1024, 25, 6.0)],
)
def test_render_defaults_by_family(family: str, size: int, steps: int, guidance: float) -> None:
    found = render_defaults(family)
    assert (found.width, found.height, found.steps, found.guidance) == (size, size, steps, guidance)


def test_an_unknown_family_has_no_defaults() -> None:
    with pytest.raises(UsageError, match=r"unknown.*Known families: miniature"):
        render_defaults("unknown")


@pytest.fixture
def as_family(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the tiny model's text width the name of a family."""
    from lora_doctor import base_classes

    return lambda family: monkeypatch.setitem(base_classes.TEXT_WIDTHS, 32, family)


def test_a_family_without_a_solver_of_its_own_keeps_the_scheduler_of_its_folder(saved: Path, as_family: Any) -> None:
    as_family("unknown")
    scheduler = load_pipeline(saved, "cpu").scheduler
    assert type(scheduler).__name__ == "DDIMScheduler"
    asked = json.loads((saved / "scheduler" / "scheduler_config.json").read_text())
    assert {key: scheduler.config[key] for key in asked if key[0] != "_"} == {
        key: value for key, value in asked.items() if key[0] != "_"
    }


@pytest.mark.parametrize("family", ["miniature", "sd15"])
def test_noise_predicting_families_get_a_solver_built_from_the_folder(saved: Path, as_family: Any, family: str) -> None:
    as_family(family)
    pipeline = load_pipeline(saved, "cpu")
    config = pipeline.scheduler.config
    assert type(pipeline.scheduler).__name__ == "DPMSolverMultistepScheduler"
    assert (config.prediction_type, config.beta_schedule) == ("v_prediction", "scaled_linear")
    assert config.rescale_betas_zero_snr and config.timestep_spacing == "trailing"
    pipeline.scheduler.set_timesteps(10)
    assert int(pipeline.scheduler.timesteps[0]) == 999
    picture = pipeline("a girl", num_inference_steps=4, width=16, height=16, output_type="np").images
    assert np.isfinite(picture).all()


@pytest.mark.parametrize("family", ["miniature", "sd15", "unknown"])
@pytest.mark.parametrize("setting", [{"clip_sample": True}, {"thresholding": True}])
def test_latents_are_never_clipped(folder: Path, as_family: Any, family: str, setting: dict[str, bool]) -> None:
    edit(folder / "scheduler" / "scheduler_config.json", **setting)
    as_family(family)
    with pytest.warns((UserWarning, FutureWarning), match=next(iter(setting))):
        config = load_pipeline(folder, "cpu").scheduler.config
    assert not config.get("clip_sample") and not config.get("thresholding")


def test_a_sound_scheduler_causes_no_warning(saved: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_pipeline(saved, "cpu").scheduler.config.clip_sample is False


def test_pickled_weights_are_refused(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save({}, folder / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(InputRefused, match=r"`unet` has no \.safetensors weights"):
        load_pipeline(folder, "cpu")


def test_code_of_the_models_own_is_never_run(folder: Path, tmp_path: Path) -> None:
    (folder / "unet" / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    edit(folder / "model_index.json", unet=["evil", "Evil"])
    with pytest.raises(InputRefused, match="code of its own"):
        load_pipeline(folder, "cpu")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["StableDiffusionImg2ImgPipeline", ["pipeline", "Mine"], None])
def test_other_pipelines_are_refused(folder: Path, name: Any) -> None:
    edit(folder / "model_index.json", _class_name=name)
    with pytest.raises(InputRefused, match="Known: StableDiffusionPipeline"):
        load_pipeline(folder, "cpu")


@pytest.mark.parametrize("content", [None, "{", "[]", "\udcff"])
def test_a_folder_that_is_no_pipeline_is_refused(folder: Path, content: str | None) -> None:
    index = folder / "model_index.json"
    index.unlink()
    if content is not None:
        index.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputRefused, match="not a diffusers pipeline folder") as caught:
        load_pipeline(folder, "cpu")
    assert "\n" not in str(caught.value)


def test_truncated_weights_are_refused(folder: Path) -> None:
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputRefused, match="does not load") as caught:
        load_pipeline(folder, "cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("base", [Path("no/where"), "./models", "/no/such/folder", "miniature", "a/b/c"])
def test_a_missing_folder_is_refused(base: Path | str) -> None:
    with pytest.raises(InputRefused, match="no such base model folder"):
        load_pipeline(base, "cpu")


def test_a_hub_id_that_cannot_be_had_is_the_machines_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EnvironmentFailure, match="could not be had from the hub") as caught:
        load_pipeline("someone/no-such-model", "cpu")
    assert "\n" not in str(caught.value) and "local diffusers folder" in str(caught.value)


def test_what_cannot_be_a_hub_id_is_refused() -> None:
    with pytest.raises(InputRefused, match="neither a folder nor a hub id"):
        load_pipeline("some one/a model!", "cpu")


def test_a_device_that_is_not_there_is_the_machines_fault(saved: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="cuda:99"):
        load_pipeline(saved, "cuda:99")


@pytest.mark.parametrize("asked", ["v", "v_prediction"])
def test_v_prediction_of_the_loras_metadata_reaches_an_sdxl_scheduler(tmp_path: Path, asked: str) -> None:
    tiny_xl_pipeline(tmp_path / "parts").save_pretrained(tmp_path / "xl")
    pipeline = load_pipeline(tmp_path / "xl", "cpu", prediction_type=asked)
    config = pipeline.scheduler.config
    assert type(pipeline.scheduler).__name__ == "EulerDiscreteScheduler"
    assert (config.prediction_type, config.rescale_betas_zero_snr) == ("v_prediction", True)
    assert config.timestep_spacing == "trailing"
    picture = pipeline("a girl", num_inference_steps=3, width=16, height=16, output_type="np").images
    assert np.isfinite(picture).all() and np.ptp(picture) > 0


def test_a_sampler_can_be_chosen(saved: Path) -> None:
    pipeline = load_pipeline(saved, "cpu", sampler="UniPCMultistepScheduler")
    assert type(pipeline.scheduler).__name__ == "UniPCMultistepScheduler"
    assert pipeline.scheduler.config.prediction_type == "v_prediction"


@pytest.mark.parametrize("option", [{"prediction_type": "x0"}, {"sampler": "Mine"}, {"memory": "low"}])
def test_an_option_that_does_not_exist_is_refused_before_anything_is_read(option: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        load_pipeline("no/such-model", "cpu", **option)


def test_looking_at_a_base_model_loads_nothing_heavy() -> None:
    code = """
import sys
import lora_doctor.base_models
print(*{"torch", "diffusers", "transformers", "safetensors", "huggingface_hub"} & set(sys.modules))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
