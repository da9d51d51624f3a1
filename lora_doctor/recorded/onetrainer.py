"""OneTrainer (Nerogar): nothing, or its whole config as JSON in `ot_config`, with or without the concepts.

Source: Nerogar/OneTrainer modules/modelSaver/mixin/DtypeModelSaverMixin.py (_create_safetensors_header),
modules/util/config/TrainConfig.py and ConceptConfig.py (keys; every one is written, so no default is guessed),
modules/model/*.py (default_layer), mgds DropTags (what the modes of tag dropout do).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lora_doctor.onetrainer_parts import denoiser, text_encoders
from lora_doctor.recorded.general import altered, base_model, comment, day_or_time, last_part, trigger_words
from lora_doctor.recorded.notes import Notes, read_table
from lora_doctor.recorded.onetrainer_concepts import folders_of, read_concepts
from lora_doctor.recorded.values import as_dict, flag, is_none, optional, rate, real, share, shown, side, whole, words
from lora_doctor.types import TrainingProgress, TrainingRecord

TRAINER = "OneTrainer"
PRECEDENCE = 10
CONFIG = "ot_config"
WHERE = f"metadata {CONFIG}"
_PLAIN: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("epochs", "epochs", real(0)),
    ("batch_size", "batch_size", whole(1)),
    ("resolution", "resolution", side),
    ("lr_scheduler", "learning_rate_scheduler", words),
    ("gradient_accumulation", "gradient_accumulation_steps", whole(1)),
    ("mixed_precision", "train_dtype", words),
    ("noise_offset", "offset_noise_weight", real(-100, 100)),
    ("network_dropout", "dropout_probability", share),
)
_KINDS = {"LORA": "lora", "LOHA": "loha", "LOKR": "lokr", "OFT_2": "oft"}
_LAST_LAYER = {"STABLE_DIFFUSION_15": 1, "STABLE_DIFFUSION_2": 1, "STABLE_DIFFUSION_XL": 2, "STABLE_DIFFUSION_3": 2}
"""Start of `model_type` -> the clip skip that a layer skip of 0 is."""
_FLOW = (
    "STABLE_DIFFUSION_3", "FLUX", "CHROMA", "QWEN", "Z_IMAGE", "SANA", "HUNYUAN_VIDEO", "HI_DREAM", "ANIMA", "KREA_2",
    "ERNIE", "IDEOGRAM",
)  # fmt: skip
"""Start of `model_type` for families that predict a flow."""
_NEVER = {
    "steps": "OneTrainer counts epochs, not steps",
    "seed": "OneTrainer has a seed per concept, none for the training",
    "identity_ratio": "OneTrainer has no such setting: it follows from the concepts' balancing",
    "negative_tokens": "OneTrainer has no such setting",
    "conv_rank": "OneTrainer trains convolutions with the rank of the other modules",
    "conv_alpha": "OneTrainer trains convolutions with the alpha of the other modules",
}
_NO_CONFIG = "OneTrainer was told to leave its config out of the file (include_train_config: NONE, the default)"


def recognises(metadata: Mapping[str, str]) -> bool:
    """Whether this is OneTrainer's metadata; never raises."""
    return "ot_revision" in metadata or CONFIG in metadata


def read(metadata: Mapping[str, str], path: Path) -> TrainingRecord:
    """The record in `metadata`; `path`, the LoRA file, is not looked at. Never raises."""
    notes = Notes(TRAINER, f"metadata {'ot_revision' if 'ot_revision' in metadata else CONFIG}")
    config = notes.json_object(metadata, CONFIG)
    bad = notes.unreadable.get(CONFIG)
    reason = f"{WHERE} does not say" if config else _NO_CONFIG if bad is None else f"{WHERE} is {bad}"
    if config:
        _settings(notes, config)
        read_concepts(notes, config)
    trigger_words(notes, metadata)
    return notes.finish(
        _NEVER if config else {},
        reason,
        folders=folders_of(config),
        base=base_model(notes, metadata, last_part(config.get("base_model_name"), keep_hub_id=True)),
        progress=TrainingProgress(finished=notes.optional(metadata, "modelspec.date", day_or_time)),
        comment=comment(metadata),
        altered=altered(metadata)[0],
        hidden=None if config else reason,
    )


