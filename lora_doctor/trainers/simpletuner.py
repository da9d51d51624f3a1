"""SimpleTuner (bghira): config.json or config.toml, with or without dashes before its keys, and the list of backends.

Source: bghira/SimpleTuner documentation/DATALOADER.md (repeats: 0 shows a picture once), documentation/OPTIONS.md,
simpletuner/helpers/training/collate.py (whole captions are dropped; there is no dropping of single tokens),
simpletuner_sdk/server/services/field_registry (keys; max_train_steps and num_train_epochs exclude each other),
simpletuner/helpers/configuration (config.toml says the same keys; config.env cannot say a rank, and is not read here).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lora_doctor.edits.by_ending import parsed
from lora_doctor.named_places import found_file
from lora_doctor.trainers.agreed import agreed, flag, number, or_default, side, whole, word
from lora_doctor.trainers.folders import Folder, repeats_for
from lora_doctor.trainers.length import Length, steps_per_epoch, warm_up_notes
from lora_doctor.trainers.places import Place, moved_folder, real_changes, with_values
from lora_doctor.types import Change, ConfigFiles, Dataset, PatchedFiles, TrainingSettings

TRAINER = "SimpleTuner"
BACKENDS = "multidatabackend.json"
"""Where backends are looked for when the config does not say."""
RANK = 16
"""Where the config gives none; alpha is the rank then."""
_PLAIN = {
    "alpha": "lora_alpha", "batch_size": "train_batch_size", "learning_rate": "learning_rate", "seed": "seed",
    "train_text_encoder": "train_text_encoder",
}  # fmt: skip
_NEAREST = {
    "caption_token_dropout": (
        "SimpleTuner drops whole captions alone; nearest: caption_strategy textfile with several lines in each caption "
        "file, in which other tokens are left out"
    ),
    "negative_tokens": (
        "SimpleTuner has no tokens that a character must not show; nearest: captions that name what is in each picture "
        "(`audit --fix`), and pictures that show another one left out"
    ),
}
_WARM_UP = "lr_warmup_steps"


def recognises(path: Path, text: str) -> bool:
    """Whether this is a config that names a model family or its backends; never raises."""
    config = parsed(path, text) if path.suffix.lower() in (".json", ".toml") else None
    keys = {str(key).lstrip("-") for key in config} if isinstance(config, dict) else set()
    return "data_backend_config" in keys or {"model_family", "model_type"} <= keys


def companions(path: Path, text: str) -> tuple[Path, ...]:
    """The list of backends; names that lead nowhere are tried beside the config."""
    return (_backend_path(path, _Config(ConfigFiles(path=path, texts={path: text}))),)


def read(config: ConfigFiles) -> TrainingSettings:
    """The settings of the config, rank and alpha with SimpleTuner's own defaults; None where backends differ."""
    known = _Config(config)
    get = known.get
    standard = word(get("lora_type")) in (None, "standard")
    rank = or_default(get("lora_rank"), whole, RANK) if standard else None
    alpha = or_default(get("lora_alpha"), number, number(rank)) if standard else None
    by_steps = get("max_train_steps") not in (None, 0, "0")
    own = [table.get("caption_dropout_probability") for _, table in known.backends]
    dropouts = [number(get("caption_dropout_probability") if one is None else one) for one in own or [None]]
    return TrainingSettings(
        trainer=TRAINER,
        rank=rank,
        alpha=alpha,
        steps=whole(get("max_train_steps")) or None,
        epochs=None if by_steps else number(get("num_train_epochs")) or None,
        batch_size=whole(get("train_batch_size")),
        learning_rate=number(get("learning_rate")),
        train_text_encoder=or_default(get("train_text_encoder"), flag, False),
        caption_token_dropout=0.0,
        caption_dropout=agreed(dropouts),
        seed=whole(get("seed")),
        resolution=agreed(known.side(table) for _, table in known.backends) if known.backends else known.side({}),
        network_dropout=number(get("lora_dropout")),
        text_encoder_learning_rate=number(get("text_encoder_lr")) if flag(get("train_text_encoder")) else None,
        optimizer=word(get("optimizer")),
        lr_scheduler=word(get("lr_scheduler")),
        gradient_accumulation=whole(get("gradient_accumulation_steps")),
        noise_offset=number(get("noise_offset")) if flag(get("offset_noise")) else None,
        min_snr_gamma=number(get("snr_gamma")),
        prediction_type={"flow_matching": "flow"}.get(str(get("prediction_type")), word(get("prediction_type"))),
        mixed_precision=word(get("mixed_precision")),
    )


