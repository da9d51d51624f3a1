"""OneTrainer's concepts: folders, balancing, and what is dropped from the captions. Pure.

Source: Nerogar/OneTrainer modules/util/config/ConceptConfig.py; mgds DropTags: the mode FULL drops every tag after the
first `keep_tags_count`, RANDOM each with the same probability, RANDOM WEIGHTED later ones more often.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lora_doctor.recorded.general import last_part
from lora_doctor.recorded.notes import Notes
from lora_doctor.recorded.values import (
    NoSingleValue,
    agreed,
    as_dict,
    as_dicts,
    flag,
    optional,
    real,
    share,
    shown,
    whole,
    words,
)
from lora_doctor.types import TrainedFolder

_WHERE = "metadata ot_config concepts"
_FIELDS = ("caption_dropout", "caption_token_dropout", "keep_tokens", "shuffle_captions", "flip_augmentation")


def read_concepts(notes: Notes, config: Mapping[str, Any]) -> None:
    """Notes what happens to captions; only when the config holds the concepts (include_train_config: ALL)."""
    texts = [as_dict(concept.get("text")) for concept in _trained(config)]
    if not texts:
        reason = "OneTrainer was told to leave its concepts out of the file (include_train_config: SETTINGS)"
        for field in _FIELDS:
            notes.miss(field, f"{_WHERE} lists none that is trained" if config.get("concepts") else reason)
        return
    source = f"{_WHERE} tag_dropout"
    notes.compute("caption_dropout", lambda: agreed(map(_caption_dropout, texts), "concepts"), source)
    notes.compute("caption_token_dropout", lambda: agreed(map(_token_dropout, texts), "concepts"), source)
    notes.agree("keep_tokens", texts, "keep_tags_count", whole(), "concepts", _WHERE)
    notes.agree("shuffle_captions", texts, "enable_tag_shuffling", flag, "concepts", _WHERE)
    images = [as_dict(concept.get("image")) for concept in _trained(config)]
    notes.agree("flip_augmentation", images, "enable_random_flip", flag, "concepts", _WHERE)


def folders_of(config: Mapping[str, Any]) -> tuple[TrainedFolder, ...]:
    """Every concept that was trained; its balancing counts repeats or samples."""
    return tuple(
        TrainedFolder(
            name=optional(concept.get("name"), words) or last_part(concept.get("path")) or "",
            repeats=_balancing(concept, "REPEATS"),
            samples=_balancing(concept, "SAMPLES"),
            regularisation=concept.get("type") == "PRIOR_PREDICTION",
        )
        for concept in _enabled(config)[:1000]
    )


def _balancing(concept: Mapping[str, Any], strategy: str) -> float | None:
    """The concept's balancing, if it is meant as `strategy` says."""
    if concept.get("balancing_strategy", "REPEATS") != strategy:
        return None
    number: float | None = optional(concept.get("balancing"), real(0))
    return number


def _enabled(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    concepts = as_dicts(config.get("concepts"))
    return [one for one in concepts if one.get("enabled") is not False and one.get("type") != "VALIDATION"]


def _trained(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The concepts that show the character."""
    return [concept for concept in _enabled(config) if concept.get("type") != "PRIOR_PREDICTION"]


def _dropout(text: Mapping[str, Any]) -> tuple[str, float]:
    """(mode, probability) of a concept's tag dropout; probability 0 where it is off. Raises Unreadable."""
    if "tag_dropout_enable" not in text:
        raise NoSingleValue("a concept does not say whether tags are dropped")
    if not flag(text["tag_dropout_enable"]):
        return "FULL", 0.0
    return str(text.get("tag_dropout_mode"))[:40], share(text.get("tag_dropout_probability"))


def _caption_dropout(text: Mapping[str, Any]) -> float:
    mode, probability = _dropout(text)
    kept = optional(text.get("keep_tags_count"), whole()) or 0
    if mode != "FULL" or probability == 0:
        return 0.0
    if kept:
        raise NoSingleValue(f"all but the first {kept} tags are dropped, with a probability of {probability:g}")
    return probability


def _token_dropout(text: Mapping[str, Any]) -> float:
    mode, probability = _dropout(text)
    if mode in ("FULL", "RANDOM"):
        return probability if mode == "RANDOM" else 0.0
    raise NoSingleValue(f"the mode {shown(mode)} has no one probability for all tags")
