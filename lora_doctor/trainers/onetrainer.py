"""OneTrainer (Nerogar): its config in JSON, with the concepts inside or in the file that it names.

Source: Nerogar/OneTrainer modules/util/config/TrainConfig.py and ConceptConfig.py (keys and defaults; the
window saves every part of every model), modules/util/NamedParameterGroup.py (a part's own rate comes first),
modules/dataLoader/mixin/DataLoaderText2ImageMixin.py (cached text: captions vary as often as `text_variations` says);
Nerogar/mgds DropTags (FULL drops all tags after the kept ones together, RANDOM each by itself).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from lora_doctor.edits.by_ending import parsed
from lora_doctor.errors import UsageError
from lora_doctor.named_places import found_file
from lora_doctor.onetrainer_parts import DENOISERS, TEXT_ENCODERS, denoiser, text_encoders
from lora_doctor.trainers.agreed import agreed, flag, number, or_default, whole, word
from lora_doctor.trainers.folders import Folder, repeats_for
from lora_doctor.trainers.kept_tokens import kept_tokens
from lora_doctor.trainers.length import steps_per_epoch, warm_up_notes, whole_epochs
from lora_doctor.trainers.places import Place, kept_file, moved_folder, real_changes, with_values
from lora_doctor.types import Change, ConfigFiles, Dataset, PatchedFiles, TrainingSettings

TRAINER = "OneTrainer"
RANK, ALPHA = 16, 1.0
"""Where the config gives none."""
WITH_EACH = ("-masklabel.png", "-condlabel.png")
"""Files beside a picture that belong to it (modules/dataLoader/mixin/DataLoaderText2ImageMixin.py): without its mask a
picture is trained on as a whole, and nothing says so."""
VARIATIONS = 4
"""Captions of each picture in the cache, where some are to be dropped: of one, the same would be dropped always."""
OLDEST = 9
"""Version of configs from which on every setting stands where it does now; without one it is OneTrainer's oldest."""
_WHOLE_TABLES = 10
"""Version below which a part's table must hold all that OneTrainer's migrations look for in it."""
_WARM_UP = "learning_rate_warmup_steps"
WARM_UP_STEPS = 200
"""Where the config gives none."""
_EMPTIES = "dropout_probability"
"""Of a text encoder's table; that of the config itself is of the network."""
_GOES_ON = "continue_last_backup"
"""Switch with which a training starts at the last backup in `workspace_dir` (modules/trainer/GenericTrainer.py)."""
_PLAIN = {"alpha": "lora_alpha", "batch_size": "batch_size"}
_ONE_MODE = "OneTrainer drops tags of a concept in one way; nearest: the concept twice with half the balancing"
_NEGATIVES = (
    "OneTrainer has no tokens that a character must not show; nearest: captions that name what is in each picture "
    "(`audit --fix`), and pictures that show another one left out"
)


def recognises(path: Path, text: str) -> bool:
    """Whether this is a config with concepts; never raises."""
    config = parsed(path, text) if path.suffix.lower() == ".json" else None
    if not isinstance(config, dict) or "config" in config:
        return False
    return isinstance(config.get("concept_file_name"), str) or isinstance(config.get("concepts"), list)


def companions(path: Path, text: str) -> tuple[Path, ...]:
    """The file of concepts, where the config holds none itself."""
    named = _concept_path(path, parsed(path, text))
    return () if named is None else (named,)


