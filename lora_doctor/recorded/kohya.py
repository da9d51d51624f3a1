"""sd-scripts (kohya-ss), and what drives it: the kohya_ss GUI, LoRA_Easy_Training_Scripts.

Source: kohya-ss/sd-scripts train_network.py (the metadata), library/train_util.py (the minimum that `--no_metadata`
keeps), networks/lora.py and LyCORIS' kohya.py (what the network arguments mean). Every value is `str()` of Python's.

Two shapes: with folders named `10_ohwx person` on the command line, the data set's settings are keys of their own;
with a data set TOML (`ss_datasets`) they are per subset, and the dropouts of that TOML are recorded nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lora_doctor.recorded.general import altered, base_model, comment, moment, prediction, trigger_words
from lora_doctor.recorded.kohya_folders import folders_of, subsets_of
from lora_doctor.recorded.kohya_network import read_network
from lora_doctor.recorded.notes import Notes, read_table
from lora_doctor.recorded.values import (
    Unreadable,
    agreed,
    as_dicts,
    flag,
    is_none,
    rate,
    real,
    shown,
    side,
    structure,
    whole,
    words,
)
from lora_doctor.types import TrainingProgress, TrainingRecord

TRAINER = "sd-scripts"
PRECEDENCE = 60
"""After the trainers that write `ss_*` keys beside their own."""
MINIMUM = frozenset(
    {"ss_v2", "ss_base_model_version", "ss_network_module", "ss_network_dim", "ss_network_alpha", "ss_network_args"}
)
"""The `ss_*` keys that `--no_metadata` keeps, and that a merge writes."""
PLAIN: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("steps", "ss_max_train_steps", whole(1)),
    ("epochs", "ss_num_epochs", real(0)),
    ("seed", "ss_seed", whole()),
    ("optimizer", "ss_optimizer", words),
    ("lr_scheduler", "ss_lr_scheduler", words),
    ("gradient_accumulation", "ss_gradient_accumulation_steps", whole(1)),
    ("mixed_precision", "ss_mixed_precision", words),
)
"""Settings that sd-scripts and musubi-tuner write alike: field, key, reader."""
_SIGNS = ("ss_network_module", "ss_sd_scripts_commit_hash", "ss_session_id")
_NEVER = {
    "identity_ratio": "sd-scripts has no such setting: it follows from the folders' repeats and pictures",
    "negative_tokens": "sd-scripts has no such setting",
    "train_text_encoder": "sd-scripts does not record --network_train_unet_only; the file's own keys tell",
}
_HIDDEN = "only the minimum is in the file: it was saved with --no_metadata, or merged from other LoRAs"
_TOML = {
    "caption_dropout": "ss_caption_dropout_rate",
    "caption_token_dropout": "ss_caption_tag_dropout_rate",
}


def recognises(metadata: Mapping[str, str]) -> bool:
    """Whether this is sd-scripts' metadata (or its relatives'); never raises."""
    return any(key in metadata for key in _SIGNS)


def read(metadata: Mapping[str, str], path: Path) -> TrainingRecord:
    """The record in `metadata`; `path`, the LoRA file, is not looked at. Never raises."""
    notes = Notes(TRAINER, f"metadata {next(key for key in _SIGNS if key in metadata)}")
    read_table(notes, metadata, PLAIN)
    change, trained_rank = altered(metadata)
    read_network(notes, metadata, change, trained_rank)
    _rates(notes, metadata)
    _loss(notes, metadata)
    prediction(notes, metadata)
    _prediction_by_version(notes, metadata)
    datasets = as_dicts(notes.optional(metadata, "ss_datasets", structure))
    if is_none(metadata.get("ss_datasets")):
        _folder_mode(notes, metadata)
    else:
        _toml_mode(notes, metadata, datasets)
    folders = folders_of(notes, metadata, datasets)
    trigger_words(notes, metadata)
    notes.trigger(*(folder.class_tokens for folder in folders if not folder.regularisation))
    return notes.finish(
        _NEVER,
        "its metadata does not say",
        folders=folders,
        base=base_model(notes, metadata),
        progress=progress_of(notes, metadata),
        comment=comment(metadata),
        altered=change,
        hidden=_HIDDEN if is_hidden(metadata) else None,
    )


def is_hidden(metadata: Mapping[str, str]) -> bool:
    """Whether no `ss_*` key but the minimum is there."""
    return {key for key in metadata if key.startswith("ss_")} <= MINIMUM


def progress_of(notes: Notes, metadata: Mapping[str, str]) -> TrainingProgress:
    """How far it was at the save."""
    return TrainingProgress(
        steps=notes.optional(metadata, "ss_steps", whole()),
        epochs=notes.optional(metadata, "ss_epoch", real(0)),
        started=notes.optional(metadata, "ss_training_started_at", moment),
        finished=notes.optional(metadata, "ss_training_finished_at", moment),
    )


def _rates(notes: Notes, metadata: Mapping[str, str]) -> None:
    """The UNet's rate, or the general one where it has none; the same for the text encoder, if it is trained."""
    for key in ("ss_unet_lr", "ss_learning_rate"):
        if not is_none(metadata.get(key)):
            notes.read("learning_rate", metadata, key, rate)
            break
    else:
        notes.read("learning_rate", metadata, "ss_learning_rate", rate)
    key = "ss_text_encoder_lr"
    if key in metadata and (is_none(metadata[key]) or metadata[key].strip() == "[]"):
        caveat = "ss_text_encoder_lr is not set; counts only where the text encoder is trained"
        notes.read("text_encoder_learning_rate", metadata, "ss_learning_rate", rate, caveat=caveat)
    else:
        notes.read("text_encoder_learning_rate", metadata, key, _one_rate)
    if notes.values.get("text_encoder_learning_rate") == 0:
        notes.know("train_text_encoder", False, f"metadata {key} is 0")


