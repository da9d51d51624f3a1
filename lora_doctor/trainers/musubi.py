"""musubi-tuner (kohya-ss): a file of arguments for `--config_file` or the command itself, with the dataset config that
they name; or that alone.

Source: kohya-ss/musubi-tuner training/parser_common.py (arguments; epochs come before steps), dataset/config_utils.py
(strict schema; dataset, `[general]`, then defaults), networks/lora.py (rank 4 and alpha 1 where none is given). Latents
and texts are cached before the training, by programs of their own: captions cannot be dropped or shuffled, the text
encoder is never trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_doctor.edits.by_ending import parsed
from lora_doctor.edits.command_shells import SHELLS
from lora_doctor.edits.edit import REMOVED
from lora_doctor.errors import UsageError
from lora_doctor.trainers.agreed import agreed, number, or_default, side, whole, word
from lora_doctor.trainers.folders import Folder, repeats_for
from lora_doctor.trainers.kohya_places import GOES_ON_NO_MORE, NO_RATE, Args, Table, args_of, dataset_path, tables_of
from lora_doctor.trainers.kohya_programs import MUSUBI, reader_of, refuse_json
from lora_doctor.trainers.length import Length, schedule_notes, steps_per_epoch, warm_up_notes
from lora_doctor.trainers.places import Place, moved_folder, real_changes, with_values
from lora_doctor.types import Change, ConfigFiles, Dataset, PatchedFiles, TrainingSettings

TRAINER = MUSUBI
RANK, ALPHA, STEPS, RATE = 4, 1.0, 1600, 2e-6
"""Where the arguments give none."""
CONFIGS = (".toml", ".json", *SHELLS)
_FILE = "config_file"
_FROM_WEIGHTS = "dim_from_weights"
"""An older LoRA, whose rank and alpha are taken whatever the arguments say."""
_PLAIN = {"rank": "network_dim", "alpha": "network_alpha", "seed": "seed", "learning_rate": "learning_rate"}
_OF_DATASETS = {"resolution": "resolution", "batch_size": "batch_size"}
_CANNOT = {
    "caption_dropout": "musubi-tuner reads every text from its cache and drops no caption; nearest: further copies of "
    "some pictures in a dataset of their own, with empty caption files",
    "caption_token_dropout": "musubi-tuner reads every text from its cache and drops no token; nearest: captions of "
    "which copies lack tokens, in a dataset of their own",
    "train_text_encoder": "musubi-tuner never trains it",
    "negative_tokens": "musubi-tuner has no tokens that a character must not show; nearest: captions that name what is "
    "in each picture (`audit --fix`), and pictures that show another one left out",
}
_AGAIN = "{}: run musubi-tuner's two caching programs (latents, text encoder outputs) again before the training."

OF_A_COPY = _AGAIN.format("the copied dataset")
"""What is to be done where the next training has a dataset of its own: without a cache, nothing is trained on."""
_WARM_UP = "lr_warmup_steps"


def recognises(path: Path, text: str) -> bool:
    """Whether these are its arguments, in a file or a command, or a dataset config of its kind; never raises."""
    config = parsed(path, text) if path.suffix.lower() in CONFIGS else None
    return isinstance(config, dict) and reader_of(path, text, args_of(path, text)) == MUSUBI


def companions(path: Path, text: str) -> tuple[Path, ...]:
    """The dataset config that the arguments name."""
    named = dataset_path(args_of(path, text), path)
    return () if named is None or _is_dataset(path, text) else (named,)


def read(config: ConfigFiles) -> TrainingSettings:
    """The settings that the files state; None where datasets differ. What is not stated has musubi-tuner's defaults.

    Raises UsageError for a command that has its arguments in a file, and for arguments in JSON.
    """
    args, datasets = _args(config), _datasets(config)
    known = not _is_dataset(config.path, config.text)
    if known:
        refuse_json(config.path, args, TRAINER)
    if config.path.suffix.lower() in SHELLS and isinstance(file := args.get(_FILE), str):
        raise UsageError(f"starts {TRAINER} with the arguments in {file}.", advice="Name that file.")
    own = known and not args.get(_FROM_WEIGHTS)
    epochs, steps = args.get("max_train_epochs") or None, args.get("max_train_steps") or None
    return TrainingSettings(
        trainer=TRAINER,
        rank=or_default(args.get("network_dim"), whole, RANK) if own else None,
        alpha=or_default(args.get("network_alpha"), number, ALPHA) if own else None,
        steps=or_default(steps, whole, STEPS) if known and epochs is None else None,
        epochs=number(epochs),
        batch_size=whole(agreed(one.value("batch_size") for one in datasets)),
        learning_rate=or_default(args.get("learning_rate"), number, RATE) if known else None,
        train_text_encoder=False if known else None,
        caption_token_dropout=0.0,
        caption_dropout=0.0,
        seed=whole(args.get("seed")),
        resolution=side(agreed(one.value("resolution") for one in datasets)),
        network_dropout=number(args.get("network_dropout")),
        optimizer=word(args.get("optimizer_type")),
        lr_scheduler=word(args.get("lr_scheduler")),
        gradient_accumulation=whole(args.get("gradient_accumulation_steps")),
        mixed_precision=word(args.get("mixed_precision")),
        shuffle_captions=False,
        flip_augmentation=False,
    )


def patch(
    config: ConfigFiles, changes: Sequence[Change], dataset: Dataset | None = None, trigger: str | None = None
) -> PatchedFiles:
    """The files with every change that musubi-tuner can express; the others are told, with the nearest that it has.

    `dataset`: the pictures with their roles, for the repeats of an identity ratio; `trigger` is not needed, as no token
    is dropped. Raises UsageError for text that cannot be changed where a setting stands.
    """
    draft, settings = _Draft(config), read(config)
    changes = real_changes(changes, settings)
    for change in changes:
        draft.make(change, dataset)
    draft.keep_length(settings, dataset, changes)
    texts = with_values(config, draft.values)
    if draft.args.goes_on:
        draft.notes.append(GOES_ON_NO_MORE)
    unsupported, notes = (*draft.unsupported, *draft.length.unsupported), (*draft.notes, *draft.length.notes)
    return PatchedFiles(texts=texts, unsupported=unsupported, notes=notes)


def relocated(config: ConfigFiles, moved: Mapping[Path, Path]) -> dict[Path, str]:
    """The files, with the dataset config and folders of pictures named where they go; `moved`: old -> new place.

    A cache of moved pictures moves with them: it holds what their captions said.
    """
    values: dict[Place, Any] = {}
    args = _args(config)
    data = dataset_path(args, config.path)
    if data is not None and data in moved:
        values[args.place("dataset_config")] = str(moved[data].absolute())
    for one in _datasets(config):
        new = moved_folder(one.own.values.get("image_directory"), one.own.place.path, moved)
        if new is not None:
            values[one.own.place.below("image_directory")] = str(new)
            if one.own.values.get("cache_directory"):
                values[one.own.place.below("cache_directory")] = str(new / "cache")
    return with_values(config, values)


def writing_to(config: ConfigFiles, output: Path) -> dict[Path, str]:
    """The files, with the new LoRA going to the folder `output`. A dataset config alone does not say where to.

    It begins anew, not at a saved state of the old one.
    """
    if _is_dataset(config.path, config.text):
        return dict(config.texts)
    return with_values(config, _args(config).anew(output))


@dataclass(frozen=True, slots=True)
class _Pictures:
    """A dataset of pictures, with `[general]`, which it falls back to."""

    own: Table
    general: Table

    def holder(self, key: str) -> Table | None:
        """The table that gives the setting; None where none does."""
        return next((table for table in (self.own, self.general) if table.values.get(key) is not None), None)

    def value(self, key: str) -> Any:
        """The setting; None where it is nowhere."""
        held = self.holder(key)
        return None if held is None else held.values[key]


class _Draft:
    """The patch while it is written."""

    def __init__(self, config: ConfigFiles) -> None:
        self.args, self.datasets = _args(config), _datasets(config)
        self.alone = _is_dataset(config.path, config.text)
        self.values: dict[Place, Any] = {}
        self.length = Length()
        self.unsupported: list[str] = []
        self.notes: list[str] = []

    def make(self, change: Change, dataset: Dataset | None) -> None:
        """Write one change, or say why it cannot be."""
        name, after = change.field, change.after
        if name in _CANNOT:
            self.unsupported.append(f"{name}: {_CANNOT[name]}.")
        elif name in _OF_DATASETS:
            self._everywhere(_OF_DATASETS[name], after)
        elif name == "identity_ratio":
            self.length.ratio_before = change.before
            self._repeats(after, dataset)
        elif self.alone:
            what = f"{name}: the dataset config does not hold it; give the file of arguments to change it to {after}."
            self.unsupported.append(what)
        elif name in ("rank", "alpha") and self.args.get(_FROM_WEIGHTS):
            self.unsupported.append(
                f"{name}: {_FROM_WEIGHTS} takes it from an older LoRA; take that out to make it {after}."
            )
        elif name == "learning_rate" and self.args.finds_its_rate:
            self.unsupported.append(NO_RATE)
        elif name in _PLAIN:
            self.values[self.args.place(_PLAIN[name])] = after
        elif name == "epochs":
            self.length.asked = change
        elif name == "steps":
            self._steps(after)
        else:
            self.unsupported.append(f"{name}: musubi-tuner's setting for it is not known here; wanted is {after}.")

    def keep_length(self, settings: TrainingSettings, dataset: Dataset | None, changes: Sequence[Change]) -> None:
        """The epochs asked for, and as long a training with new repeats; where steps say it better, epochs go."""
        name, steps = "max_train_epochs", steps_per_epoch(settings, dataset)
        place, steps_place = self.args.place(name), self.args.place("max_train_steps")
        self.length.settle(self.values, place, self.args.get(name), steps, steps_place)
        self.notes += warm_up_notes(_WARM_UP, self.args.get(_WARM_UP), changes, settings, steps)
        self.notes += schedule_notes(self.args.schedule, changes, settings)

    def _everywhere(self, key: str, after: Any) -> None:
        """Set a setting in every table that gives it to a dataset, else in `[general]`."""
        if not self.datasets:
            self.unsupported.append(f"{key}: the dataset config holds it; wanted is {after}.")
        for one in self.datasets:
            held = one.holder(key) or one.general
            present = held.values.get(key)
            square = isinstance(present, list) and key == "resolution"
            self.values[held.place.below(key)] = [after] * len(present or ()) if square else after
        if key == "resolution" and self.datasets:
            self.notes.append(_AGAIN.format("resolution"))

    def _steps(self, after: float) -> None:
        """Epochs come before steps: where steps are asked for, they go."""
        self.length.asked = None
        self.values[self.args.place("max_train_steps")] = round(after)
        if self.args.get("max_train_epochs") is not None:
            self.values[self.args.place("max_train_epochs")] = REMOVED

    def _repeats(self, target: float, dataset: Dataset | None) -> None:
        """Whole repeats of the datasets that come nearest to the ratio, with the training as long as it was."""
        folders = [_folder(one) for one in self.datasets if isinstance(one.own.values.get("image_directory"), str)]
        found = repeats_for(folders, dataset, target)
        self.values.update(found.values)
        self.length.follow(found)
        if found.short:
            self.unsupported.append(found.short)


def _folder(one: _Pictures) -> Folder:
    repeats = whole(one.value("num_repeats"))
    path = Path(str(one.own.values["image_directory"]))
    return Folder(one.own.place.below("num_repeats"), path, float(1 if repeats is None else max(0, repeats)))


def _is_dataset(path: Path, text: str) -> bool:
    config = parsed(path, text)
    return isinstance(config, dict) and isinstance(config.get("datasets"), list)


def _args(config: ConfigFiles) -> Args:
    if _is_dataset(config.path, config.text):
        return Args({}, {}, Place(config.path, ()))
    return args_of(config.path, config.text)


def _datasets(config: ConfigFiles) -> list[_Pictures]:
    """The datasets of pictures; those of videos are none of a character LoRA's."""
    path = config.path if _is_dataset(config.path, config.text) else dataset_path(_args(config), config.path)
    data = parsed(path, config.texts[path]) if path is not None and path in config.texts else None
    if path is None or not isinstance(data, dict):
        return []
    root = Place(path, ())
    held = data.get("general")
    general = Table(root.below("general"), held if isinstance(held, dict) else {})
    found = [_Pictures(table, general) for table in tables_of(root, data, "datasets")]
    return [one for one in found if "image_directory" in one.own.values or "image_jsonl_file" in one.own.values]
