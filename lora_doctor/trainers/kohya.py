"""sd-scripts (kohya-ss): a file of arguments for `--config_file` or the command itself, with the dataset config that it
names; or that alone.

Source: kohya-ss/sd-scripts library/train_util.py (arguments), networks/lora.py (alpha is 1 where it is not given).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lora_doctor.edits.by_ending import parsed
from lora_doctor.edits.command_shells import SHELLS
from lora_doctor.errors import UsageError
from lora_doctor.trainers.agreed import agreed, flag, number, or_default, side, whole, word
from lora_doctor.trainers.kohya_config import (
    FROM_WEIGHTS,
    TAG_DROPOUT,
    all_subsets,
    arguments,
    each,
    is_dataset,
    of_blocks,
    still_text,
    text_rates,
    trained_subsets,
)
from lora_doctor.trainers.kohya_draft import Draft
from lora_doctor.trainers.kohya_places import GOES_ON_NO_MORE, args_of, dataset_path
from lora_doctor.trainers.kohya_programs import SD_SCRIPTS, reader_of, refuse_json
from lora_doctor.trainers.places import Place, kept_file, moved_folder, real_changes, with_values
from lora_doctor.types import Change, ConfigFiles, Dataset, PatchedFiles, TrainingSettings

TRAINER = SD_SCRIPTS
RANK, ALPHA, STEPS = 4, 1.0, 1600
"""Where the arguments give none; of steps, where they give no epochs either."""
CONFIGS = (".toml", ".json", *SHELLS)
_ARGS = ("dataset_config", "train_data_dir", "in_json")
_FILE = "config_file"


def recognises(path: Path, text: str) -> bool:
    """Whether these are arguments, in a file or a command, or a dataset config with subsets; never raises."""
    config = parsed(path, text) if path.suffix.lower() in CONFIGS else None
    if not isinstance(config, dict) or "job" in config:
        return False
    args = args_of(path, text)
    named = any(isinstance(args.get(key), str) for key in (*_ARGS, *([_FILE] if path.suffix.lower() in SHELLS else [])))
    return (is_dataset(config) or named) and reader_of(path, text, args) == SD_SCRIPTS


def companions(path: Path, text: str) -> tuple[Path, ...]:
    """The dataset config that the arguments name."""
    named = dataset_path(args_of(path, text), path)
    return () if named is None or is_dataset(parsed(path, text)) else (named,)


def read(config: ConfigFiles) -> TrainingSettings:
    """The settings that the files state; None where subsets differ, and for what cannot be read.

    What is absent from the arguments has sd-scripts' own default, where it has one.

    Raises UsageError for a command that has its arguments in a file, and for arguments in JSON.
    """
    args, subsets = arguments(config), trained_subsets(config)
    known = not is_dataset(parsed(config.path, config.text))
    if known:
        refuse_json(config.path, args, TRAINER)
    if config.path.suffix.lower() in SHELLS and isinstance(file := args.get(_FILE), str):
        raise UsageError(f"starts {TRAINER} with the arguments in {file}.", advice="Name that file.")
    every, network = each(subsets, args, "caption_dropout_every_n_epochs"), args.pairs("network_args")
    own, unet_only = (
        known and not flag(args.get(FROM_WEIGHTS)),
        or_default(args.get("network_train_unet_only"), flag, False if known else None),
    )
    own_ranks = of_blocks(network)
    epochs, steps = args.get("max_train_epochs"), args.get("max_train_steps")
    rates = text_rates(args)
    v_prediction = flag(args.get("v_parameterization"))

    def of_pictures(key: str, read: Callable[[Any], Any], default: Any) -> Any:
        """What all subsets have, with sd-scripts' own default where the arguments are known and nobody says."""
        return agreed(or_default(one, read, default if known else None) for one in each(subsets, args, key))

    return TrainingSettings(
        trainer=TRAINER,
        rank=or_default(args.get("network_dim"), whole, RANK) if own and "rank" not in own_ranks else None,
        alpha=or_default(args.get("network_alpha"), number, ALPHA) if own and "alpha" not in own_ranks else None,
        steps=or_default(steps, whole, STEPS) or None if known and epochs is None else None,
        epochs=number(epochs) or None,
        batch_size=whole(agreed(each(subsets, args, "batch_size"))),
        learning_rate=number(args.get("unet_lr") or args.get("learning_rate")),
        train_text_encoder=None if unet_only is None else not (unet_only or still_text(args)),
        caption_token_dropout=of_pictures(TAG_DROPOUT, number, 0.0),
        caption_dropout=None if any(every) else of_pictures("caption_dropout_rate", number, 0.0),
        seed=whole(args.get("seed")),
        resolution=side(agreed(each(subsets, args, "resolution"))),
        conv_rank=whole(network.get("conv_dim")),
        conv_alpha=number(network.get("conv_alpha")),
        network_dropout=number(args.get("network_dropout")),
        text_encoder_learning_rate=agreed(rates),
        optimizer=word(args.get("optimizer_type")),
        lr_scheduler=word(args.get("lr_scheduler")),
        gradient_accumulation=whole(args.get("gradient_accumulation_steps")),
        clip_skip=whole(args.get("clip_skip")),
        noise_offset=number(args.get("noise_offset")),
        min_snr_gamma=number(args.get("min_snr_gamma")),
        prediction_type=None if v_prediction is None else "v_prediction" if v_prediction else "epsilon",
        mixed_precision=word(args.get("mixed_precision")),
        keep_tokens=of_pictures("keep_tokens", whole, 0),
        shuffle_captions=of_pictures("shuffle_caption", flag, False),
        flip_augmentation=of_pictures("flip_aug", flag, False),
    )


