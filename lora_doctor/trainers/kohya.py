"""sd-scripts (kohya-ss): a file of arguments for `--config_file` or the command itself, with the dataset config that it
names; or that alone.

Source: kohya-ss/sd-scripts library/train_util.py (arguments, process_caption: whole captions and tags are dropped by
different rates), library/config_util.py, sdxl_train_network.py and its like (assert_extra_args: cached text encoder
outputs forbid dropout), networks/lora.py (alpha is 1 where it is not given).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lora_doctor.captions import texts
from lora_doctor.edits.by_ending import parsed
from lora_doctor.edits.command_shells import SHELLS
from lora_doctor.edits.edit import REMOVED
from lora_doctor.errors import UsageError
from lora_doctor.spelling import holds
from lora_doctor.trainers.agreed import agreed, flag, number, or_default, side, whole, word
from lora_doctor.trainers.folders import Folder, repeats_for
from lora_doctor.trainers.kept_tokens import kept_tokens
from lora_doctor.trainers.kohya_folders import dataset_config, numbered_folders, regularisation_folders
from lora_doctor.trainers.kohya_places import GOES_ON_NO_MORE, NO_RATE, Args, Subset, args_of, dataset_path, subsets_of
from lora_doctor.trainers.kohya_programs import SD_SCRIPTS, reader_of, refuse_json
from lora_doctor.trainers.length import Length, steps_per_epoch, warm_up_notes
from lora_doctor.trainers.places import Place, kept_file, moved_folder, real_changes, with_values
from lora_doctor.types import (
    Change,
    ConfigFiles,
    Dataset,
    PatchedFiles,
    TrainingSettings,
)

TRAINER = SD_SCRIPTS
RANK, ALPHA = 4, 1.0
"""Where the arguments give none."""
CONFIGS = (".toml", ".json", *SHELLS)
_ARGS = ("dataset_config", "train_data_dir", "in_json")
_FILE = "config_file"
_PLAIN = {"rank": "network_dim", "alpha": "network_alpha", "seed": "seed"}
"""Fields that are one argument."""
_FROM_WEIGHTS = "dim_from_weights"
"""Switch with which rank and alpha are those of an older LoRA, whatever the arguments say."""
_TAG_DROPOUT, _KEPT_PART = "caption_tag_dropout_rate", "keep_tokens_separator"
_OF_SUBSETS = {
    "caption_dropout": "caption_dropout_rate",
    "caption_token_dropout": _TAG_DROPOUT,
    "resolution": "resolution",
    "batch_size": "batch_size",
    "flip_augmentation": "flip_aug",
}
"""Fields that every subset may give, its dataset, `[general]`, or the arguments."""
_IN_ARGS = {"batch_size": "train_batch_size"}
_CACHES = ("cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk")
_NEGATIVES = (
    "sd-scripts has no tokens that a character must not show; nearest: captions that name what is in each picture "
    "(`audit --fix`), and pictures that show another one left out"
)
_WARM_UP = "lr_warmup_steps"


def recognises(path: Path, text: str) -> bool:
    """Whether these are arguments, in a file or a command, or a dataset config with subsets; never raises."""
    config = parsed(path, text) if path.suffix.lower() in CONFIGS else None
    if not isinstance(config, dict) or "job" in config:
        return False
    args = args_of(path, text)
    named = any(isinstance(args.get(key), str) for key in (*_ARGS, *([_FILE] if path.suffix.lower() in SHELLS else [])))
    return (_is_dataset(config) or named) and reader_of(path, text, args) == SD_SCRIPTS


def companions(path: Path, text: str) -> tuple[Path, ...]:
    """The dataset config that the arguments name."""
    named = dataset_path(args_of(path, text), path)
    return () if named is None or _is_dataset(parsed(path, text)) else (named,)


def read(config: ConfigFiles) -> TrainingSettings:
    """The settings that the files state; None where subsets differ, and for what cannot be read.

    Absent rank and alpha have sd-scripts' own defaults.

    Raises UsageError for a command that has its arguments in a file, and for arguments in JSON.
    """
    args, subsets = _args(config), _trained(config)
    known = not _is_dataset(parsed(config.path, config.text))
    if known:
        refuse_json(config.path, args, TRAINER)
    if config.path.suffix.lower() in SHELLS and isinstance(file := args.get(_FILE), str):
        raise UsageError(f"starts {TRAINER} with the arguments in {file}.", advice="Name that file.")
    every, network = _each(subsets, args, "caption_dropout_every_n_epochs"), args.pairs("network_args")
    own, unet_only = known and not flag(args.get(_FROM_WEIGHTS)), flag(args.get("network_train_unet_only"))
    of_blocks = _of_blocks(network)
    epochs, steps = args.get("max_train_epochs") or None, whole(args.get("max_train_steps")) or None
    text_rate = args.get("text_encoder_lr")
    rates = [number(rate) for rate in (text_rate if isinstance(text_rate, list) else [text_rate])]
    v_prediction = flag(args.get("v_parameterization"))
    return TrainingSettings(
        trainer=TRAINER,
        rank=or_default(args.get("network_dim"), whole, RANK) if own and "rank" not in of_blocks else None,
        alpha=or_default(args.get("network_alpha"), number, ALPHA) if own and "alpha" not in of_blocks else None,
        steps=None if epochs is not None else steps,
        epochs=number(epochs),
        batch_size=whole(agreed(_each(subsets, args, "batch_size"))),
        learning_rate=number(args.get("unet_lr") or args.get("learning_rate")),
        train_text_encoder=None if unet_only is None else not unet_only,
        caption_token_dropout=number(agreed(_each(subsets, args, _TAG_DROPOUT))),
        caption_dropout=None if any(every) else number(agreed(_each(subsets, args, "caption_dropout_rate"))),
        seed=whole(args.get("seed")),
        resolution=side(agreed(_each(subsets, args, "resolution"))),
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
        keep_tokens=whole(agreed(_each(subsets, args, "keep_tokens"))),
        shuffle_captions=flag(agreed(_each(subsets, args, "shuffle_caption"))),
        flip_augmentation=flag(agreed(_each(subsets, args, "flip_aug"))),
    )


def patch(
    config: ConfigFiles, changes: Sequence[Change], dataset: Dataset | None = None, trigger: str | None = None
) -> PatchedFiles:
    """The files with every change that sd-scripts can express; text encoder caches that forbid dropout go off with it.

    `dataset`: the pictures with their roles, for the repeats of an identity ratio; with their captions and `trigger`,
    for the tokens that must not be dropped. Raises UsageError for text that cannot be changed where a setting stands.
    """
    draft, settings = _Draft(config), read(config)
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
    args = _args(config)
    data = dataset_path(args, config.path)
    if data is not None and data in moved:
        values[args.place("dataset_config")] = str(moved[data].absolute())
    for key in ("train_data_dir", "reg_data_dir"):
        if (new := moved_folder(args.values.get(key), config.path, moved)) is not None:
            values[args.place(key)] = str(new)
    for table in (subset.table for subset in _subsets(config)):
        if (new := moved_folder(table.values.get("image_dir"), table.place.path, moved)) is not None:
            values[table.place.below("image_dir")] = str(new)
        if (kept := kept_file(table.values.get("metadata_file"), table.place.path)) is not None:
            values[table.place.below("metadata_file")] = str(kept)
    return with_values(config, values)


def writing_to(config: ConfigFiles, output: Path) -> dict[Path, str]:
    """The files, with the new LoRA going to the folder `output`. A dataset config alone does not say where to.

    It begins anew, not at a saved state of the old one.
    """
    if _is_dataset(parsed(config.path, config.text)):
        return dict(config.texts)
    return with_values(config, _args(config).anew(output))


class _Draft:
    """The patch while it is written."""

    def __init__(self, config: ConfigFiles) -> None:
        self.args, self.subsets = _args(config), _trained(config)
        self.alone = _is_dataset(parsed(config.path, config.text))
        self.config = config
        self.values: dict[Place, Any] = {}
        self.texts: dict[Path, str] = {}
        """New files."""
        self.length = Length()
        self.unsupported: list[str] = []
        self.notes: list[str] = []

    def make(self, change: Change, dataset: Dataset | None) -> None:
        """Write one change, or say why it cannot be."""
        name, after = change.field, change.after
        if name in _OF_SUBSETS:
            self._everywhere(name, _OF_SUBSETS[name], after)
        elif name == "identity_ratio":
            self._repeats(after, dataset)
        elif name == "negative_tokens":
            self.unsupported.append(f"negative_tokens: {_NEGATIVES}.")
        elif self.alone:
            what = f"{name}: the dataset config does not hold it; give the file of arguments to change it to {after}."
            self.unsupported.append(what)
        elif name in ("rank", "alpha") and flag(self.args.get(_FROM_WEIGHTS)):
            self.unsupported.append(
                f"{name}: {_FROM_WEIGHTS} takes it from network_weights; take both out to make it {after}."
            )
        elif (of_blocks := _of_blocks(self.args.pairs("network_args")).get(name)) is not None:
            self.unsupported.append(
                f"{name}: {of_blocks} in network_args gives each block its own; wanted is {after:g}."
            )
        elif name in _PLAIN:
            self.values[self.args.place(_PLAIN[name])] = after
        elif name == "epochs":
            self.length.asked = change
        elif name == "steps":
            self._steps(after)
        elif name == "learning_rate" and self.args.finds_its_rate:
            self.unsupported.append(NO_RATE)
        elif name == "learning_rate":
            self._learning_rate(after)
        elif name == "train_text_encoder":
            self.values[self.args.place("network_train_unet_only")] = not after
        else:
            self.unsupported.append(f"{name}: sd-scripts' setting for it is not known here; wanted is {after}.")

    def keep_length(self, settings: TrainingSettings, dataset: Dataset | None, changes: Sequence[Change]) -> None:
        """The epochs asked for, and as long a training with new repeats; epochs come before steps, so one of them goes.

        Regularisation pictures are filled up to the number of the others.
        """
        name, everything = "max_train_epochs", _subsets(self.config)
        regularised = len(self.subsets) < len(everything) if everything else bool(self.args.get("reg_data_dir"))
        steps = steps_per_epoch(settings, dataset, 0.5 if regularised else 1.0)
        place, steps_place = self.args.place(name), self.args.place("max_train_steps")
        self.length.settle(self.values, place, self.args.get(name), steps, steps_place)
        self.notes += warm_up_notes(_WARM_UP, self.args.get(_WARM_UP), changes, settings, steps)

    def keep_trigger(self, dataset: Dataset | None, trigger: str | None) -> None:
        """Where single tags are to be dropped, raise `keep_tokens` to the trigger's: only those are never dropped.

        A subset with a `keep_tokens_separator` says itself what stays, in captions that have it.
        """
        if not any(value for place, value in self.values.items() if place.keys[-1] == _TAG_DROPOUT):
            return
        separator = agreed(_each(self.subsets, self.args, "caption_separator"))
        kept = kept_tokens(dataset, trigger, separator if isinstance(separator, str) else ",")
        ours = [one for one in self.subsets if not _kept_apart(one.value(_KEPT_PART), dataset, trigger)]
        if not ours and (self.subsets or _kept_apart(self.args.get(_KEPT_PART), dataset, trigger)):
            return
        held = self._holding(ours, "keep_tokens")
        low = {place: now for place, now in held.items() if (whole(now) or 0) < kept.count}
        self.values.update({place: _like(now, kept.count) for place, now in low.items()})
        self.notes += [kept.note("keep_tokens")] if low else []
        self.notes += [kept.late] if kept.late else []

    def mend_caches(self) -> None:
        """Switch off cached text encoder outputs where captions are to be dropped: sd-scripts refuses both together."""
        dropped = [
            value for place, value in self.values.items()
            if place.keys[-1] in ("caption_dropout_rate", _TAG_DROPOUT) and value
        ]  # fmt: skip
        trained = self.values.get(self.args.place("network_train_unet_only")) is False
        caches = [name for name in _CACHES if flag(self.args.get(name))]
        if caches and (dropped or trained):
            self.values.update({self.args.place(name): False for name in caches})
            why = "captions are dropped" if dropped else "the text encoder is trained"
            self.notes.append(
                f"{' and '.join(caches)} switched off: sd-scripts stops when {why} and its outputs are cached; it "
                "takes more memory. Caches on the disk from before are to be deleted."
            )  # fmt: skip

    def _everywhere(self, name: str, key: str, after: Any) -> None:
        """Set a setting wherever the subsets have it from."""
        self.values.update({place: _like(now, after) for place, now in self._holding(self.subsets, key).items()})
        if name == "caption_dropout" and any(_each(self.subsets, self.args, "caption_dropout_every_n_epochs")):
            self.notes.append("caption_dropout_every_n_epochs stays: whole epochs are trained without captions.")

    def _holding(self, subsets: Sequence[Subset], key: str) -> dict[Place, Any]:
        """What every table has that gives a setting to these subsets; `[general]` where none does, the arguments' own
        without subsets."""
        if not subsets:
            own = _IN_ARGS.get(key, key)
            return {self.args.place(own): self.args.get(own)}
        found = dict[Place, Any]()
        for subset in subsets:
            held = subset.holder(key)
            table, own = held if held is not None else (subset.layers[2], key)
            place = self.args.place(own) if held and table.place == self.args.new else table.place.below(own)
            found[place] = table.values.get(own)
        return found

    def _steps(self, after: float) -> None:
        """Epochs come before steps: where steps are asked for, they go."""
        self.length.asked = None
        self.values[self.args.place("max_train_steps")] = round(after)
        if self.args.get("max_train_epochs") is not None:
            self.values[self.args.place("max_train_epochs")] = REMOVED

    def _learning_rate(self, after: float) -> None:
        """Of the denoiser: `unet_lr` comes before `learning_rate`, which the text encoder falls back to."""
        self.values[self.args.place("unet_lr" if self.args.get("unet_lr") is not None else "learning_rate")] = after

    def _repeats(self, target: float, dataset: Dataset | None) -> None:
        """Whole repeats of the subsets that come nearest to the ratio, with the training as long as it was."""
        named = self.args.get("train_data_dir")
        if not self.subsets and isinstance(named, str) and self.args.get("in_json") is None:
            self._repeats_of_numbered(target, dataset, named)
            return
        found = repeats_for([folder for one in self.subsets if (folder := _folder(one)) is not None], dataset, target)
        self.values.update(found.values)
        self.length.follow(found)
        if found.short:
            self.unsupported.append(found.short)

    def _repeats_of_numbered(self, target: float, dataset: Dataset | None, named: str) -> None:
        """The same for numbered folders, whose names stay: a dataset config says it instead."""
        folders, path = numbered_folders(dataset, named, self.config.path), dataset_config_beside(self.config.path)
        other = self.args.get("reg_data_dir")
        kept = regularisation_folders(dataset, str(other), self.config.path) if other is not None else []
        if other is not None and not kept:
            self.unsupported.append(
                f"identity_ratio: {target:g} is wanted; a dataset config that says other repeats must list the folders "
                f"of reg_data_dir too, which were not read: give this config as the dataset, or rename folders by hand."
            )
            return
        named_folders = [Folder(Place(path, (one.name,)), Path(one.place), one.repeats) for one in folders]
        found = repeats_for(named_folders, dataset, target)
        if found.values:
            repeats = {str(place.keys[0]): round(value) for place, value in found.values.items()}
            self.texts[path] = dataset_config([*folders, *kept], repeats)
            self.values[self.args.place("dataset_config")] = path.name
            self.notes.append(
                f"{path.name} says the repeats from now on, train_data_dir is passed over; folders keep their names."
            )
        self.length.follow(found)
        if found.short:
            self.unsupported.append(found.short)


def dataset_config_beside(config: Path) -> Path:
    """A new file's name beside the arguments'."""
    return config.with_name(f"{config.stem}.dataset.toml")


def _args(config: ConfigFiles) -> Args:
    if _is_dataset(parsed(config.path, config.text)):
        return Args({}, {}, Place(config.path, ()))
    return args_of(config.path, config.text)


def _trained(config: ConfigFiles) -> list[Subset]:
    """The subsets that the character is learned from."""
    return [subset for subset in _subsets(config) if not subset.regularisation]


def _subsets(config: ConfigFiles) -> list[Subset]:
    """All of them."""
    if _is_dataset(parsed(config.path, config.text)):
        return subsets_of(config, config.path, None)
    args = args_of(config.path, config.text)
    path = dataset_path(args, config.path)
    return subsets_of(config, path, args) if path is not None and path in config.texts else []


def _each(subsets: Sequence[Subset], args: Args, key: str) -> list[Any]:
    """What each subset has; without any, what the arguments say."""
    own = _IN_ARGS.get(key, key)
    return [subset.value(key) for subset in subsets] if subsets else [args.get(own)]


def _kept_apart(mark: object, dataset: Dataset | None, trigger: str | None) -> bool:
    """Whether the mark of a kept part stands in all captions that have the trigger, which is kept by it then."""
    captions = [text for image in (dataset.images if dataset is not None else ()) for text in texts(image)]
    return bool(mark) and all(str(mark) in text for text in captions if trigger and holds(text, trigger))


def _of_blocks(network: Mapping[str, str]) -> dict[str, str]:
    """Field -> the argument of the network that gives every block its own, which comes before the one for all."""
    names = {"rank": "block_dims", "alpha": "block_alphas"} if "block_dims" in network else {}
    return {field: name for field, name in names.items() if name in network}


def _folder(subset: Subset) -> Folder | None:
    """The subset's folder with its repeats; None where it names none."""
    folder, held = subset.table.values.get("image_dir"), subset.holder("num_repeats")
    if not isinstance(folder, str):
        return None
    place = subset.table.place.below("num_repeats")
    return Folder(place, Path(folder), float((whole(held[0].values[held[1]]) if held else None) or 1))


def _like(present: Any, after: Any) -> Any:
    """In the manner of the present value: two sides as text or list stay so."""
    if side(present) is not None and side(present) == side(after):
        return present
    if isinstance(present, list):
        return [after] * len(present)
    if isinstance(present, str):
        return ",".join([str(after)] * len(present.split(",")))
    return after


def _is_dataset(config: Any) -> bool:
    """Whether it has `datasets` with subsets, which musubi-tuner has not."""
    datasets = config.get("datasets") if isinstance(config, dict) else None
    return isinstance(datasets, list) and any(isinstance(one, dict) and "subsets" in one for one in datasets)