def read(config: ConfigFiles) -> TrainingSettings:
    """The settings of the config, rank and alpha with OneTrainer's own defaults; None where concepts differ.

    Raises UsageError for a config that an older OneTrainer wrote, whose settings stand elsewhere: the newer one moves
    them when it reads it (modules/util/config/TrainConfig.py, the migrations).
    """
    known = _Config(config)
    if known.version < OLDEST:
        what = f"is of an older OneTrainer (its __version is {known.version}; {OLDEST} and later are read)."
        raise UsageError(what, path=config.path, advice="Open it in OneTrainer and save it.")
    values, texts = known.values, [table for _, table in known.texts]
    optimizer = known.table("optimizer").get("optimizer")
    min_snr = word(values.get("loss_weight_fn")) == "MIN_SNR_GAMMA"
    return TrainingSettings(
        trainer=TRAINER,
        rank=or_default(values.get(known.rank), whole, RANK),
        alpha=or_default(values.get("lora_alpha"), number, ALPHA),
        epochs=number(values.get("epochs")),
        batch_size=whole(values.get("batch_size")),
        learning_rate=known.learning_rate,
        train_text_encoder=known.trains_text,
        caption_token_dropout=agreed(_dropped(text, "RANDOM") for text in texts),
        caption_dropout=_either(agreed(_dropped(text, "FULL") for text in texts), known.emptied),
        resolution=whole(values.get("resolution")),
        network_dropout=number(values.get("dropout_probability")),
        optimizer=word(optimizer),
        lr_scheduler=word(values.get("learning_rate_scheduler")),
        gradient_accumulation=whole(values.get("gradient_accumulation_steps")),
        noise_offset=number(values.get("offset_noise_weight")),
        min_snr_gamma=number(values.get("loss_weight_strength")) if min_snr else None,
        mixed_precision=word(values.get("train_dtype")),
        keep_tokens=agreed(whole(text.get("keep_tags_count", 1)) for text in texts),
        shuffle_captions=agreed(flag(text.get("enable_tag_shuffling", False)) for text in texts),
        flip_augmentation=agreed(_flips(concept) for _, concept in known.concepts),
    )


def patch(
    config: ConfigFiles, changes: Sequence[Change], dataset: Dataset | None = None, trigger: str | None = None
) -> PatchedFiles:
    """The files with every change that OneTrainer can express; a cache of captions gets enough of them to vary.

    `dataset`: the pictures with their roles, for the balancing of an identity ratio and for steps in epochs; with their
    captions and `trigger`, for the tags that must not be dropped. Raises UsageError for text that cannot be changed
    where a setting stands.
    """
    draft = _Draft(config)
    settings = read(config)
    changes = real_changes(changes, settings)
    for change in changes:
        draft.make(change, dataset)
    draft.look_at_warm_up(changes, settings, dataset)
    draft.mend_dropout(changes)
    draft.keep_trigger(dataset, trigger)
    if flag(draft.config.values.get(_GOES_ON)):
        draft.notes.append(f"{_GOES_ON} is switched off for the new training: it would go on from the old LoRA's.")
    return PatchedFiles(
        texts=with_values(config, draft.values), unsupported=tuple(draft.unsupported), notes=tuple(draft.notes)
    )


def relocated(config: ConfigFiles, moved: Mapping[Path, Path]) -> dict[Path, str]:
    """The files, with the file of concepts and folders of pictures named where they go; `moved`: old -> new place."""
    known, values = _Config(config), dict[Place, Any]()
    named = _concept_path(config.path, known.values)
    if named is not None and named in moved:
        values[Place(config.path, ("concept_file_name",))] = str(moved[named].absolute())
    for place, concept in known.all_concepts:
        if (new := moved_folder(concept.get("path"), place.path, moved)) is not None:
            values[place.below("path")] = str(new)
        if (kept := kept_file(_table(concept, "text").get("prompt_path"), place.path)) is not None:
            values[place.below("text", "prompt_path")] = str(kept)
    return with_values(config, values)


def writing_to(config: ConfigFiles, output: Path) -> dict[Path, str]:
    """The config with the new LoRA going to the folder `output`, under its own name or `lora.safetensors`.

    It begins anew, not at the last backup of the old one.
    """
    known = _Config(config)
    named = PurePath(str(known.values.get("output_model_destination") or "")).name or "lora.safetensors"
    values: dict[Place, Any] = {known.root.below("output_model_destination"): str(output.absolute() / named)}
    if flag(known.values.get(_GOES_ON)):
        values[known.root.below(_GOES_ON)] = False
    return with_values(config, values)


