"""ai-toolkit (ostris): a job in YAML or JSON; the first process with a network is the one.

Source: ostris/ai-toolkit toolkit/config_modules.py (keys and defaults), jobs/process/BaseSDTrainProcess.py
(training_seed; a step is `gradient_accumulation` batches, whatever `gradient_accumulation_steps` says; every
other step is regularisation's), toolkit/dataloader_mixins.py (cached text embeddings: tokens are not dropped any
more), toolkit/lora_special.py (transformers are trained with alpha = rank, whatever the config says).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lora_doctor.edits.by_ending import parsed
from lora_doctor.trainers.agreed import agreed, flag, number, or_default, side, whole, word
from lora_doctor.trainers.folders import Folder, repeats_for
from lora_doctor.trainers.kept_tokens import kept_tokens
from lora_doctor.trainers.places import Place, moved_folder, real_changes, with_values
from lora_doctor.types import Change, ConfigFiles, Dataset, PatchedFiles, TrainingSettings

TRAINER = "ai-toolkit"
CONFIGS = (".yaml", ".yml", ".json")
RANK, ALPHA, STEPS, BATCH, SIDE = 4, 1.0, 1000, 1, 512
"""Where the job gives none."""
_WITH_ALPHA = ("sd1", "sd2", "sdxl", "ssd", "vega", "pixart", "pixart_sigma", "auraflow")
"""Architectures whose alpha is the config's; others have alpha = rank."""
_OTHER_ARCHITECTURES = ("is_flux", "is_v3", "is_lumina2")
_TRAIN = {"batch_size": "batch_size", "train_text_encoder": "train_text_encoder"}
_OF_DATASETS = {
    "caption_dropout": "caption_dropout_rate", "caption_token_dropout": "token_dropout_rate",
    "flip_augmentation": "flip_x",
}  # fmt: skip
_CACHE, _UNLOAD = "cache_text_embeddings", "unload_text_encoder"
_NEGATIVES = (
    "ai-toolkit has no tokens that a character must not show; nearest: captions that name what is in each picture "
    "(`audit --fix`), and pictures that show another one left out"
)


def recognises(path: Path, text: str) -> bool:
    """Whether this is a job whose processes have a network; never raises."""
    config = parsed(path, text) if path.suffix.lower() in CONFIGS and "process" in text else None
    return _process(config, path) is not None


def read(config: ConfigFiles) -> TrainingSettings:
    """The settings of the job with ai-toolkit's own defaults; None where its datasets differ."""
    job = _Job(config)
    network, train, datasets = job.network, job.train, job.datasets
    rank = job.rank
    alpha = or_default(network.get("linear_alpha", network.get("alpha")), number, ALPHA) if job.with_alpha else rank
    model = job.table("model")
    text_encoder = flag(train.get("train_text_encoder")) or False
    rate = number(train.get("text_encoder_lr") or train.get("lr"))
    schedule = word(train.get("noise_scheduler"))
    return TrainingSettings(
        trainer=TRAINER,
        rank=rank,
        alpha=number(alpha),
        steps=or_default(train.get("steps"), whole, STEPS),
        batch_size=or_default(train.get("batch_size"), whole, BATCH),
        learning_rate=number(train.get("unet_lr") or train.get("lr")),
        train_text_encoder=text_encoder,
        caption_token_dropout=agreed(number(one.get("token_dropout_rate", 0.0)) for one in datasets),
        caption_dropout=agreed(number(one.get("caption_dropout_rate", 0.0)) for one in datasets),
        seed=whole(job.values.get("training_seed")),
        resolution=agreed(_sides(one.get("resolution", SIDE)) for one in datasets),
        conv_rank=whole(network.get("conv")),
        conv_alpha=number(network.get("conv_alpha", network.get("conv"))),
        network_dropout=number(network.get("dropout")),
        text_encoder_learning_rate=rate if text_encoder else None,
        optimizer=word(train.get("optimizer")),
        lr_scheduler=word(train.get("lr_scheduler")),
        gradient_accumulation=whole(train.get("gradient_accumulation")),
        noise_offset=number(train.get("noise_offset")),
        min_snr_gamma=number(train.get("min_snr_gamma")),
        prediction_type="flow" if schedule == "flowmatch" else "v_prediction" if model.get("is_v_pred") else None,
        mixed_precision=word(train.get("dtype")),
        keep_tokens=agreed(whole(one.get("keep_tokens", 0)) for one in datasets),
        shuffle_captions=agreed(flag(one.get("shuffle_tokens", False)) for one in datasets),
        flip_augmentation=agreed(flag(one.get("flip_x", False)) for one in datasets),
    )


