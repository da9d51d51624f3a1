"""Which of the changes that are asked for a config still lacks, in every trainer that counts a length in two ways."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from lora_doctor.trainers import ai_toolkit, diffusers, kohya, musubi, onetrainer, simpletuner
from lora_doctor.types import Change, ConfigFiles

TOML, JSON, SHELL, YAML, DATA = (Path(f"/cfg/{name}") for name in ("a.toml", "c.json", "t.sh", "j.yaml", "d.toml"))
IMAGES = '[[datasets]]\nimage_directory = "d"\n'
COMMAND = "accelerate launch train_dreambooth_lora_sdxl.py --instance_data_dir=d "
IN_EPOCHS = {
    "sd-scripts": (kohya, TOML, {TOML: 'train_data_dir = "d"\nmax_train_epochs = 10\n'}),
    "musubi-tuner": (
        musubi, TOML, {TOML: 'dit = "x"\ndataset_config = "d.toml"\nmax_train_epochs = 10\n', DATA: IMAGES},
    ),
    "SimpleTuner": (
        simpletuner, JSON, {JSON: '{"model_type": "lora", "model_family": "sdxl", "num_train_epochs": 10}'},
    ),
    "diffusers": (diffusers, SHELL, {SHELL: f"{COMMAND}--num_train_epochs=10\n"}),
    "OneTrainer": (onetrainer, JSON, {JSON: json.dumps({"__version": 11, "concepts": [{"path": "d"}], "epochs": 10})}),
}  # fmt: skip
IN_STEPS = {
    "sd-scripts": (kohya, TOML, {TOML: 'train_data_dir = "d"\nmax_train_steps = 1000\n'}),
    "diffusers": (diffusers, SHELL, {SHELL: f"{COMMAND}--max_train_steps=1000\n"}),
    "ai-toolkit": (
        ai_toolkit, YAML, {YAML: "config:\n  process:\n  - network: {linear: 4}\n    train: {steps: 1000}\n"},
    ),
}  # fmt: skip
BOTH = [
    Change(field="steps", before=1000, after=500, rule="memorised", because=""),
    Change(field="epochs", before=10.0, after=5.0, rule="memorised", because=""),
]


@pytest.mark.parametrize("order", [1, -1], ids=["steps first", "epochs first"])
@pytest.mark.parametrize(
    ("trainer", "path", "texts", "length"),
    [pytest.param(*one, (None, 5.0), id=f"{name}, epochs") for name, one in IN_EPOCHS.items()]
    + [pytest.param(*one, (500, None), id=f"{name}, steps") for name, one in IN_STEPS.items()],
)
def test_of_steps_and_epochs_the_one_that_the_config_counts_by_is_changed_and_stays_when_patched_again(
    trainer: ModuleType, path: Path, texts: dict[Path, str], length: tuple[int | None, float | None], order: int
) -> None:
    once = trainer.patch(ConfigFiles(path=path, texts=texts), BOTH[::order])
    read = trainer.read(ConfigFiles(path=path, texts=once.texts))
    assert (read.steps, read.epochs) == length and not once.unsupported
    assert trainer.patch(ConfigFiles(path=path, texts=once.texts), BOTH[::order]).texts == once.texts
