"""The patch of a OneTrainer config while it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lora_doctor.onetrainer_parts import TEXT_ENCODERS
from lora_doctor.trainers.agreed import flag, number, whole, word
from lora_doctor.trainers.folders import Folder, repeats_for
from lora_doctor.trainers.kept_tokens import kept_tokens
from lora_doctor.trainers.length import steps_per_epoch, warm_up_notes, whole_epochs
from lora_doctor.trainers.onetrainer_config import EMPTIES, Config, dropped
from lora_doctor.trainers.places import Place
from lora_doctor.types import Change, ConfigFiles, Dataset, TrainingSettings

VARIATIONS = 4
"""Captions of each picture in the cache, where some are to be dropped: of one, the same would be dropped always."""
_WHOLE_TABLES = 10
"""Version below which a part's table must hold all that OneTrainer's migrations look for in it."""
_WARM_UP = "learning_rate_warmup_steps"
WARM_UP_STEPS = 200
"""Where the config gives none."""
_PLAIN = {"alpha": "lora_alpha", "batch_size": "batch_size"}
_ONE_MODE = "OneTrainer drops tags of a concept in one way; nearest: the concept twice with half the balancing"
_NEGATIVES = (
    "OneTrainer has no tokens that a character must not show; nearest: captions that name what is in each picture "
    "(`audit --fix`), and pictures that show another one left out"
)


class Draft:
    """The patch while it is written."""

    def __init__(self, config: ConfigFiles) -> None:
        self.config = Config(config)
        self.values: dict[Place, Any] = {}
        self.unsupported: list[str] = []
        self.notes: list[str] = []

    def make(self, change: Change, dataset: Dataset | None) -> None:
        """Write one change, or say why it cannot be; dropout is `mend_dropout`'s."""
        name, after, root = change.field, change.after, self.config.root
        if name in ("caption_dropout", "caption_token_dropout"):
            return
        if name == "rank":
            self.values[root.below(self.config.rank)] = after
        elif name in _PLAIN:
            self.values[root.below(_PLAIN[name])] = after
        elif name == "resolution":
            self.values[root.below("resolution")] = str(after)
        elif name == "epochs":
            self.values[root.below("epochs")] = whole_epochs(after, self.unsupported, what="balancing")
        elif name == "steps":
            self._steps(after, dataset)
        elif name == "learning_rate":
            for part in self.config.parts:
                own = number(self.config.table(part).get("learning_rate")) is not None
                self.values[root.below(*((part,) if own else ()), "learning_rate")] = after
        elif name == "train_text_encoder":
            self._text_encoders(after)
        elif name == "identity_ratio":
            self._balancing(after, dataset)
        elif name == "flip_augmentation":
            for place, _ in self.config.concepts:
                self.values[place.below("image", "enable_random_flip")] = after
        elif name == "negative_tokens":
            self.unsupported.append(f"negative_tokens: {_NEGATIVES}.")
        elif name == "seed":
            self.unsupported.append("seed: OneTrainer has one for each concept and none for the training.")
        else:
            self.unsupported.append(f"{name}: OneTrainer's setting for it is not known here; wanted is {after}.")

    def mend_dropout(self, changes: Sequence[Change]) -> None:
        """Tags of a concept are dropped in one way: each by itself before all together, where both are wanted."""
        asked = {c.field: c.after for c in changes if c.field in ("caption_dropout", "caption_token_dropout")}
        if "caption_dropout" in asked and self._set_encoders_dropout(asked["caption_dropout"]):
            del asked["caption_dropout"]
        for place, text in self.config.texts if asked else ():
            present = {"caption_dropout": dropped(text, "FULL"), "caption_token_dropout": dropped(text, "RANDOM")}
            wanted = {**present, **asked}
            token, whole_one = wanted["caption_token_dropout"] or 0.0, wanted["caption_dropout"] or 0.0
            if token and whole_one:
                self._drop_whole_beside(whole_one)
            if (token, 0.0 if token else whole_one) != (present["caption_token_dropout"], present["caption_dropout"]):
                self._drop(place, text, "RANDOM" if token else "FULL", token or whole_one)

    def _drop_whole_beside(self, rate: float) -> None:
        """Whole captions, where tags are dropped one by one: by the text encoder, where one alone tells the caption."""
        if not self.config.is_known or len(self.config.telling) > 1:
            self._say(f"caption_dropout: {_ONE_MODE}, one of them for whole captions ({rate:g}).")
            return
        (encoder,) = self.config.telling
        self.values[self.config.root.below(encoder, EMPTIES)] = rate
        self._say(f"{encoder}.{EMPTIES} drops whole captions ({rate:g}): concepts drop tags in one way.", note=True)

    def _set_encoders_dropout(self, after: float) -> bool:
        """Write the dropout that text encoders have of their own, where they have one; whether it is all there is.

        It is where one encoder tells the caption, and no concept drops captions besides.
        """
        dropping = [name for name in self.config.telling if self.config.encoder_dropout(name)]
        alone = bool(dropping) and len(self.config.telling) == 1
        alone = alone and all(dropped(text, "FULL") == 0 for _, text in self.config.texts)
        for name in dropping:
            self.values[self.config.root.below(name, EMPTIES)] = after if alone else 0.0
            if not alone:
                self._say(f"{name}.{EMPTIES} is switched off: it takes captions away beside the concepts.", note=True)
        return alone

    def keep_trigger(self, dataset: Dataset | None, trigger: str | None) -> None:
        """Where tags are to be dropped one by one, raise `keep_tags_count` to the trigger's."""
        for place, text in self.config.texts:
            if self.values.get(place.below("tag_dropout_mode")) != "RANDOM":
                continue
            kept = kept_tokens(dataset, trigger, word(text.get("tag_delimiter")) or ",")
            if (whole(text.get("keep_tags_count", 1)) or 0) < kept.count:
                self.values[place.below("keep_tags_count")] = kept.count
                self._say(kept.note("keep_tags_count"), note=True)
            if kept.late:
                self._say(kept.late, note=True)

    def look_at_warm_up(self, changes: Sequence[Change], settings: TrainingSettings, dataset: Dataset | None) -> None:
        """Say where the warm-up, which OneTrainer counts in batches, takes much of a training that gets shorter."""
        batches = number(self.config.values.get(_WARM_UP, WARM_UP_STEPS)) or 0.0
        given = batches if batches <= 1 else batches / (settings.gradient_accumulation or 1)
        self.notes += warm_up_notes(_WARM_UP, given, changes, settings, steps_per_epoch(settings, dataset))

    def _drop(self, place: Place, text: Mapping[str, Any], mode: str, rate: float) -> None:
        self.values[place.below("tag_dropout_enable")] = rate > 0
        if rate <= 0:
            return
        self.values[place.below("tag_dropout_mode")] = mode
        self.values[place.below("tag_dropout_probability")] = rate
        if mode == "FULL":
            self.values[place.below("keep_tags_count")] = 0
        cached = self.config.values.get("text_caching", self.config.values.get("latent_caching", True))
        concept = Place(place.path, place.keys[:-1])
        variations = next(whole(one.get("text_variations")) for where, one in self.config.concepts if where == concept)
        if flag(cached) is not False and (variations or 1) < VARIATIONS:
            self.values[concept.below("text_variations")] = VARIATIONS
            why = "captions are cached, and would lose the same tags always"
            self._say(f"text_variations raised to {VARIATIONS}: {why}.", note=True)

    def _say(self, text: str, *, note: bool = False) -> None:
        told = self.notes if note else self.unsupported
        if text not in told:
            told.append(text)

    def _text_encoders(self, after: bool) -> None:
        if self.config.is_known and not self.config.encoders:
            kind = self.config.values.get("model_type")
            self.unsupported.append(f"train_text_encoder: OneTrainer trains none with a LoRA of {kind}.")
            return
        for encoder in self.config.encoders or TEXT_ENCODERS[:1]:
            if encoder not in self.config.values and self.config.version < _WHOLE_TABLES:
                said = f"train_text_encoder: the config has no table {encoder}; open it in OneTrainer and save it first"
                self._say(f"{said} (wanted is {str(after).lower()}).")
                continue
            self.values[self.config.root.below(encoder, "train")] = after

    def _steps(self, after: int, dataset: Dataset | None) -> None:
        shown = sum(image.repeats for image in dataset.images) if dataset is not None else 0
        if not shown:
            self.unsupported.append(f"steps: OneTrainer counts epochs; wanted are {after} steps.")
            return
        batch = whole(self.config.values.get("batch_size")) or 1
        batch *= whole(self.config.values.get("gradient_accumulation_steps")) or 1
        epochs = whole_epochs(after * batch / shown, self.unsupported, what="balancing")
        self.values[self.config.root.below("epochs")] = epochs
        self.notes.append(f"epochs stand for {after} steps of {batch} of {shown:g} pictures.")

    def _balancing(self, target: float, dataset: Dataset | None) -> None:
        """Repeats in hundredths, or as many samples of each concept; both are called balancing."""
        folders, counts = [], []
        for place, concept in self.config.concepts:
            key = _balance(concept)
            amount, path = number(concept.get(key, 1.0)) or 0.0, Path(str(concept.get("path", "")))
            below = flag(concept.get("include_subdirectories")) or False
            folder = Folder(place.below(key), path, 1.0, below=below)
            pictures = 0 if dataset is None else sum(folder.holds(image) for image in dataset.images)
            samples = str(concept.get("balancing_strategy", "REPEATS")).rpartition(".")[2] == "SAMPLES"
            repeats = amount / pictures if samples and pictures else amount
            folders.append(Folder(folder.place, path, repeats, below=below))
            counts.append(pictures if samples else None)
        found = repeats_for(folders, dataset, target, hundredths=True)
        for one, count in zip(folders, counts, strict=True):
            if one.place in found.values:
                repeats = found.values[one.place]
                self.values[one.place] = repeats if count is None else float(round(repeats * count))
        if found.short:
            self.unsupported.append(found.short)


def _balance(concept: Mapping[str, Any]) -> str:
    """What the concept's share is called: the oldest concepts have repeats (ConceptConfig.py, migrations)."""
    return "repeats" if not whole(concept.get("__version")) and "repeats" in concept else "balancing"
