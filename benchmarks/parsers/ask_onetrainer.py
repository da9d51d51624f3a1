"""OneTrainer: its TrainConfig, with its migrations and enumerations."""

from __future__ import annotations

import json
from typing import Any

from absent import load
from jobs import answer


def parse(config: str, arguments: list[str]) -> dict[str, Any]:
    """The settings as the trainer has them; those of concepts as lists."""
    own = load("modules.util.config.TrainConfig", "modules")
    concepts = load("modules.util.config.ConceptConfig", "modules")
    with open(config, encoding="utf-8-sig") as file:
        args = own.TrainConfig.default_values().from_dict(json.load(file))
    listed = args.concepts
    if listed is None:
        with open(args.concept_file_name, encoding="utf-8-sig") as file:
            listed = [concepts.ConceptConfig.default_values().from_dict(one) for one in json.load(file)]
    kind = args.model_type
    draws = getattr(args, kind.denoising_model_part())
    trained = [one for one in listed if one.enabled and str(one.type) == "STANDARD"]
    return {
        "rank": args.lokr_dim if str(args.peft_type) == "LOKR" else args.lora_rank,
        "alpha": args.lora_alpha, "epochs": args.epochs,
        "learning_rate": draws.learning_rate or args.learning_rate, "batch_size": args.batch_size,
        "train_text_encoder": [getattr(args, part).train for part in kind.text_encoder_parts()],
        "resolution": max(map(int, args.resolution.split(","))) if args.resolution else None,
        "caption_token_dropout": [
            text.tag_dropout_probability if text.tag_dropout_enable and text.tag_dropout_mode != "FULL" else 0.0
            for text in (one.text for one in trained)
        ],
        "flip_augmentation": [one.image.enable_random_flip for one in trained],
    }  # fmt: skip


if __name__ == "__main__":
    answer(parse)
