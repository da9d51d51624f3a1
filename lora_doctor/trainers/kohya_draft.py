"""sd-scripts: a patch while it is written, change by change, and what has to follow a change.

Source: kohya-ss/sd-scripts library/train_util.py (whole captions and tags are dropped by different rates; steps give
way to epochs), sdxl_train_network.py and its like (assert_extra_args: cached text encoder outputs forbid dropout).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lora_doctor.captions import texts
from lora_doctor.edits.by_ending import parsed
from lora_doctor.edits.edit import REMOVED
from lora_doctor.spelling import holds
from lora_doctor.trainers.agreed import agreed, flag, number, side, whole
from lora_doctor.trainers.folders import Folder, repeats_for
from lora_doctor.trainers.kept_tokens import kept_tokens
from lora_doctor.trainers.kohya_config import (
    FROM_WEIGHTS,
    IN_ARGS,
    TAG_DROPOUT,
    all_subsets,
    arguments,
    each,
    is_dataset,
    of_blocks,
    still_text,
    trained_subsets,
)
from lora_doctor.trainers.kohya_folders import dataset_config, numbered_folders, regularisation_folders
from lora_doctor.trainers.kohya_places import NO_RATE, Subset
from lora_doctor.trainers.length import Length, schedule_notes, steps_per_epoch, warm_up_notes
from lora_doctor.trainers.places import Place
from lora_doctor.types import Change, ConfigFiles, Dataset, TrainingSettings

_PLAIN = {"rank": "network_dim", "alpha": "network_alpha", "seed": "seed"}
"""Fields that are one argument."""
_KEPT_PART = "keep_tokens_separator"
_OF_SUBSETS = {
    "caption_dropout": "caption_dropout_rate",
    "caption_token_dropout": TAG_DROPOUT,
    "resolution": "resolution",
    "batch_size": "batch_size",
    "flip_augmentation": "flip_aug",
}
"""Fields that every subset may give, its dataset, `[general]`, or the arguments."""
_OF_DATASETS = ("resolution", "batch_size")
"""Those of them that no subset may give."""
_CACHES = ("cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk")
_NEGATIVES = (
    "sd-scripts has no tokens that a character must not show; nearest: captions that name what is in each picture "
    "(`audit --fix`), and pictures that show another one left out"
)
_WARM_UP = "lr_warmup_steps"


def dataset_config_beside(config: Path) -> Path:
    """A new file's name beside the arguments'."""
    return config.with_name(f"{config.stem}.dataset.toml")


class Draft:
    """The patch while it is written."""

    def __init__(self, config: ConfigFiles) -> None:
        self.args, self.subsets = arguments(config), trained_subsets(config)
        self.alone = is_dataset(parsed(config.path, config.text))
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
            self.length.ratio_before = change.before
            self._repeats(after, dataset)
        elif name == "negative_tokens":
            self.unsupported.append(f"negative_tokens: {_NEGATIVES}.")
        elif self.alone:
            what = f"{name}: the dataset config does not hold it; give the file of arguments to change it to {after}."
            self.unsupported.append(what)
        elif name in ("rank", "alpha") and flag(self.args.get(FROM_WEIGHTS)):
            self.unsupported.append(
                f"{name}: {FROM_WEIGHTS} takes it from network_weights; take both out to make it {after}."
            )
        elif (argument := of_blocks(self.args.pairs("network_args")).get(name)) is not None:
            self.unsupported.append(
                f"{name}: {argument} in network_args gives each block its own; wanted is {after:g}."
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
            if after and still_text(self.args):
                self.values[self.args.place("text_encoder_lr")] = number(self.args.get("learning_rate")) or 1e-5
        else:
            self.unsupported.append(f"{name}: sd-scripts' setting for it is not known here; wanted is {after}.")

    def keep_length(self, settings: TrainingSettings, dataset: Dataset | None, changes: Sequence[Change]) -> None:
        """The epochs asked for, and as long a training with new repeats; epochs come before steps, so one of them goes.

        Regularisation pictures are filled up to the number of the others.
        """
        name, everything = "max_train_epochs", all_subsets(self.config)
        regularised = len(self.subsets) < len(everything) if everything else bool(self.args.get("reg_data_dir"))
        steps = steps_per_epoch(settings, dataset, 0.5 if regularised else 1.0)
        place, steps_place = self.args.place(name), self.args.place("max_train_steps")
        self.length.settle(self.values, place, self.args.get(name), steps, steps_place)
        self.notes += warm_up_notes(_WARM_UP, self.args.get(_WARM_UP), changes, settings, steps)
        self.notes += schedule_notes(self.args.schedule, changes, settings)

    def keep_trigger(self, dataset: Dataset | None, trigger: str | None) -> None:
        """Where single tags are to be dropped, raise `keep_tokens` to the trigger's: only those are never dropped.

        A subset with a `keep_tokens_separator` says itself what stays, in captions that have it.
        """
        if not any(value for place, value in self.values.items() if place.keys[-1] == TAG_DROPOUT):
            return
        separator = agreed(each(self.subsets, self.args, "caption_separator"))
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
            if place.keys[-1] in ("caption_dropout_rate", TAG_DROPOUT) and value
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
        if name == "caption_dropout" and any(each(self.subsets, self.args, "caption_dropout_every_n_epochs")):
            self.notes.append("caption_dropout_every_n_epochs stays: whole epochs are trained without captions.")

    def _holding(self, subsets: Sequence[Subset], key: str) -> dict[Place, Any]:
        """What every table has that gives a setting to these subsets; the arguments' own without subsets.

        Where none gives it, it goes to `[general]`, or beside pictures that are only for regularisation, whose captions
        are none of the character's, to each subset.
        """
        if not subsets:
            own = IN_ARGS.get(key, key)
            return {self.args.place(own): self.args.get(own)}
        found = dict[Place, Any]()
        apart = key not in _OF_DATASETS and any(one.regularisation for one in all_subsets(self.config))
        for subset in subsets:
            held = subset.holder(key)
            table, own = held if held is not None else (subset.layers[0 if apart else 2], key)
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


def _kept_apart(mark: object, dataset: Dataset | None, trigger: str | None) -> bool:
    """Whether the mark of a kept part stands in all captions that have the trigger, which is kept by it then."""
    captions = [text for image in (dataset.images if dataset is not None else ()) for text in texts(image)]
    return bool(mark) and all(str(mark) in text for text in captions if trigger and holds(text, trigger))


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
