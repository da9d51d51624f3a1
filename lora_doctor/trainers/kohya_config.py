"""sd-scripts: the arguments and the subsets that a config gives, and what each subset has. Pure.

Source: kohya-ss/sd-scripts library/config_util.py, networks/lora.py (`block_dims`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lora_doctor.edits.by_ending import parsed
from lora_doctor.trainers.agreed import number
from lora_doctor.trainers.kohya_places import Args, Subset, args_of, dataset_path, subsets_of
from lora_doctor.trainers.places import Place
from lora_doctor.types import ConfigFiles

TAG_DROPOUT = "caption_tag_dropout_rate"
IN_ARGS = {"batch_size": "train_batch_size"}
"""Settings whose argument has another name."""
FROM_WEIGHTS = "dim_from_weights"
"""Switch with which rank and alpha are those of an older LoRA, whatever the arguments say."""


def is_dataset(config: Any) -> bool:
    """Whether it has `datasets` with subsets, which musubi-tuner has not."""
    datasets = config.get("datasets") if isinstance(config, dict) else None
    return isinstance(datasets, list) and any(isinstance(one, dict) and "subsets" in one for one in datasets)


def arguments(config: ConfigFiles) -> Args:
    """Those of the file or the command; none in a dataset config."""
    if is_dataset(parsed(config.path, config.text)):
        return Args({}, {}, Place(config.path, ()))
    return args_of(config.path, config.text)


def trained_subsets(config: ConfigFiles) -> list[Subset]:
    """The subsets that the character is learned from."""
    return [subset for subset in all_subsets(config) if not subset.regularisation]


def all_subsets(config: ConfigFiles) -> list[Subset]:
    """All of them."""
    if is_dataset(parsed(config.path, config.text)):
        return subsets_of(config, config.path, None)
    args = args_of(config.path, config.text)
    path = dataset_path(args, config.path)
    return subsets_of(config, path, args) if path is not None and path in config.texts else []


def each(subsets: Sequence[Subset], args: Args, key: str) -> list[Any]:
    """What each subset has; without any, what the arguments say."""
    own = IN_ARGS.get(key, key)
    return [subset.value(key) for subset in subsets] if subsets else [args.get(own)]


def of_blocks(network: Mapping[str, str]) -> dict[str, str]:
    """Field -> the argument of the network that gives every block its own, which comes before the one for all."""
    names = {"rank": "block_dims", "alpha": "block_alphas"} if "block_dims" in network else {}
    return {field: name for field, name in names.items() if name in network}


def text_rates(args: Args) -> list[float | None]:
    """The text encoders' own rates, one for all or one each; `[None]` where none is given: the general one holds."""
    told = args.get("text_encoder_lr")
    return [number(rate) for rate in (told if isinstance(told, list) else [told])]


def still_text(args: Args) -> bool:
    """Whether the text encoders are given rates of 0: their adapters are made, and stay as they began."""
    return all(rate == 0 for rate in text_rates(args))
