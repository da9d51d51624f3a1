"""ai-toolkit (ostris): little in the file, the whole config in `config.yaml` beside it.

Source: ostris/ai-toolkit toolkit/metadata.py and jobs/process/BaseSDTrainProcess.py (update_training_metadata: the
file), jobs/process/BaseTrainProcess.py (save_training_config: the config beside it), toolkit/config_modules.py (its
keys and defaults), toolkit/lora_special.py (alpha = rank for transformers).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lora_doctor.recorded.general import altered, base_model, comment, last_part, trigger_words
from lora_doctor.recorded.notes import Notes
from lora_doctor.recorded.sidecar import config_beside
from lora_doctor.recorded.values import (
    agreed,
    as_dict,
    as_dicts,
    flag,
    is_none,
    optional,
    rate,
    real,
    share,
    shown,
    side,
    whole,
    words,
)
from lora_doctor.types import TrainedFolder, TrainingProgress, TrainingRecord

TRAINER = "ai-toolkit"
PRECEDENCE = 20
CONFIG = "config.yaml"
WHERE = f"{CONFIG} beside the file"
_WITH_ALPHA = ("sd_1.5", "sd_2.1", "sdxl_1.0", "ssd", "vega", "pixart", "auraflow")
"""Its values of `ss_base_model_version` for families whose alpha is what the config says; all others train with
alpha = rank."""
_DIFFUSION = ("sd_1.5", "sd_2.1", "sdxl_1.0", "ssd", "vega")
_RANK = whole(1, 2**20)
_KINDS = {"lora": "lora", "locon": "lora", "dora": "dora", "lokr": "lokr"}


def _one_side(value: Any) -> int:
    """A list is not width and height here: the pictures are shown in each of its resolutions."""
    return int(agreed(map(side, value), "resolutions")) if isinstance(value, list) else side(value)


_TRAIN: tuple[tuple[str, str, Callable[[Any], Any], Any], ...] = (
    ("steps", "steps", whole(1), 1000),
    ("batch_size", "batch_size", whole(1), 1),
    ("optimizer", "optimizer", words, "adamw"),
    ("lr_scheduler", "lr_scheduler", words, "constant"),
    ("train_text_encoder", "train_text_encoder", flag, False),
    ("noise_offset", "noise_offset", real(-100, 100), 0.0),
    ("mixed_precision", "dtype", words, "fp32"),
)
"""Settings in the section `train`: field, key, reader, ai-toolkit's default."""
_DATASETS: tuple[tuple[str, str, Callable[[Any], Any], Any], ...] = (
    ("caption_dropout", "caption_dropout_rate", share, 0.0),
    ("caption_token_dropout", "token_dropout_rate", share, 0.0),
    ("keep_tokens", "keep_tokens", whole(), 0),
    ("shuffle_captions", "shuffle_tokens", flag, False),
    ("flip_augmentation", "flip_x", flag, False),
    ("resolution", "resolution", _one_side, 512),
)
"""The same in each of `datasets`."""
_NEVER = {
    "epochs": "ai-toolkit counts steps, not epochs",
    "identity_ratio": "ai-toolkit has no such setting: it follows from the folders' repeats and pictures",
    "negative_tokens": "ai-toolkit has no such setting",
    "clip_skip": "ai-toolkit has no such setting",
}
_ABSENT = f"ai-toolkit writes no settings into the file, and there is no {CONFIG} beside it"


def recognises(metadata: Mapping[str, str]) -> bool:
    """Whether this is ai-toolkit's metadata; never raises."""
    return "ai-toolkit" in metadata.get("software", "")[:10_000]


def read(metadata: Mapping[str, str], path: Path) -> TrainingRecord:
    """The record in `metadata` and in the config beside the LoRA file `path`. Never raises."""
    notes = Notes(TRAINER, "metadata software")
    trigger_words(notes, metadata)
    for name in notes.json_object(metadata, "ss_tag_frequency"):
        notes.trigger(name.removeprefix("1_"))
    process, reason = _process(notes, metadata, config_beside(notes, path, CONFIG))
    datasets = as_dicts(process.get("datasets"))
    model = as_dict(process.get("model"))
    if process:
        _settings(notes, metadata, process)
        notes.trigger(process.get("trigger_word"), *(dataset.get("trigger_word") for dataset in datasets))
    info = notes.json_object(metadata, "training_info")
    steps, epochs = optional(info.get("step"), whole()), optional(info.get("epoch"), whole())
    return notes.finish(
        _NEVER,
        reason,
        folders=tuple(map(_folder, datasets[:1000])),
        base=base_model(notes, metadata, last_part(model.get("name_or_path"), keep_hub_id=True)),
        progress=TrainingProgress(steps=steps, epochs=epochs),
        comment=comment(metadata),
        altered=altered(metadata)[0],
        hidden=None if process else reason,
    )


