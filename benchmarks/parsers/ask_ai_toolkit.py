"""ai-toolkit: its config reader (patched YAML numbers and all) and its config classes."""

from __future__ import annotations

from typing import Any

from absent import load
from jobs import answer


def parse(config: str, arguments: list[str]) -> dict[str, Any]:
    """The settings as the trainer has them; those of datasets as lists."""
    reader, classes = load("toolkit.config", "toolkit"), load("toolkit.config_modules", "toolkit")
    job = next(one for one in reader.get_config(config)["config"]["process"] if "network" in one)
    network, train = classes.NetworkConfig(**job["network"]), classes.TrainConfig(**job["train"])
    raw = classes.preprocess_dataset_raw_config(job["datasets"])
    datasets = [one for one in (classes.DatasetConfig(**each) for each in raw) if not one.is_reg]
    return {
        "rank": network.linear, "alpha": network.linear_alpha, "steps": train.steps, "batch_size": train.batch_size,
        "learning_rate": train.unet_lr if job["train"].get("unet_lr") is not None else train.lr, "train_text_encoder": train.train_text_encoder,  # noqa: E501
        "seed": job.get("training_seed"),
        "caption_dropout": [one.caption_dropout_rate for one in datasets],
        "caption_token_dropout": [one.token_dropout_rate for one in datasets],
        "resolution": [one.resolution for one in datasets],
        "flip_augmentation": [one.flip_x for one in datasets],
    }  # fmt: skip


if __name__ == "__main__":
    answer(parse)