def patch(
    config: ConfigFiles, changes: Sequence[Change], dataset: Dataset | None = None, trigger: str | None = None
) -> PatchedFiles:
    """The job with every change that ai-toolkit can express; caches that forbid it go off with it.

    `dataset`: the pictures with their roles, for the repeats of an identity ratio and for epochs in steps; with their
    captions and `trigger`, for the tokens that must not be dropped. Raises UsageError for text that cannot be changed
    where a setting stands.
    """
    draft = _Draft(config)
    changes = real_changes(changes, read(config))
    for change in changes:
        draft.make(change, dataset)
    draft.keep_trigger(dataset, trigger)
    draft.mend_caches()
    return PatchedFiles(
        texts=with_values(config, draft.values), unsupported=tuple(draft.unsupported), notes=tuple(draft.notes)
    )


def relocated(config: ConfigFiles, moved: Mapping[Path, Path]) -> dict[Path, str]:
    """The job with its folders of pictures named where they go; `moved`: old -> new place."""
    job, values = _Job(config), dict[Place, Any]()
    for place, table in job.all_places:
        for key in ("folder_path", "dataset_path"):
            if (new := moved_folder(job.named(table.get(key)), config.path, moved)) is not None:
                values[place.below(key)] = str(new)
    return with_values(config, values)


def writing_to(config: ConfigFiles, output: Path) -> dict[Path, str]:
    """The job with the new LoRA going below the folder `output`, into one of the job's name."""
    return with_values(config, {_Job(config).place.below("training_folder"): str(output.absolute())})


class _Job:
    """The process that trains, and where its tables stand."""

    def __init__(self, config: ConfigFiles) -> None:
        self.place, self.values = _process(parsed(config.path, config.text), config.path) or (
            Place(config.path, ()),
            {},
        )
        whole = parsed(config.path, config.text)
        own = whole.get("config") if isinstance(whole, dict) else None
        self.name = str(own.get("name") or "") if isinstance(own, dict) else ""
        self.network, self.train = self.table("network"), self.table("train")
        listed = self.values.get("datasets")
        tables = [(self.place.below("datasets", i), one) for i, one in enumerate(listed or []) if isinstance(one, dict)]
        self.all_places = tables
        self.places = [(place, one) for place, one in tables if one.get("is_reg") is not True]
        """The folders that the character is learned from."""

    def named(self, folder: Any) -> Any:
        """A folder's name with the job's in place of `[name]`."""
        return folder.replace("[name]", self.name) if isinstance(folder, str) else folder

    @property
    def datasets(self) -> list[dict[str, Any]]:
        """Their tables."""
        return [table for _, table in self.places]

    @property
    def rank(self) -> int | None:
        """Of the linear layers; None where it cannot be read."""
        told = self.network.get("linear") if self.network.get("rank") is None else self.network["rank"]
        rank: int | None = or_default(told, whole, RANK)
        return rank

    @property
    def with_alpha(self) -> bool:
        """Whether the alpha of the config counts."""
        model = self.table("model")
        named = word(model.get("arch"))
        return named in _WITH_ALPHA if named else not any(model.get(key) for key in _OTHER_ARCHITECTURES)

    def table(self, key: str) -> dict[str, Any]:
        """A table of the process; empty where it is none."""
        value = self.values.get(key)
        return value if isinstance(value, dict) else {}