class _Config:
    """The config, and where its concepts stand that the character is learned from."""

    def __init__(self, config: ConfigFiles) -> None:
        found = parsed(config.path, config.text)
        self.values: dict[str, Any] = found if isinstance(found, dict) else {}
        self.root = Place(config.path, ())
        self.version = whole(self.values.get("__version")) or 0
        listed, place = self.values.get("concepts"), self.root.below("concepts")
        named = _concept_path(config.path, self.values)
        if named is not None and named in config.texts:
            listed, place = parsed(named, config.texts[named]), Place(named, ())
        tables = [(place.below(i), one) for i, one in enumerate(listed if isinstance(listed, list) else [])]
        self.all_concepts = [(where, one) for where, one in tables if isinstance(one, dict)]
        self.concepts = [(where, one) for where, one in self.all_concepts if _is_trained(one)]
        self.texts = [(where.below("text"), _table(one, "text")) for where, one in self.concepts]
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
        return number(self.table(name).get(_EMPTIES)) or 0.0

    def table(self, key: str) -> dict[str, Any]:
        """A table of the config; empty where it is none."""
        return _table(self.values, key)


class _Draft:
    """The patch while it is written."""

    def __init__(self, config: ConfigFiles) -> None:
        self.config = _Config(config)
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
            present = {"caption_dropout": _dropped(text, "FULL"), "caption_token_dropout": _dropped(text, "RANDOM")}
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
        self.values[self.config.root.below(encoder, _EMPTIES)] = rate
        self._say(f"{encoder}.{_EMPTIES} drops whole captions ({rate:g}): concepts drop tags in one way.", note=True)

    def _set_encoders_dropout(self, after: float) -> bool:
        """Write the dropout that text encoders have of their own, where they have one; whether it is all there is.

        It is where one encoder tells the caption, and no concept drops captions besides.
        """
        dropped = [name for name in self.config.telling if self.config.encoder_dropout(name)]
        alone = bool(dropped) and len(self.config.telling) == 1
        alone = alone and all(_dropped(text, "FULL") == 0 for _, text in self.config.texts)
        for name in dropped:
            self.values[self.config.root.below(name, _EMPTIES)] = after if alone else 0.0
            if not alone:
                self._say(f"{name}.{_EMPTIES} is switched off: it takes captions away beside the concepts.", note=True)
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


def _concept_path(path: Path, config: Any) -> Path | None:
    """The file of concepts, below the config's own folder where there is none; None where the config holds them."""
    named = config.get("concept_file_name") if isinstance(config, dict) and config.get("concepts") is None else None
    return found_file(named, path) or path.parent / named if isinstance(named, str) and named else None


def _is_trained(concept: Mapping[str, Any]) -> bool:
    kind = str(concept.get("type", "STANDARD")).rpartition(".")[2]
    if (whole(concept.get("__version")) or 0) < 2 and concept.get("validation_concept") is True:
        return False
    return concept.get("enabled") is not False and kind == "STANDARD"


def _balance(concept: Mapping[str, Any]) -> str:
    """What the concept's share is called: the oldest concepts have repeats (ConceptConfig.py, migrations)."""
    return "repeats" if not whole(concept.get("__version")) and "repeats" in concept else "balancing"


def _flips(concept: Mapping[str, Any]) -> bool | None:
    """Whether its pictures are mirrored at random; None where it does not say: OneTrainer did until November 2025, and
    does not since (commit 7296e055)."""
    return flag(_table(concept, "image").get("enable_random_flip"))


def _either(one: float | None, other: float | None) -> float | None:
    """How often at least one of two happens that have nothing to do with each other."""
    return None if one is None or other is None else one + other - one * other


def _dropped(text: Mapping[str, Any], mode: str) -> float | None:
    """The probability in this mode: RANDOM, each tag by itself; FULL, the whole caption. None where neither is so."""
    rate = number(text.get("tag_dropout_probability")) if flag(text.get("tag_dropout_enable")) else 0.0
    present = word(text.get("tag_dropout_mode")) or "FULL"
    if not rate or (present != mode and present in ("RANDOM", "FULL")):
        return 0.0
    kept = whole(text.get("keep_tags_count", 1))
    return rate if present == mode and (mode == "RANDOM" or not kept) else None


def _table(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = values.get(key)
    return value if isinstance(value, dict) else {}
