"""musubi-tuner: a dataset config with `image_directory` or `image_jsonl_file`, by which it is told from sd-scripts'.

Source: kohya-ss/musubi-tuner dataset/config_utils.py (schema, fallback dataset, general, defaults), media_utils.py
(glob_images: pictures without a caption file are left out), datasources.py (the whole caption; no EXIF rotation).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lora_doctor.errors import UsageError
from lora_doctor.layouts.config_text import read_text, table_of, tried
from lora_doctor.layouts.copies import joined_copies
from lora_doctor.layouts.places import RELATIVE, file_named, folder_named, is_relative
from lora_doctor.layouts.tables import MAX_TABLE, json_lines
from lora_doctor.layouts.values import MAX_SUBSETS, Layer, Section, unknown_keys
from lora_doctor.types import Layout, Subset

TRAINER = "musubi-tuner"
_FOLDERS = ("image_directory", "image_jsonl_file", "video_directory", "video_jsonl_file")
_GENERAL = frozenset(
    ("caption_extension", "batch_size", "num_repeats", "resolution", "enable_bucket", "bucket_no_upscale")
)
_DATASET = _GENERAL | {
    *_FOLDERS, "cache_directory", "control_directory", "multiple_target", "fp_latent_window_size",
    "fp_1f_clean_indices", "fp_1f_target_index", "fp_1f_no_post", "no_resize_control", "control_resolution",
    "target_frames", "frame_extraction", "frame_stride", "frame_sample", "max_frames", "source_fps",
    "flux_kontext_no_resize_control", "qwen_image_edit_no_resize_control", "qwen_image_edit_control_resolution",
}  # fmt: skip


def recognises(path: Path, text: str | None) -> bool:
    """Whether this is such a config, in TOML or JSON; never raises."""
    config = tried(path, text) if path.suffix.lower() in (".toml", ".json") else None
    return isinstance(config, dict) and is_dataset_config(config)


def is_dataset_config(config: Mapping[str, Any]) -> bool:
    """Whether a config names folders in musubi-tuner's words."""
    datasets = config.get("datasets")
    listed = datasets if isinstance(datasets, list) else []
    return any(isinstance(dataset, dict) and any(key in dataset for key in _FOLDERS) for dataset in listed)


def read(path: Path, text: str | None) -> Layout:
    """The subsets, one for each folder of pictures. Raises UsageError."""
    return layout_of(path, table_of(path, text or ""))


def layout_of(path: Path, config: Mapping[str, Any]) -> Layout:
    """The same of a config that is read already."""
    top = Section(path, (("", config),))
    general = ("general", top.table("general"))
    layers = top.tables("datasets")
    subsets: list[Subset] = []
    videos, relative = 0, False
    for layer in layers:
        if "video_directory" in layer[1] or "video_jsonl_file" in layer[1]:
            videos += 1
            continue
        dataset = Section(path, (layer, general))
        relative |= is_relative(dataset.text("image_directory") or dataset.text("image_jsonl_file"))
        subsets += _subsets(dataset)
    if not subsets:
        raise UsageError("names no folder of pictures.", path=path, advice="Add a dataset with image_directory.")
    joined = joined_copies(subsets)
    known: list[tuple[Layer, frozenset[str]]] = [(general, _GENERAL), *((layer, _DATASET) for layer in layers)]
    told = [
        (relative, RELATIVE),
        (any(subset.captions is None for subset in joined), f"{TRAINER} leaves out pictures without a caption file."),
        (any(subset.captions is None and not subset.caption_extensions for subset in joined),
         f"caption_extension is not set: {TRAINER} finds no caption and stops."),
        (videos, f"{videos} datasets of videos are not looked at."),
        (len(subsets) - len(joined), "Folders that are listed several times are one subset, with the repeats of all."),
    ]  # fmt: skip
    notes = [note for count, note in told if count]
    notes += unknown_keys(TRAINER, known, "it stops at keys that it does not know")
    return Layout(trainer=TRAINER, subsets=joined, notes=tuple(notes))


def _subsets(dataset: Section) -> list[Subset]:
    like = Subset(
        folder=dataset.path.parent,
        source=f"{dataset.path.name}, {dataset.place}",
        repeats=_repeats(dataset),
        caption_lines="whole",
        shuffle=False, caption_dropout=0.0, caption_token_dropout=0.0, keep_tokens=0,
        resolution=dataset.size("resolution") or (960, 544),
        buckets=dataset.flag("enable_bucket") or False,
        upscales=not (dataset.flag("bucket_no_upscale") or False),
        random_crop=False,
        obeys_orientation=False,
    )  # fmt: skip
    name = dataset.text("image_directory")
    if name is not None:
        extension = dataset.text("caption_extension")
        folder = folder_named(name, dataset.path, f"{dataset.place}.image_directory")
        return [replace(like, folder=folder, caption_extensions=(extension,) if extension else ())]
    table = dataset.text("image_jsonl_file")
    if table is None:
        dataset.refuse(dataset.place, "image_directory", "the name of a folder", None)
    return _listed(file_named(table, dataset.path, f"{dataset.place}.image_jsonl_file", (".jsonl", ".json")), like)


def _repeats(dataset: Section) -> int:
    repeats = dataset.whole("num_repeats", -(10**9), 10**6)
    return 1 if repeats is None else max(0, repeats)


def _listed(table: Path, like: Subset) -> list[Subset]:
    """A subset for each folder with pictures of the table; relative names are taken as beside it."""
    groups: dict[Path, dict[str, str]] = {}
    for row in json_lines(table, read_text(table, limit=MAX_TABLE)):
        name, caption = row.get("image_path", row.get("image_path_0")), row.get("caption")
        if not isinstance(name, str) or not isinstance(caption, str) or "\0" in name:
            raise UsageError("has a line without image_path or caption.", path=table, advice="Correct it.")
        picture = table.absolute().parent / name
        groups.setdefault(picture.parent, {})[os.path.basename(name)] = caption
        if len(groups) > MAX_SUBSETS:
            raise UsageError(f"names pictures in more than {MAX_SUBSETS} folders.", path=table, advice="Split it.")
    return [
        replace(like, folder=folder, files=tuple(captions), captions=captions, caption_extensions=())
        for folder, captions in groups.items()
    ]
