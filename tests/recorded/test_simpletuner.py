"""SimpleTuner's file and its config beside it, written by hand as its save_hooks.py and its config have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lora_doctor.lora_settings import read_training_record
from lora_doctor.types import TrainingRecord

STANDARD = {
    "format": "pt",
    "lora_adapter_metadata": json.dumps(
        {"transformer.r": 16, "transformer.lora_alpha": 8, "transformer.use_dora": False}
    ),
    "modelspec.architecture": "flux-dev/lora",
    "modelspec.title": "run",
    "global_step": "750",
    "trained_words": "ohwx person, ohwx",
    "ss_tag_frequency": json.dumps({"closeups": {"ohwx": 20}}),
}
LYCORIS = {
    "lycoris_config": json.dumps(
        {"algo": "lokr", "multiplier": 1.0, "linear_dim": 10000, "linear_alpha": 1, "factor": 16}
    ),
    "global_step": "750",
}
CONFIG = {
    "model_family": "flux", "lora_type": "standard", "lora_rank": 64, "train_batch_size": 2, "learning_rate": 1e-4,
    "caption_dropout_probability": 0.1, "max_train_steps": 2000, "num_train_epochs": 0, "resolution": 1024,
    "resolution_type": "pixel_area", "offset_noise": False, "noise_offset": 0.1, "snr_gamma": None, "seed": 42,
    "prediction_type": "flow_matching", "pretrained_model_name_or_path": "/home/me/flux",
}  # fmt: skip


def read(metadata: dict[str, str], folder: Path = Path("/nonexistent")) -> TrainingRecord:
    return read_training_record(metadata, folder / "pytorch_lora_weights.safetensors")


def beside(folder: Path, config: Any, name: str = "simpletuner_config.json") -> TrainingRecord:
    (folder / name).write_text(json.dumps(config))
    return read(STANDARD, folder)


def test_the_file_alone_gives_the_adapter_the_trigger_and_the_steps() -> None:
    found = read(STANDARD)
    assert (found.trainer, found.settings.rank, found.settings.alpha) == ("SimpleTuner", 16, 8.0)
    assert (found.triggers, found.progress.steps) == (("ohwx person", "ohwx"), 750)
    assert found.settings.prediction_type == "flow" and found.folders[0].tags == {"ohwx": 20}
    assert found.settings.caption_dropout is None and "no simpletuner_config.json" in found.sources["caption_dropout"]


def test_a_config_beside_the_file_gives_the_training(tmp_path: Path) -> None:
    found = beside(tmp_path, CONFIG)
    settings = found.settings
    assert (settings.batch_size, settings.learning_rate, settings.caption_dropout) == (2, 1e-4, 0.1)
    assert (settings.steps, settings.epochs, settings.resolution) == (2000, None, 1024)
    assert found.sources["caption_dropout"] == "simpletuner_config.json beside the file caption_dropout_probability"
    assert "given the other way" in found.sources["epochs"] and found.base.name == "flux"


def test_what_the_file_says_of_the_adapter_comes_before_the_config(tmp_path: Path) -> None:
    assert beside(tmp_path, CONFIG).settings.rank == 16


def test_a_noise_offset_that_is_not_switched_on_is_zero(tmp_path: Path) -> None:
    assert beside(tmp_path, CONFIG).settings.noise_offset == 0.0
    assert beside(tmp_path, CONFIG | {"offset_noise": True}).settings.noise_offset == 0.1


def test_keys_with_dashes_are_read_too(tmp_path: Path) -> None:
    dashed = {f"--{key}": value for key, value in CONFIG.items()}
    assert beside(tmp_path, dashed, "config.json").settings.learning_rate == 1e-4


def test_another_tool_s_config_is_not_read(tmp_path: Path) -> None:
    found = beside(tmp_path, {"_class_name": "UNet2DConditionModel", "learning_rate": 5}, "config.json")
    assert found.settings.learning_rate is None


def test_lycoris_settings_come_from_its_own_config() -> None:
    found = read(LYCORIS)
    assert (found.trainer, found.settings.kind, found.settings.rank) == ("SimpleTuner", "lokr", 10000)
    assert found.settings.train_text_encoder is False


@pytest.mark.parametrize("bad", ["{", "[]", '{"linear_dim": "x", "algo": 3}', "[" * 10_000])
def test_a_hostile_lycoris_config_leaves_reasons(bad: str) -> None:
    found = read(LYCORIS | {"lycoris_config": bad})
    assert found.settings.rank is None and found.sources["rank"] and found.settings.kind is None


@pytest.mark.parametrize("bad", ["{", "[1]", "\ufffd", "[" * 10_000, '{"model_family": NaN}'])
def test_a_hostile_config_beside_it_is_unreadable(tmp_path: Path, bad: str) -> None:
    (tmp_path / "simpletuner_config.json").write_text(bad)
    assert read(STANDARD, tmp_path).unreadable["simpletuner_config.json"].startswith("unreadable: ")
