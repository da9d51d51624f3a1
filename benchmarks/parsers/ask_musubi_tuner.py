"""musubi-tuner: its common argument parser, its config file reader, its dataset schema and fallbacks."""

from __future__ import annotations

import os
import sys
from typing import Any

from absent import load
from jobs import answer


def parse(config: str, arguments: list[str]) -> dict[str, Any]:
    """The settings as the trainer has them; those of datasets as lists."""
    sys.path.insert(0, os.path.join(os.getcwd(), "src"))
    common, configs = (
        load(f"musubi_tuner.{name}", "musubi_tuner") for name in ("training.parser_common", "dataset.config_utils")
    )
    parser = common.setup_parser_common()
    sys.argv = ["x", *(arguments or ["--config_file", config])]
    args = common.read_config_from_file(parser.parse_args(), parser)
    generator = configs.BlueprintGenerator(configs.ConfigSanitizer())
    group = generator.generate(
        configs.load_user_config(str(args.dataset_config)), args, architecture="zi"
    ).dataset_group
    pictures = [one.params for one in group.datasets if one.is_image_dataset]
    return {
        "rank": args.network_dim, "alpha": args.network_alpha, "seed": args.seed, "epochs": args.max_train_epochs,
        "steps": args.max_train_steps, "learning_rate": args.learning_rate,
        "resolution": [max(one.resolution) for one in pictures], "batch_size": [one.batch_size for one in pictures],
    }  # fmt: skip


if __name__ == "__main__":
    answer(parse)