def patch(
    config: ConfigFiles, changes: Sequence[Change], dataset: Dataset | None = None, trigger: str | None = None
) -> PatchedFiles:
    """The files with every change that sd-scripts can express; text encoder caches that forbid dropout go off with it.

    `dataset`: the pictures with their roles, for the repeats of an identity ratio; with their captions and `trigger`,
    for the tokens that must not be dropped. Raises UsageError for text that cannot be changed where a setting stands.
    """
    draft, settings = Draft(config), read(config)
    changes = real_changes(changes, settings)
    for change in changes:
        draft.make(change, dataset)
    draft.keep_trigger(dataset, trigger)
    draft.keep_length(settings, dataset, changes)
    draft.mend_caches()
    patched = with_values(config, draft.values) | draft.texts
    if draft.args.goes_on:
        draft.notes.append(GOES_ON_NO_MORE)
    unsupported, notes = (*draft.unsupported, *draft.length.unsupported), (*draft.notes, *draft.length.notes)
    return PatchedFiles(texts=patched, unsupported=unsupported, notes=notes)


def relocated(config: ConfigFiles, moved: Mapping[Path, Path]) -> dict[Path, str]:
    """The files, with the dataset config and folders of pictures named where they go; `moved`: old -> new place."""
    values: dict[Place, Any] = {}
    args = arguments(config)
    data = dataset_path(args, config.path)
    if data is not None and data in moved:
        values[args.place("dataset_config")] = str(moved[data].absolute())
    for key in ("train_data_dir", "reg_data_dir"):
        if (new := moved_folder(args.values.get(key), config.path, moved)) is not None:
            values[args.place(key)] = str(new)
    for table in (subset.table for subset in all_subsets(config)):
        if (new := moved_folder(table.values.get("image_dir"), table.place.path, moved)) is not None:
            values[table.place.below("image_dir")] = str(new)
        if (kept := kept_file(table.values.get("metadata_file"), table.place.path)) is not None:
            values[table.place.below("metadata_file")] = str(kept)
    return with_values(config, values)


def writing_to(config: ConfigFiles, output: Path) -> dict[Path, str]:
    """The files, with the new LoRA going to the folder `output`. A dataset config alone does not say where to.

    It begins anew, not at a saved state of the old one.
    """
    if is_dataset(parsed(config.path, config.text)):
        return dict(config.texts)
    return with_values(config, arguments(config).anew(output))
