"""The folders of pictures in sd-scripts' and musubi-tuner's metadata: repeats, pictures, tags. Pure.

Source: kohya-ss/sd-scripts train_network.py; library/config_util.py (extract_dreambooth_params: the names of folders);
library/train_util.py (set_tag_frequency: a tag counts once for each time a caption has it, in lower case).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lora_doctor.recorded.notes import Notes
from lora_doctor.recorded.values import as_dict, as_dicts, optional, real, whole
from lora_doctor.types import TrainedFolder

MAX_FOLDERS = 1000
_NAMED = re.compile(r"\d{1,6}_(.+)", re.DOTALL)


def folders_of(notes: Notes, metadata: Mapping[str, str], datasets: list[dict[str, Any]]) -> tuple[TrainedFolder, ...]:
    """Every folder: per subset where a data set TOML was used, else from the lists of folders. Never raises."""
    tags = notes.json_object(metadata, "ss_tag_frequency")
    if datasets:
        return tuple(_subset(subset, dataset) for dataset in datasets for subset in subsets_of(dataset))[:MAX_FOLDERS]
    pictures = notes.json_object(metadata, "ss_dataset_dirs")
    regularisation = notes.json_object(metadata, "ss_reg_dataset_dirs")
    listed = [(name, pictures.get(name), False) for name in dict.fromkeys((*pictures, *tags))
              if name in pictures or name not in regularisation]  # fmt: skip
    listed += [(name, info, True) for name, info in regularisation.items()]
    return tuple(
        TrainedFolder(
            name=name,
            repeats=optional(as_dict(info).get("n_repeats"), real(0)),
            images=optional(as_dict(info).get("img_count"), whole()),
            regularisation=is_regularisation,
            class_tokens=class_tokens(name),
            tags=counts(tags.get(name)),
        )
        for name, info, is_regularisation in listed[:MAX_FOLDERS]
    )


def subsets_of(dataset: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The subsets of one data set."""
    return as_dicts(dataset.get("subsets"))


def class_tokens(name: str) -> str | None:
    """`ohwx person` of a folder called `10_ohwx person`; None for a folder without repeats in its name."""
    found = _NAMED.fullmatch(name)
    return found[1].strip() or None if found else None


def counts(tags: Any) -> dict[str, int]:
    """Tag -> count; what is no count is left out."""
    return {tag: count for tag, count in as_dict(tags).items() if type(count) is int and 0 < count < 2**53}


def _subset(subset: Mapping[str, Any], dataset: Mapping[str, Any]) -> TrainedFolder:
    name = subset.get("image_dir") or subset.get("metadata_file")
    name = name if isinstance(name, str) else ""
    tokens = subset.get("class_tokens")
    return TrainedFolder(
        name=name,
        repeats=optional(subset.get("num_repeats"), real(0)),
        images=optional(subset.get("img_count"), whole()),
        regularisation=subset.get("is_reg") is True,
        class_tokens=tokens if isinstance(tokens, str) and tokens else class_tokens(name),
        tags=counts(as_dict(dataset.get("tag_frequency")).get(name)),
    )
