"""SimpleTuner (bghira): the adapter's settings, trigger words and steps in the file, the rest in a config beside it.

Source: bghira/SimpleTuner simpletuner/helpers/training/save_hooks.py (metadata), helpers/publishing/metadata.py
(save_training_config: `simpletuner_config.json`), simpletuner_sdk/server/services/field_registry (keys).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lora_doctor.recorded.adapter_fields import KEY, read_adapter_fields
from lora_doctor.recorded.general import altered, base_model, comment, last_part, predicted, prediction, trigger_words
from lora_doctor.recorded.kohya_folders import counts
from lora_doctor.recorded.notes import Notes
from lora_doctor.recorded.sidecar import config_beside
from lora_doctor.recorded.values import flag, is_none, rate, real, share, shown, side, whole, words
from lora_doctor.types import TrainedFolder, TrainingProgress, TrainingRecord

TRAINER = "SimpleTuner"
PRECEDENCE = 30
_CONFIGS = ("simpletuner_config.json", "config.json")
_OURS = ("model_family", "data_backend_config")
"""Keys that tell its config from any other `config.json`."""
_LYCORIS = "lycoris_config"
_KINDS = {"lora": "lora", "locon": "lora", "loha": "loha", "lokr": "lokr", "ia3": "ia3", "full": "full",
          "glora": "glora", "diag-oft": "oft", "boft": "boft", "dylora": "lora"}  # fmt: skip
_PLAIN: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("batch_size", "train_batch_size", whole(1)),
    ("learning_rate", "learning_rate", rate),
    ("optimizer", "optimizer", words),
    ("lr_scheduler", "lr_scheduler", words),
    ("caption_dropout", "caption_dropout_probability", share),
    ("gradient_accumulation", "gradient_accumulation_steps", whole(1)),
    ("mixed_precision", "mixed_precision", words),
    ("seed", "seed", whole()),
    ("train_text_encoder", "train_text_encoder", flag),
)
_NEVER = {
    "identity_ratio": "SimpleTuner has no such setting: it follows from the data sets' repeats and pictures",
    "negative_tokens": "SimpleTuner has no such setting",
    "caption_token_dropout": "SimpleTuner has no such setting",
    "conv_rank": "SimpleTuner has no such setting for standard LoRA",
    "conv_alpha": "SimpleTuner has no such setting for standard LoRA",
    "clip_skip": "SimpleTuner has no such setting",
    "keep_tokens": "it stands in the data set's own config, which is not in the file",
    "flip_augmentation": "it stands in the data set's own config, which is not in the file",
    "shuffle_captions": "it stands in the data set's own config, which is not in the file",
}
_ABSENT = f"SimpleTuner does not write it into the file, and there is no {_CONFIGS[0]} beside it"


def recognises(metadata: Mapping[str, str]) -> bool:
    """Whether this is SimpleTuner's metadata; never raises."""
    return _LYCORIS in metadata or (KEY in metadata and ("global_step" in metadata or "trained_words" in metadata))


def read(metadata: Mapping[str, str], path: Path) -> TrainingRecord:
    """The record in `metadata` and in a config beside the LoRA file `path`. Never raises."""
    sign = _LYCORIS if _LYCORIS in metadata else KEY
    notes = Notes(TRAINER, f"metadata {sign}")
    if _LYCORIS in metadata:
        _lycoris(notes, metadata)
    else:
        read_adapter_fields(notes, metadata)
    name, config = _config(notes, path)
    if config:
        _settings(notes, config, f"{name} beside the file")
    trigger_words(notes, metadata)
    prediction(notes, metadata)
    reason = f"{name} beside the file does not say" if config else _ABSENT
    return notes.finish(
        _NEVER,
        reason,
        # Only tags in more than half of all captions are written down.
        folders=tuple(
            TrainedFolder(name=backend, tags=counts(tags))
            for backend, tags in list(notes.json_object(metadata, "ss_tag_frequency").items())[:1000]
        ),
        base=base_model(notes, metadata, last_part(config.get("pretrained_model_name_or_path"), keep_hub_id=True)),
        progress=TrainingProgress(steps=notes.optional(metadata, "global_step", whole())),
        comment=comment(metadata),
        altered=altered(metadata)[0],
        hidden=None if config else _ABSENT,
    )


