"""A trainer's default is for what is absent: what stands there and cannot be read is not known."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from lora_doctor.trainers import ai_toolkit, diffusers, kohya, musubi, onetrainer, simpletuner
from lora_doctor.types import ConfigFiles, TrainingSettings

SD_SCRIPTS = "accelerate launch sdxl_train_network.py --train_data_dir=/d {}"
MUSUBI = "accelerate launch qwen_image_train_network.py --dataset_config=/d.toml --dit=/m {}"
DIFFUSERS = "accelerate launch train_dreambooth_lora_flux.py --dataset_name=/d {}"
AI_TOOLKIT = (
    '{{"config": {{"process": [{{"network": {{"type": "lora"{}}}, "train": {{{}}}, "model": {{"arch": "sdxl"}}}}]}}}}'
)


def read(trainer: ModuleType, name: str, text: str) -> TrainingSettings:
    path = Path("/cfg") / name
    assert trainer.recognises(path, text)
    found = trainer.read(ConfigFiles(path=path, texts={path: text}))
    assert isinstance(found, TrainingSettings)
    return found


@pytest.mark.parametrize(
    "trainer, name, absent, unreadable, defaults",
    [
        (kohya, "a.sh", SD_SCRIPTS.format(""),
         SD_SCRIPTS.format("--network_dim=${DIM:-32} --network_alpha=${ALPHA:-16}"), {"rank": 4, "alpha": 1.0}),
        (kohya, "a.bat", SD_SCRIPTS.format(""),
         SD_SCRIPTS.format("--network_dim=!dim! --network_alpha=!dim!"), {"rank": 4, "alpha": 1.0}),
        (musubi, "a.sh", MUSUBI.format(""),
         MUSUBI.format("--network_dim=$D --network_alpha=$A --learning_rate=$R --max_train_steps=$S"),
         {"rank": 4, "alpha": 1.0, "learning_rate": 2e-6, "steps": 1600}),
        (diffusers, "a.sh", DIFFUSERS.format(""),
         DIFFUSERS.format("--rank=$R --lora_alpha=$A --num_train_epochs=$E"), {"rank": 4, "alpha": 4.0, "epochs": 1.0}),
        (onetrainer, "a.json", '{"__version": 11, "concepts": []}',
         '{"__version": 11, "concepts": [], "lora_rank": "many", "lora_alpha": "x"}', {"rank": 16, "alpha": 1.0}),
        (ai_toolkit, "a.json", AI_TOOLKIT.format("", ""),
         AI_TOOLKIT.format(', "linear": "x", "linear_alpha": "x"', '"steps": "x", "batch_size": "x"'),
         {"rank": 4, "alpha": 1.0, "steps": 1000, "batch_size": 1}),
        (simpletuner, "config.json", '{"model_family": "sdxl", "model_type": "lora"}',
         '{"model_family": "sdxl", "model_type": "lora", "lora_rank": "x", "lora_alpha": "x"}',
         {"rank": 16, "alpha": 16.0}),
    ],
)  # fmt: skip
def test_the_default_is_for_what_is_absent_alone(
    trainer: ModuleType, name: str, absent: str, unreadable: str, defaults: dict[str, float]
) -> None:
    silent, said = read(trainer, name, absent), read(trainer, name, unreadable)
    assert {field: getattr(silent, field) for field in defaults} == defaults
    assert {field: getattr(said, field) for field in defaults} == dict.fromkeys(defaults)


@pytest.mark.parametrize(
    "trainer, text",
    [
        (kohya, SD_SCRIPTS.format("--max_train_steps=900 --max_train_epochs=$E")),
        (musubi, MUSUBI.format("--max_train_steps=900 --max_train_epochs=$E")),
        (diffusers, DIFFUSERS.format("--num_train_epochs=9 --max_train_steps=$S")),
    ],
)
def test_a_count_that_comes_first_and_cannot_be_read_does_not_let_the_other_one_count(
    trainer: ModuleType, text: str
) -> None:
    settings = read(trainer, "a.sh", text)
    assert (settings.steps, settings.epochs) == (None, None)


def test_the_rate_of_the_denoiser_that_cannot_be_read_is_not_the_general_one() -> None:
    assert read(kohya, "a.sh", SD_SCRIPTS.format("--unet_lr=$U --learning_rate=1e-4")).learning_rate is None
    assert read(kohya, "a.sh", SD_SCRIPTS.format("--learning_rate=1e-4")).learning_rate == 1e-4
