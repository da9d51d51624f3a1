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
from lora_doctor.trainers.agreed import agreed, flag, number, or_default, whole, word
from lora_doctor.trainers.onetrainer_config import Config, concept_path, dropped, table_of
from lora_doctor.trainers.onetrainer_draft import Draft
from lora_doctor.trainers.places import Place, kept_file, moved_folder, real_changes, with_values
from lora_doctor.types import Change, ConfigFiles, Dataset, PatchedFiles, TrainingSettings

TRAINER = "OneTrainer"
RANK, ALPHA = 16, 1.0
"""Where the config gives none."""
WITH_EACH = ("-masklabel.png", "-condlabel.png")
"""Files beside a picture that belong to it (modules/dataLoader/mixin/DataLoaderText2ImageMixin.py): without its mask a
picture is trained on as a whole, and nothing says so."""
OLDEST = 9
"""Version of configs from which on every setting stands where it does now; without one it is OneTrainer's oldest."""
_GOES_ON = "continue_last_backup"
"""Switch with which a training starts at the last backup in `workspace_dir` (modules/trainer/GenericTrainer.py)."""


def recognises(path: Path, text: str) -> bool:
    """Whether this is a config with concepts; never raises."""
    config = parsed(path, text) if path.suffix.lower() == ".json" else None
    if not isinstance(config, dict) or "config" in config:
        return False
    return isinstance(config.get("concept_file_name"), str) or isinstance(config.get("concepts"), list)


def companions(path: Path, text: str) -> tuple[Path, ...]:
    """The file of concepts, where the config holds none itself."""
    named = concept_path(path, parsed(path, text))
    return () if named is None else (named,)


def read(config: ConfigFiles) -> TrainingSettings:
    """The settings of the config, rank and alpha with OneTrainer's own defaults; None where concepts differ.

    Raises UsageError for a config that an older OneTrainer wrote, whose settings stand elsewhere: the newer one moves
    them when it reads it (modules/util/config/TrainConfig.py, the migrations).
    """
    known = Config(config)
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
        caption_token_dropout=agreed(dropped(text, "RANDOM") for text in texts),
        caption_dropout=_either(agreed(dropped(text, "FULL") for text in texts), known.emptied),
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
    draft = Draft(config)
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
    known, values = Config(config), dict[Place, Any]()
    named = concept_path(config.path, known.values)
    if named is not None and named in moved:
        values[Place(config.path, ("concept_file_name",))] = str(moved[named].absolute())
    for place, concept in known.all_concepts:
        if (new := moved_folder(concept.get("path"), place.path, moved)) is not None:
            values[place.below("path")] = str(new)
        if (kept := kept_file(table_of(concept, "text").get("prompt_path"), place.path)) is not None:
            values[place.below("text", "prompt_path")] = str(kept)
    return with_values(config, values)


def writing_to(config: ConfigFiles, output: Path) -> dict[Path, str]:
    """The config with the new LoRA going to the folder `output`, under its own name or `lora.safetensors`.

    It begins anew, not at the last backup of the old one.
    """
    known = Config(config)
    named = PurePath(str(known.values.get("output_model_destination") or "")).name or "lora.safetensors"
    values: dict[Place, Any] = {known.root.below("output_model_destination"): str(output.absolute() / named)}
    if flag(known.values.get(_GOES_ON)):
        values[known.root.below(_GOES_ON)] = False
    return with_values(config, values)


def _flips(concept: Mapping[str, Any]) -> bool | None:
    """Whether its pictures are mirrored at random; None where it does not say: OneTrainer did until November 2025, and
    does not since (commit 7296e055)."""
    return flag(table_of(concept, "image").get("enable_random_flip"))


def _either(one: float | None, other: float | None) -> float | None:
    """How often at least one of two happens that have nothing to do with each other."""
    return None if one is None or other is None else one + other - one * other