def patch(
    config: ConfigFiles, changes: Sequence[Change], dataset: Dataset | None = None, trigger: str | None = None
) -> PatchedFiles:
    """The files with every change that SimpleTuner can express.

    `dataset`: the pictures with their roles, for the repeats of an identity ratio; `trigger` is not needed, as no token
    is dropped. Raises UsageError for text that cannot be changed where a setting stands.
    """
    draft, settings = _Draft(config), read(config)
    changes = real_changes(changes, settings)
    for change in changes:
        draft.make(change, dataset)
    draft.keep_length(settings, dataset, changes)
    unsupported, notes = (*draft.unsupported, *draft.length.unsupported), (*draft.notes, *draft.length.notes)
    return PatchedFiles(texts=with_values(config, draft.values), unsupported=unsupported, notes=notes)


def relocated(config: ConfigFiles, moved: Mapping[Path, Path]) -> dict[Path, str]:
    """The files, with the backends and their folders of pictures named where they go; `moved`: old -> new place."""
    known, values = _Config(config), dict[Place, Any]()
    backends = _backend_path(config.path, known)
    if backends in moved and known.get("data_backend_config") is not None:
        values[known.place("data_backend_config")] = str(moved[backends].absolute())
    for place, table in known.all_backends:
        if (new := moved_folder(table.get("instance_data_dir"), place.path, moved)) is not None:
            values[place.below("instance_data_dir")] = str(new)
    return with_values(config, values)


def writing_to(config: ConfigFiles, output: Path) -> dict[Path, str]:
    """The config with the new LoRA, and the checkpoints on the way to it, going to the folder `output`."""
    return with_values(config, {_Config(config).place("output_dir"): str(output.absolute())})


class _Config:
    """The config without dashes, and the backends that the character is learned from."""

    def __init__(self, config: ConfigFiles) -> None:
        found = parsed(config.path, config.text)
        self._names = {str(key).lstrip("-"): str(key) for key in found} if isinstance(found, dict) else {}
        self._values = found if isinstance(found, dict) else {}
        self._root = Place(config.path, ())
        self._dashes = "--" if any(name.startswith("--") for name in self._values) else ""
        path = _backend_path(config.path, self)
        listed = parsed(path, config.texts[path]) if path in config.texts else None
        tables = enumerate(listed if isinstance(listed, list) else [])
        self.all_backends = [(Place(path, (i,)), one) for i, one in tables if isinstance(one, dict)]
        self.backends = [(place, one) for place, one in self.all_backends if _is_trained(one)]

    def get(self, name: str) -> Any:
        """A setting; None where it is not given."""
        value = self._values.get(self._names.get(name, name))
        return None if value in ("", "None") else value

    def place(self, name: str) -> Place:
        """Where the setting stands, or is to stand: with dashes where the others have them."""
        return self._root.below(self._names.get(name, f"{self._dashes}{name}"))

    def side(self, backend: Mapping[str, Any]) -> int | None:
        """Pixels of a side as the backend says, or the config; None where it is counted in megapixels."""
        kind = backend.get("resolution_type") or self.get("resolution_type")
        value = self.get("resolution") if backend.get("resolution") is None else backend["resolution"]
        return side(value) if kind in ("pixel", "pixel_area") else None


