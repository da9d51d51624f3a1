"""diffusers' example scripts: the `parse_args` of the very script that the command starts."""

from __future__ import annotations

import glob
import os
import sys
from typing import Any

from absent import load
from jobs import answer


def parse(config: str, arguments: list[str]) -> dict[str, Any]:
    """The settings as the script has them."""
    script = next(word for word in arguments if word.endswith(".py"))
    folder = os.path.dirname(glob.glob(f"examples/*/{os.path.basename(script)}")[0])
    sys.path.insert(0, os.path.join(os.getcwd(), folder))
    module = load(os.path.basename(script)[:-3])
    words = arguments[arguments.index(script) + 1 :]
    if "--pretrained_model_name_or_path" not in " ".join(words):
        words = ["--pretrained_model_name_or_path", "x", *words]
    if "train_text_to_image" in script:  # takes no list, reads sys.argv
        sys.argv = ["x", *words]
        args = module.parse_args()
    else:
        args = module.parse_args(
            [*words, *([] if "--instance_prompt" in " ".join(words) else ["--instance_prompt", "x"])]
        )
    return {
        "rank": args.rank, "alpha": getattr(args, "lora_alpha", args.rank), "seed": args.seed,
        "steps": args.max_train_steps, "epochs": args.num_train_epochs, "learning_rate": args.learning_rate,
        "resolution": args.resolution, "batch_size": args.train_batch_size,
        "caption_dropout": getattr(args, "caption_dropout", 0.0),
        "train_text_encoder": getattr(args, "train_text_encoder", False),
    }  # fmt: skip


if __name__ == "__main__":
    answer(parse)