class _Draft:
    """The patch while it is written."""

    def __init__(self, config: ConfigFiles) -> None:
        self.job = _Job(config)
        self.values: dict[Place, Any] = {}
        self.unsupported: list[str] = []
        self.notes: list[str] = []

    def make(self, change: Change, dataset: Dataset | None) -> None:
        """Write one change, or say why it cannot be."""
        name, after, place = change.field, change.after, self.job.place
        if name in _OF_DATASETS:
            for table, _ in self.job.places:
                self.values[table.below(_OF_DATASETS[name])] = after
        elif name in _TRAIN:
            self.values[place.below("train", _TRAIN[name])] = after
        elif name == "rank":
            self.values[self._rank_place] = after
        elif name == "alpha":
            self._alpha(after)
        elif name == "steps":
            self.values[place.below("train", "steps")] = round(after)
        elif name == "epochs":
            self._epochs(after, dataset)
        elif name == "learning_rate":
            self.values[place.below("train", "unet_lr" if "unet_lr" in self.job.train else "lr")] = after
        elif name == "seed":
            self.values[place.below("training_seed")] = after
        elif name == "resolution":
            self._resolution(after)
        elif name == "identity_ratio":
            self._repeats(after, dataset)
        elif name == "negative_tokens":
            self.unsupported.append(f"negative_tokens: {_NEGATIVES}.")
        else:
            self.unsupported.append(f"{name}: ai-toolkit's setting for it is not known here; wanted is {after}.")

    def keep_trigger(self, dataset: Dataset | None, trigger: str | None) -> None:
        """Where tokens are to be dropped, raise `keep_tokens` to the trigger's; a `trigger_word` returns by itself."""
        if not any(value for place, value in self.values.items() if place.keys[-1] == "token_dropout_rate"):
            return
        told = self.job.values.get("trigger_word")
        bare = [(place, table) for place, table in self.job.places if not word(table.get("trigger_word") or told)]
        if not bare:
            return
        kept = kept_tokens(dataset, trigger)
        low = [place for place, table in bare if (whole(table.get("keep_tokens")) or 0) < kept.count]
        self.values.update({place.below("keep_tokens"): kept.count for place in low})
        self.notes += [kept.note("keep_tokens")] if low else []
        self.notes += [kept.late] if kept.late else []

    def mend_caches(self) -> None:
        """Switch off cached text embeddings where tokens are dropped or the text encoder is trained: both need text."""
        asked = {place.keys[-1]: value for place, value in self.values.items()}
        if not asked.get("token_dropout_rate") and not asked.get("train_text_encoder"):
            return
        # those of regularisation too: ai-toolkit stops where some folders have a cache and some have none
        tables = [(self.job.place.below("train"), self.job.train), *self.job.all_places]
        cached = [place.below(_CACHE) for place, table in tables if flag(table.get(_CACHE))]
        if cached:
            self.values.update(dict.fromkeys(cached, False))
            self.notes.append(f"{_CACHE} switched off: with it no token is dropped at a step; it takes more memory.")
        if flag(self.job.train.get(_UNLOAD)):
            self.values[self.job.place.below("train", _UNLOAD)] = False
            self.notes.append(
                f"{_UNLOAD} switched off: without the text encoder and a cache, captions are not read and the trigger "
                "word alone is trained; it takes more memory."
            )

    @property
    def _rank_place(self) -> Place:
        return self.job.place.below("network", "rank" if "rank" in self.job.network else "linear")

    def _alpha(self, after: float) -> None:
        if not self.job.with_alpha:
            rank = self.values.get(self._rank_place, self.job.rank)
            why = f"ai-toolkit trains this architecture with alpha = rank ({rank})"
            if after == rank:
                self.notes.append(f"linear_alpha is not used: {why}.")
            else:
                self.unsupported.append(f"alpha: {why}; wanted is {after:g}.")
            return
        key = "alpha" if "alpha" in self.job.network and "linear_alpha" not in self.job.network else "linear_alpha"
        self.values[self.job.place.below("network", key)] = after

    def _epochs(self, after: float, dataset: Dataset | None) -> None:
        if dataset is None or not dataset.images:
            self.unsupported.append(f"epochs: ai-toolkit counts steps; wanted are {after:g} times all pictures.")
            return
        batch = whole(self.job.train.get("batch_size")) or BATCH
        batch *= whole(self.job.train.get("gradient_accumulation")) or 1
        shown = sum(image.repeats for image in dataset.images)
        regularised = len(self.job.places) < len(self.job.all_places)
        steps = after * shown / batch * (2 if regularised else 1)
        self.values[self.job.place.below("train", "steps")] = max(1, round(steps))
        told = "; every other one is regularisation's" if regularised else ""
        self.notes.append(f"steps stand for {after:g} epochs of {shown:g} pictures in batches of {batch}{told}.")

    def _resolution(self, after: int) -> None:
        for place, table in self.job.places:
            present = table.get("resolution", SIDE)
            if _sides(present) == after:
                continue
            if isinstance(present, list) and len(present) > 1:
                self.notes.append(f"resolution: {after} alone takes the place of {', '.join(map(str, present))}.")
            self.values[place.below("resolution")] = [after] if isinstance(present, list) else after

    def _repeats(self, target: float, dataset: Dataset | None) -> None:
        folders = [
            Folder(
                place.below("num_repeats"), Path(str(self.job.named(path))),
                float(whole(table.get("num_repeats")) or 1), below=True,
            )
            for place, table in self.job.places if (path := table.get("dataset_path") or table.get("folder_path"))
        ]  # fmt: skip
        found = repeats_for(folders, dataset, target)
        self.values.update(found.values)
        if found.short:
            self.unsupported.append(found.short)


def _process(config: Any, path: Path) -> tuple[Place, dict[str, Any]] | None:
    """The first process with a network, and its place; None where there is none."""
    job = config.get("config") if isinstance(config, dict) else None
    listed = job.get("process") if isinstance(job, dict) else None
    for i, process in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(process, dict) and isinstance(process.get("network"), dict):
            return Place(path, ("config", "process", i)), process
    return None


def _sides(value: Any) -> int | None:
    """The one resolution; None where pictures are shown at several."""
    return agreed(map(side, value)) if isinstance(value, list) else side(value)