class _Draft:
    """The patch while it is written."""

    def __init__(self, config: ConfigFiles) -> None:
        self.config = _Config(config)
        self.values: dict[Place, Any] = {}
        self.length = Length()
        self.unsupported: list[str] = []
        self.notes: list[str] = []

    def make(self, change: Change, dataset: Dataset | None) -> None:
        """Write one change, or say why it cannot be."""
        name, after = change.field, change.after
        if name in _NEAREST:
            self.unsupported.append(f"{name}: {_NEAREST[name]}.")
        elif name in ("rank", "alpha") and word(self.config.get("lora_type")) == "lycoris":
            self.unsupported.append(f"{name}: LyCORIS has it in the file that lycoris_config names; wanted is {after}.")
        elif name == "rank":
            self.values[self.config.place("lora_rank")] = after
        elif name in _PLAIN:
            self.values[self.config.place(_PLAIN[name])] = after
        elif name == "epochs":
            self.length.asked = change
        elif name == "steps":
            self.length.asked = None
            self.values[self.config.place("max_train_steps")] = max(1, round(after))
            self.values[self.config.place("num_train_epochs")] = 0
        elif name == "caption_dropout":
            self._caption_dropout(after)
        elif name == "resolution":
            self._resolution(after)
        elif name == "identity_ratio":
            self.length.ratio_before = change.before
            self._repeats(after, dataset)
        else:
            self.unsupported.append(f"{name}: SimpleTuner's setting for it is not known here; wanted is {after}.")

    def keep_length(self, settings: TrainingSettings, dataset: Dataset | None, changes: Sequence[Change]) -> None:
        """The epochs asked for, and as long a training with new repeats; one of the two counts is 0."""
        name, steps, regularised = "num_train_epochs", None, len(self.config.backends) < len(self.config.all_backends)
        if not regularised:
            steps = steps_per_epoch(settings, dataset)
        place = self.config.place(name)
        given = self.values.get(place, self.config.get(name))  # 0 where steps are asked for
        self.length.settle(self.values, place, given, steps)
        self.notes += warm_up_notes(_WARM_UP, self.config.get(_WARM_UP), changes, settings, steps)
        if self.length.asked is not None and place in self.values:
            self.values[self.config.place("max_train_steps")] = 0

    def _caption_dropout(self, after: float) -> None:
        self.values[self.config.place("caption_dropout_probability")] = after
        for place, table in self.config.backends:
            if table.get("caption_dropout_probability") is not None:
                self.values[place.below("caption_dropout_probability")] = after

    def _resolution(self, after: int) -> None:
        tables = [table for _, table in self.config.backends] or [{}]
        if any(self.config.side(table) is None for table in tables):
            self.unsupported.append(f"resolution: it is in megapixels here; wanted are sides of {after} pixels.")
            return
        if any(table.get("resolution") is None for table in tables):
            self.values[self.config.place("resolution")] = after
        for place, table in self.config.backends:
            if table.get("resolution") is not None:
                self.values[place.below("resolution")] = after

    def _repeats(self, target: float, dataset: Dataset | None) -> None:
        """Repeats count from 0 here."""
        folders = [
            Folder(place.below("repeats"), Path(folder), float((whole(table.get("repeats")) or 0) + 1), below=True)
            for place, table in self.config.backends if (folder := word(table.get("instance_data_dir")))
        ]  # fmt: skip
        found = repeats_for(folders, dataset, target)
        self.values.update({place: round(repeats) - 1 for place, repeats in found.values.items()})
        self.length.follow(found)
        if found.values and any(table.get("probability") is not None for _, table in self.config.backends):
            self.notes.append("probability stays: repeats decide over the whole of an epoch.")
        if found.short:
            self.unsupported.append(found.short)


def _backend_path(path: Path, config: _Config) -> Path:
    """Where the backends are; beside the config where their name leads nowhere."""
    named = word(config.get("data_backend_config")) or BACKENDS
    return found_file(named, path) or path.parent / Path(named).name


def _is_trained(backend: Mapping[str, Any]) -> bool:
    """Whether it holds pictures of the character."""
    kind = backend.get("dataset_type") or "image"
    off = backend.get("disabled") or backend.get("disable") or backend.get("is_regularisation_data")
    return kind == "image" and not off
