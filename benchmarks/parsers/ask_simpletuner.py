"""SimpleTuner: its config file loader and its argument parser."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from absent import load, without_the_absent
from jobs import answer


def parse(config: str, arguments: list[str]) -> dict[str, Any]:
    """The settings as the trainer has them; those of backends as lists."""
    words = _of_toml(config) if config.endswith(".toml") else _of_json(config)
    module = load("simpletuner.helpers.configuration.cmd_args", "simpletuner")
    parser = without_the_absent(module.get_argument_parser, "simpletuner")
    args = parser.parse_args(words)
    with open(args.data_backend_config, encoding="utf-8-sig") as file:
        parts = [one for one in json.load(file) if "instance_data_dir" in one and not one.get("is_regularisation_data")]
    return {
        "rank": args.lora_rank, "alpha": args.lora_alpha, "seed": args.seed, "steps": args.max_train_steps,
        "epochs": args.num_train_epochs, "learning_rate": args.learning_rate, "batch_size": args.train_batch_size,
        "caption_dropout": args.caption_dropout_probability,
        "resolution": [one.get("resolution", args.resolution) for one in parts],
        "train_text_encoder": args.train_text_encoder,
    }  # fmt: skip


def _of_json(config: str) -> list[str]:
    os.environ["CONFIG_PATH"] = config
    words: list[str] = load("simpletuner.helpers.configuration.json_file", "simpletuner").load_json_config()
    return words


def _of_toml(config: str) -> list[str]:
    """It is looked for in `config` below the folder that the trainer is started in, and nowhere else."""
    module, started = load("simpletuner.helpers.configuration.toml_file", "simpletuner"), Path.cwd()
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "config").mkdir()
        shutil.copyfile(config, Path(place) / "config" / "config.toml")
        os.chdir(place)
        words: list[str] = module.load_toml_config()
        os.chdir(started)
    return words


if __name__ == "__main__":
    answer(parse)