def _process(notes: Notes, metadata: Mapping[str, str], job: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """(the training process of the job, {} without one; why a setting without value has none)."""
    if CONFIG in notes.unreadable:
        return {}, f"{WHERE} is {notes.unreadable[CONFIG]}"
    if not job:
        return {}, _ABSENT
    config = as_dict(job.get("config"))
    ours, theirs = metadata.get("ss_output_name"), config.get("name")
    if isinstance(theirs, str) and ours is not None and ours != theirs:
        return {}, f"{WHERE} is of another training, {shown(theirs)}, not {shown(ours)}"
    for process in as_dicts(config.get("process")):
        if as_dict(process.get("network")):
            return process, f"{WHERE} does not say"
    return {}, f"{WHERE} trains no LoRA"


def _settings(notes: Notes, metadata: Mapping[str, str], process: dict[str, Any]) -> None:
    train = as_dict(process.get("train"))
    version = metadata.get("ss_base_model_version", "")
    _network(notes, as_dict(process["network"]), version)
    for field, key, reader, default in _TRAIN:
        _read(notes, field, train, key, reader, default)
    notes.read("learning_rate", train, "lr" if is_none(train.get("unet_lr")) else "unet_lr", rate, where=WHERE)
    if notes.values.get("train_text_encoder"):
        key = "lr" if is_none(train.get("text_encoder_lr")) else "text_encoder_lr"
        notes.read("text_encoder_learning_rate", train, key, rate, where=WHERE)
    else:
        notes.miss("text_encoder_learning_rate", f"{WHERE} does not train the text encoder")
    _read(notes, "gradient_accumulation", train, "gradient_accumulation", whole(1), 1)
    if is_none(train.get("snr_gamma")):
        _read(notes, "min_snr_gamma", train, "min_snr_gamma", real(0, 1000), 0.0)
    else:
        notes.miss("min_snr_gamma", f"{WHERE} weighs by snr_gamma instead")
    _prediction(notes, as_dict(process.get("model")), train, version)
    notes.read("seed", process, "training_seed", whole(), where=WHERE)
    # Pictures of regularisation have their own captions, which say nothing about the character's.
    shown_sets = [data for data in as_dicts(process.get("datasets")) if data.get("is_reg") is not True]
    for field, key, reader, default in _DATASETS:
        filled = [{key: default, **{k: v for k, v in data.items() if not is_none(v)}} for data in shown_sets]
        if shown_sets and not any(key in data for data in shown_sets):
            notes.know(field, default, f"{WHERE} does not set {key}: ai-toolkit's default")
        else:
            notes.agree(field, filled, key, reader, "datasets", WHERE)


def _read(
    notes: Notes, field: str, held: Mapping[str, Any], key: str, reader: Callable[[Any], Any], default: Any
) -> None:
    """A setting whose absence means the trainer's default."""
    if is_none(held.get(key)):
        notes.know(field, default, f"{WHERE} does not set {key}: ai-toolkit's default")
    else:
        notes.read(field, held, key, reader, where=WHERE)


def _network(notes: Notes, network: dict[str, Any], version: str) -> None:
    """Rank, alpha and kind. LoKr's ranks are not used unless it is told to factorise (`lokr_full_rank: false`)."""
    kind = str(network.get("type", "lora")).lower()[:20]
    if kind in _KINDS:
        notes.know("kind", _KINDS[kind], f"{WHERE} type")
    else:
        notes.miss("kind", f"{WHERE} type {shown(kind)} is not known here")
    _read(notes, "network_dropout", network, "dropout", share, 0.0)
    if kind == "lokr" and network.get("lokr_full_rank", True) is not False:
        for field in ("rank", "alpha", "conv_rank", "conv_alpha"):
            notes.miss(field, f"{WHERE} trains LoKr with whole factors, which have no rank")
        return
    rank = "linear" if is_none(network.get("rank")) else "rank"
    _read(notes, "rank", network, rank, _RANK, 4)
    notes.read("conv_rank", network, "conv", _RANK, where=WHERE)
    if version in _WITH_ALPHA:
        alpha = "alpha" if is_none(network.get("linear_alpha")) else "linear_alpha"
        _read(notes, "alpha", network, alpha, real(-1e6, 1e6), 1.0)
        alpha = "conv" if is_none(network.get("conv_alpha")) else "conv_alpha"
        notes.read("conv_alpha", network, alpha, real(-1e6, 1e6), where=WHERE)
    elif version:
        ignored = f"the alpha in {WHERE} is ignored: ai-toolkit trains {shown(version)} with alpha = rank"
        for field, of in (("alpha", "rank"), ("conv_alpha", "conv_rank")):
            if of in notes.values:
                notes.know(field, float(notes.values[of]), ignored)
    if "conv_rank" not in notes.values:
        notes.miss("conv_alpha", notes.sources["conv_rank"])
    if not version:
        notes.miss("alpha", "whether ai-toolkit used the config's alpha depends on the family, which the file hides")


def _prediction(notes: Notes, model: Mapping[str, Any], train: Mapping[str, Any], version: str) -> None:
    if train.get("noise_scheduler") == "flowmatch":
        notes.know("prediction_type", "flow", f"{WHERE} noise_scheduler")
    elif version in _DIFFUSION:
        is_v = optional(model.get("is_v_pred"), flag) or False
        notes.know("prediction_type", "v_prediction" if is_v else "epsilon", f"{WHERE} is_v_pred")


def _folder(dataset: Mapping[str, Any]) -> TrainedFolder:
    """A data set; only the last part of its path, which would name a person or a machine."""
    name = last_part(dataset.get("folder_path")) or last_part(dataset.get("dataset_path")) or ""
    repeats = 1 if is_none(dataset.get("num_repeats")) else dataset["num_repeats"]
    return TrainedFolder(
        name=name,
        repeats=optional(repeats, real(0)),
        regularisation=dataset.get("is_reg") is True,
        class_tokens=optional(dataset.get("default_caption"), words),
    )