def _lycoris(notes: Notes, metadata: Mapping[str, str]) -> None:
    """LyCORIS' own config. A rank above every width makes whole factors; 10000 is what its examples ask for."""
    config = notes.json_object(metadata, _LYCORIS)
    where = f"metadata {_LYCORIS}"
    if not config:
        for field in ("kind", "rank", "alpha", "network_dropout"):
            notes.miss(field, f"{where} is {notes.unreadable.get(_LYCORIS, 'empty')}")
        return
    name = str(config.get("algo", "lora"))[:40].lower()
    if name in _KINDS:
        is_dora = config.get("dora_wd") is True and _KINDS[name] == "lora"
        notes.know("kind", "dora" if is_dora else _KINDS[name], f"{where} algo")
    else:
        notes.miss("kind", f"{where} algo {shown(name)} is not known here")
    notes.read("rank", config, "linear_dim", whole(1, 2**20), where=where)
    notes.read("alpha", config, "linear_alpha", real(-1e6, 1e6), where=where)
    notes.read("conv_rank", config, "conv_dim", whole(1, 2**20), where=where)
    notes.read("conv_alpha", config, "conv_alpha", real(-1e6, 1e6), where=where)
    notes.read("network_dropout", config, "dropout", share, where=where)
    notes.know("train_text_encoder", False, "SimpleTuner trains no text encoder with LyCORIS")


def _config(notes: Notes, path: Path) -> tuple[str, dict[str, Any]]:
    """(name, content) of the first config beside the file that is SimpleTuner's; its keys may begin with `--`."""
    for name in _CONFIGS:
        held = {key.removeprefix("--"): value for key, value in config_beside(notes, path, name).items()}
        if any(key in held for key in _OURS):
            return name, held
    return "", {}


def _settings(notes: Notes, config: Mapping[str, Any], where: str) -> None:
    for field, key, reader in _PLAIN:
        if field not in notes.values:
            notes.read(field, config, key, reader, where=where)
    if config.get("lora_type", "standard") == "standard":
        for field, key, reader in (("rank", "lora_rank", whole(1, 2**20)), ("alpha", "lora_alpha", real(-1e6, 1e6))):
            if field not in notes.values:
                notes.read(field, config, key, reader, where=where)
    for field, key, reader in (("steps", "max_train_steps", whole(1)), ("epochs", "num_train_epochs", real(0))):
        if config.get(key) in (0, "0"):
            notes.miss(field, f"{where} {key} is 0: the length is given the other way")
        else:
            notes.read(field, config, key, reader, where=where)
    _rates_and_loss(notes, config, where)
    if config.get("resolution_type") in ("pixel", "pixel_area"):
        notes.read("resolution", config, "resolution", side, where=where)
    else:
        kind = shown(config.get("resolution_type"))
        notes.miss("resolution", f"{where} resolution_type {kind} is no side in pixels, or an edge of any shape")


def _rates_and_loss(notes: Notes, config: Mapping[str, Any], where: str) -> None:
    """`noise_offset` counts only with `offset_noise`, `snr_gamma` None or 0 is off."""
    if notes.values.get("train_text_encoder"):
        key = "learning_rate" if is_none(config.get("text_encoder_lr")) else "text_encoder_lr"
        notes.read("text_encoder_learning_rate", config, key, rate, where=where)
    else:
        notes.miss("text_encoder_learning_rate", "the text encoder was not trained")
    if config.get("offset_noise") is True:
        notes.read("noise_offset", config, "noise_offset", real(-100, 100), where=where)
    elif "offset_noise" in config:
        notes.know("noise_offset", 0.0, f"{where} offset_noise is off")
    notes.read("min_snr_gamma", config, "snr_gamma", real(0, 1000), where=where, none=0.0)
    if config.get("prediction_type") == "flow_matching":
        notes.know("prediction_type", "flow", f"{where} prediction_type")
    elif not is_none(config.get("prediction_type")):
        notes.read("prediction_type", config, "prediction_type", predicted, where=where)