def _one_rate(value: Any) -> float:
    """The rate that all text encoders share; several are written as a list, `[5e-05, 1e-05]`."""
    rates = structure(value) if isinstance(value, str) and value.strip().startswith("[") else [value]
    return float(agreed(map(rate, rates), "text encoders")) if isinstance(rates, list) else rate(rates)


def _loss(notes: Notes, metadata: Mapping[str, str]) -> None:
    """Noise offset and min-SNR, which are off where their value is None, and clip skip."""
    notes.read("noise_offset", metadata, "ss_noise_offset", real(-100, 100), none=0.0)
    notes.read("min_snr_gamma", metadata, "ss_min_snr_gamma", real(0, 1000), none=0.0)
    notes.read("clip_skip", metadata, "ss_clip_skip", whole(1, 100))


def _prediction_by_version(notes: Notes, metadata: Mapping[str, str]) -> None:
    """Files from before ModelSpec: the version string of SD1 and SD2 ends in `_v` for v-prediction."""
    version = metadata.get("ss_base_model_version", "")
    if "prediction_type" not in notes.values and version in ("sd_v1", "sd_v1_v", "sd_v2", "sd_v2_v"):
        value = "v_prediction" if version.endswith("_v") else "epsilon"
        notes.know("prediction_type", value, "metadata ss_base_model_version")


def _folder_mode(notes: Notes, metadata: Mapping[str, str]) -> None:
    """Data set settings from the command line, which hold for every folder."""
    read_table(
        notes,
        metadata,
        (
            ("batch_size", "ss_batch_size_per_device", whole(1)),
            ("resolution", "ss_resolution", side),
            ("keep_tokens", "ss_keep_tokens", whole()),
            ("shuffle_captions", "ss_shuffle_caption", flag),
            ("flip_augmentation", "ss_flip_aug", flag),
        ),
    )
    for field, key in _TOML.items():
        notes.read(field, metadata, key, real(0, 1), none=0.0)
    every = metadata.get("ss_caption_dropout_every_n_epochs", "")
    if not is_none(every) and every.strip() != "0":
        notes.values.pop("caption_dropout", None)
        notes.sources["caption_dropout"] = (
            f"metadata ss_caption_dropout_every_n_epochs is {shown(every)}: whole epochs are without captions"
        )


def _toml_mode(notes: Notes, metadata: Mapping[str, str], datasets: list[dict[str, Any]]) -> None:
    """Data set settings from the TOML, per subset; the pictures of regularisation do not count."""
    where = "metadata ss_datasets"
    if "ss_datasets" in notes.unreadable:
        where = f"{where} is {notes.unreadable['ss_datasets']};"
    notes.agree("batch_size", datasets, "batch_size_per_device", whole(1), "data sets", where)
    notes.agree("resolution", datasets, "resolution", side, "data sets", where)
    subsets = [subset for dataset in datasets for subset in subsets_of(dataset) if subset.get("is_reg") is not True]
    notes.agree("keep_tokens", subsets, "keep_tokens", whole(), "subsets", where)
    notes.agree("shuffle_captions", subsets, "shuffle_caption", flag, "subsets", where)
    notes.agree("flip_augmentation", subsets, "flip_aug", flag, "subsets", where)
    for field, key in _TOML.items():
        _toml_dropout(notes, metadata, field, key)


def _toml_dropout(notes: Notes, metadata: Mapping[str, str], field: str, key: str) -> None:
    """The command line's rate is only what subsets without one fall back to, and 0.0 is what it says if not given.

    Source: library/config_util.py, search_value (subset, then data set, then general, then command line).
    """
    unknown = "sd-scripts records only the command line's rate; the data set TOML's is not in the file"
    try:
        given = real(0, 1)(metadata[key])
    except (KeyError, Unreadable):
        given = 0.0
    if given > 0:
        notes.know(field, given, f"metadata {key} (the command line's; a subset of the data set TOML may differ)")
    else:
        notes.miss(field, unknown)
