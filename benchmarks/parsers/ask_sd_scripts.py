"""sd-scripts: its argument parser, its config file reader, its dataset schema and fallbacks."""

from __future__ import annotations

import sys
from typing import Any

from absent import load
from jobs import answer


def parse(config: str, arguments: list[str]) -> dict[str, Any]:
    """The settings as the trainer has them; those of subsets as lists."""
    script, configs = load("sdxl_train_network", "library"), load("library.config_util", "library")
    parser, util = script.setup_parser(), load("library.train_util", "library")
    sys.argv = ["x", *(arguments or ["--config_file", config])]
    args = util.read_config_from_file(parser.parse_args(), parser)
    told = {
        "rank": args.network_dim, "alpha": args.network_alpha, "seed": args.seed, "epochs": args.max_train_epochs,
        "learning_rate": args.unet_lr or args.learning_rate, "train_text_encoder": not args.network_train_unet_only,
    }  # fmt: skip
    if not args.dataset_config:
        side = args.resolution if args.resolution is None else max(map(int, str(args.resolution).split(",")))
        return told | {
            "caption_dropout": args.caption_dropout_rate, "caption_token_dropout": args.caption_tag_dropout_rate,
            "resolution": side, "batch_size": args.train_batch_size, "flip_augmentation": args.flip_aug,
        }  # fmt: skip
    generator = configs.BlueprintGenerator(configs.ConfigSanitizer(True, True, False, True))
    group = generator.generate(configs.load_user_config(args.dataset_config), args).dataset_group
    subsets = [one.params for dataset in group.datasets for one in dataset.subsets]
    trained = [one for one in subsets if not getattr(one, "is_reg", False)]
    return told | {
        "caption_dropout": [one.caption_dropout_rate for one in trained],
        "caption_token_dropout": [one.caption_tag_dropout_rate for one in trained],
        "resolution": [max(dataset.params.resolution) for dataset in group.datasets],
        "batch_size": [dataset.params.batch_size for dataset in group.datasets],
        "flip_augmentation": [one.flip_aug for one in trained],
    }


if __name__ == "__main__":
    answer(parse)