def _settings(notes: Notes, config: Mapping[str, Any]) -> None:
    family = str(config.get("model_type", ""))[:60]
    read_table(notes, config, _PLAIN, where=WHERE)
    notes.read("optimizer", as_dict(config.get("optimizer")), "optimizer", words, where=f"{WHERE} optimizer")
    _network(notes, config)
    _rates(notes, config, family)
    _loss(notes, config)
    if family.startswith(_FLOW):
        notes.know("prediction_type", "flow", f"{WHERE} model_type (a flow model)")
    skip = next((layer for start, layer in _LAST_LAYER.items() if family.startswith(start)), None)
    if skip is not None:
        key = "text_encoder_layer_skip"
        notes.read("clip_skip", config, key, lambda value: whole(0, 50)(value) + skip, where=WHERE)


def _network(notes: Notes, config: Mapping[str, Any]) -> None:
    """Rank, alpha and kind; LoKr has its own rank, OFT has blocks instead."""
    kind = _KINDS.get(str(config.get("peft_type", ""))[:20])
    if kind is None:
        notes.miss("kind", f"{WHERE} peft_type is {shown(config.get('peft_type'))}, not known here")
        return
    is_dora = kind == "lora" and optional(config.get("lora_decompose"), flag) is True
    notes.know("kind", "dora" if is_dora else kind, f"{WHERE} peft_type{' and lora_decompose' if is_dora else ''}")
    if kind == "oft":
        for field in ("rank", "alpha"):
            notes.miss(field, "OFT has blocks, not a rank")
        return
    if kind == "lokr" and optional(config.get("lokr_full_matrix"), flag):
        notes.miss("rank", f"{WHERE} trains LoKr with whole factors, which have no rank")
    else:
        notes.read("rank", config, "lokr_dim" if kind == "lokr" else "lora_rank", whole(1, 2**20), where=WHERE)
    notes.read("alpha", config, "lora_alpha", real(-1e6, 1e6), where=WHERE)


def _rates(notes: Notes, config: Mapping[str, Any], family: str) -> None:
    """The part that draws and the text encoders have rates of their own, which default to the general one."""
    _rate(notes, "learning_rate", config, [denoiser(family) or "transformer"])
    names = text_encoders(family)
    if names is None:
        for field in ("train_text_encoder", "text_encoder_learning_rate"):
            notes.miss(field, f"{WHERE} model_type {shown(family)} is not known here")
        return
    flags = {name: optional(as_dict(config.get(name)).get("train"), flag) for name in names}
    trained = [name for name, is_trained in flags.items() if is_trained]
    if trained or None not in flags.values():
        says = f"{WHERE} {trained[0]}.train" if trained else f"{WHERE} trains none of {len(names)} text encoders"
        notes.know("train_text_encoder", bool(trained), says)
    if trained:
        _rate(notes, "text_encoder_learning_rate", config, trained)
    else:
        notes.miss("text_encoder_learning_rate", f"{WHERE} does not train the text encoder")


def _rate(notes: Notes, field: str, config: Mapping[str, Any], parts: list[str]) -> None:
    general = {"learning_rate": config.get("learning_rate")}
    own = [
        part if not is_none(part.get("learning_rate")) else general
        for part in (as_dict(config.get(name)) for name in parts)
    ]
    if all(is_none(part.get("learning_rate")) for part in own):
        notes.miss(field, f"{WHERE} has no learning_rate")
    else:
        notes.agree(field, own, "learning_rate", rate, "text encoders", WHERE)


def _loss(notes: Notes, config: Mapping[str, Any]) -> None:
    weight = config.get("loss_weight_fn")
    if weight == "MIN_SNR_GAMMA":
        notes.read("min_snr_gamma", config, "loss_weight_strength", real(0, 1000), where=WHERE)
    elif isinstance(weight, str):
        notes.know("min_snr_gamma", 0.0, f"{WHERE} loss_weight_fn is {shown(weight)}: off")
    if optional(config.get("rescale_noise_scheduler_to_zero_terminal_snr"), flag):
        reason = "rescale_noise_scheduler_to_zero_terminal_snr"
        notes.know("prediction_type", "v_prediction", f"{WHERE} {reason} (OneTrainer then forces v-prediction)")
    else:
        notes.miss("prediction_type", "OneTrainer takes it from the base model")
