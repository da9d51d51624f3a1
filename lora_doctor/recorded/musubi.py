"""musubi-tuner (kohya-ss): sd-scripts' keys for video and transformer families, with fewer of them.

Source: kohya-ss/musubi-tuner src/musubi_tuner/training/trainer_base.py (the metadata; only the transformer is trained),
dataset/image_video_dataset.py (get_metadata), dataset/architectures.py. It has neither tag counts nor picture counts,
and no caption dropout or shuffling: captions are encoded once, before training.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_doctor.recorded.general import altered, base_model, comment, trigger_words
from lora_doctor.recorded.kohya import PLAIN, is_hidden, progress_of
from lora_doctor.recorded.kohya_network import read_network
from lora_doctor.recorded.notes import Notes, read_table
from lora_doctor.recorded.values import as_dicts, optional, rate, real, side, structure, whole
from lora_doctor.types import TrainedFolder, TrainingRecord

TRAINER = "musubi-tuner"
PRECEDENCE = 50
"""Before sd-scripts, which shares its keys."""
VERSIONS = frozenset(
    {
        "hunyuan_video", "hunyuan_video_1_5", "wan", "framepack", "flux_kontext", "flux_2_dev", "flux_2_klein_4b",
        "flux_2_klein_9b", "qwen_image", "qwen_image_edit", "qwen_image_layered", "kandinsky5", "z_image",
        "hidream_o1_image", "ideogram4", "krea2",
    }
)  # fmt: skip
"""Its values of `ss_base_model_version`, which all are flow models."""
_HAS_NONE = "musubi-tuner has none"
_NEVER = {
    "identity_ratio": "musubi-tuner has no such setting: it follows from the folders' repeats and pictures",
    "negative_tokens": "musubi-tuner has no such setting",
    "clip_skip": "musubi-tuner has no such setting",
    "noise_offset": "musubi-tuner has no such setting",
    "min_snr_gamma": "musubi-tuner has no such setting",
    "keep_tokens": "musubi-tuner has no such setting",
    "text_encoder_learning_rate": "musubi-tuner never trains the text encoder",
}
_HIDDEN = "only the minimum is in the file: it was saved with --no_metadata"
_SIGNS = ("image_directory", "image_jsonl_file", "video_directory", "video_jsonl_file")


def recognises(metadata: Mapping[str, str]) -> bool:
    """Whether this is musubi-tuner's metadata; never raises."""
    ours = "ss_num_train_items" in metadata or metadata.get("ss_base_model_version") in VERSIONS
    return ours and "ss_network_module" in metadata


def read(metadata: Mapping[str, str], path: Path) -> TrainingRecord:
    """The record in `metadata`; `path`, the LoRA file, is not looked at. Never raises."""
    sign = "ss_num_train_items" if "ss_num_train_items" in metadata else "ss_base_model_version"
    notes = Notes(TRAINER, f"metadata {sign}")
    read_table(notes, metadata, PLAIN)
    notes.read("learning_rate", metadata, "ss_learning_rate", rate)
    change, trained_rank = altered(metadata)
    read_network(notes, metadata, change, trained_rank)
    for field, value in (("caption_dropout", 0.0), ("caption_token_dropout", 0.0), ("shuffle_captions", False),
                         ("flip_augmentation", False)):  # fmt: skip
        notes.know(field, value, _HAS_NONE)
    notes.know("train_text_encoder", False, "musubi-tuner never trains the text encoder")
    if metadata.get("ss_base_model_version") in VERSIONS:
        notes.know("prediction_type", "flow", "metadata ss_base_model_version (a flow model)")
    datasets = as_dicts(notes.optional(metadata, "ss_datasets", structure))
    bad = notes.unreadable.get("ss_datasets")
    where = "metadata ss_datasets" if bad is None else f"metadata ss_datasets is {bad};"
    notes.agree("batch_size", datasets, "batch_size_per_device", whole(1), "data sets", where)
    notes.agree("resolution", datasets, "resolution", side, "data sets", where)
    trigger_words(notes, metadata)
    return notes.finish(
        _NEVER,
        "its metadata does not say",
        folders=tuple(map(_folder, datasets[:1000])),
        base=base_model(notes, metadata),
        progress=progress_of(notes, metadata),
        comment=comment(metadata),
        altered=change,
        hidden=_HIDDEN if is_hidden(metadata) else None,
    )


def _folder(dataset: Mapping[str, Any]) -> TrainedFolder:
    name = next((dataset[key] for key in _SIGNS if isinstance(dataset.get(key), str)), "")
    return TrainedFolder(name=name, repeats=optional(dataset.get("num_repeats"), real(0)))
