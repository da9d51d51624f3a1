"""What a config of OneTrainer gives: its parts, and where its concepts stand that the character is learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lora_doctor.edits.by_ending import parsed
from lora_doctor.named_places import found_file
from lora_doctor.onetrainer_parts import DENOISERS, TEXT_ENCODERS, denoiser, text_encoders
from lora_doctor.trainers.agreed import agreed, flag, number, whole, word
from lora_doctor.trainers.places import Place
from lora_doctor.types import ConfigFiles

EMPTIES = "dropout_probability"
"""Of a text encoder's table; that of the config itself is of the network."""


class Config:
    """The config, and where its concepts stand that the character is learned from."""

    def __init__(self, config: ConfigFiles) -> None:
        found = parsed(config.path, config.text)
        self.values: dict[str, Any] = found if isinstance(found, dict) else {}
        self.root = Place(config.path, ())
        self.version = whole(self.values.get("__version")) or 0
        listed, place = self.values.get("concepts"), self.root.below("concepts")
        named = concept_path(config.path, self.values)
        if named is not None and named in config.texts:
            listed, place = parsed(named, config.texts[named]), Place(named, ())
        tables = [(place.below(i), one) for i, one in enumerate(listed if isinstance(listed, list) else [])]
        self.all_concepts = [(where, one) for where, one in tables if isinstance(one, dict)]
        self.concepts = [(where, one) for where, one in self.all_concepts if is_trained(one)]
        self.texts = [(where.below("text"), table_of(one, "text")) for where, one in self.concepts]
        self.rank = "lokr_dim" if self.values.get("peft_type") == "LOKR" else "lora_rank"
        kind = self.values.get("model_type")
        part, encoders = denoiser(kind), text_encoders(kind)
        self.is_known = part is not None
        """Whether the model's parts are; of another's, those that the config mentions may be its own or not."""
        self.parts = (part,) if part is not None else self._mentioned(DENOISERS) or DENOISERS[:1]
        """The one that draws, or those that may be it."""
        self.encoders = self._mentioned(TEXT_ENCODERS) if encoders is None else encoders

    def _mentioned(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if name in self.values)

    @property
    def learning_rate(self) -> float | None:
        """The drawing part's own, or the general one; None where parts differ that may be it."""
        general = number(self.values.get("learning_rate"))
        own = [number(self.table(name).get("learning_rate")) for name in self.parts]
        found: float | None = agreed(general if rate is None else rate for rate in own)
        return found

    @property
    def trains_text(self) -> bool | None:
        """Whether a text encoder of the model is trained; None where the config does not tell.

        Which text encoders a model has that is not known here, is not either: all that are mentioned must say the same.
        """
        told = [flag(self.table(name).get("train")) for name in self.encoders]
        if not self.is_known and len(set(told)) != 1:
            return None
        return True if True in told else None if None in told else False

    @property
    def emptied(self) -> float | None:
        """The share of samples that a text encoder's own dropout leaves without any text (modules/model/*Model.py).

        None where there are several encoders: each is dropped by itself, and the others go on telling the caption.
        """
        rates = [self.encoder_dropout(name) for name in self.telling]
        return (rates[0] if len(rates) == 1 else None) if any(rates) else 0.0

    @property
    def telling(self) -> tuple[str, ...]:
        """The text encoders that tell the caption, also of models whose LoRAs train none."""
        return self.encoders or TEXT_ENCODERS[:1]

    def encoder_dropout(self, name: str) -> float:
        """How often what a text encoder says is set to zero."""
        return number(self.table(name).get(EMPTIES)) or 0.0

    def table(self, key: str) -> dict[str, Any]:
        """A table of the config; empty where it is none."""
        return table_of(self.values, key)


def concept_path(path: Path, config: Any) -> Path | None:
    """The file of concepts, below the config's own folder where there is none; None where the config holds them."""
    named = config.get("concept_file_name") if isinstance(config, dict) and config.get("concepts") is None else None
    return found_file(named, path) or path.parent / named if isinstance(named, str) and named else None


def is_trained(concept: Mapping[str, Any]) -> bool:
    """Whether the character is learned from a concept: not a validation's, and not one that is switched off."""
    kind = str(concept.get("type", "STANDARD")).rpartition(".")[2]
    if (whole(concept.get("__version")) or 0) < 2 and concept.get("validation_concept") is True:
        return False
    return concept.get("enabled") is not False and kind == "STANDARD"


def dropped(text: Mapping[str, Any], mode: str) -> float | None:
    """The probability in this mode: RANDOM, each tag by itself; FULL, the whole caption. None where neither is so."""
    rate = number(text.get("tag_dropout_probability")) if flag(text.get("tag_dropout_enable")) else 0.0
    present = word(text.get("tag_dropout_mode")) or "FULL"
    if not rate or (present != mode and present in ("RANDOM", "FULL")):
        return 0.0
    kept = whole(text.get("keep_tags_count", 1))
    return rate if present == mode and (mode == "RANDOM" or not kept) else None


def table_of(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The table of that name; empty where there is none."""
    value = values.get(key)
    return value if isinstance(value, dict) else {}
