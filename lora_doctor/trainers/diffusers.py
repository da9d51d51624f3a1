"""diffusers' LoRA scripts (dreambooth, advanced, text-to-image): the command that starts one, with its options.

Source: huggingface/diffusers examples/dreambooth, examples/advanced_diffusion_training, examples/text_to_image (alpha
is the rank where a script has no option for it; steps come before epochs; captions come from a column of the dataset's
table, or every picture has the one prompt).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lora_doctor.edits.by_ending import parsed
from lora_doctor.edits.command_edit import program
from lora_doctor.edits.edit import REMOVED
from lora_doctor.picture_rows import CaptionTable, rows_for
from lora_doctor.trainers.agreed import number, or_default, side, whole, word
from lora_doctor.trainers.folders import Folder
from lora_doctor.trainers.length import Length, steps_per_epoch, warm_up_notes
from lora_doctor.trainers.places import Place, moved_folder, real_changes, with_values
from lora_doctor.types import Change, ConfigFiles, Dataset, PatchedFiles, TrainingSettings

TRAINER = "diffusers"
RANK = ALPHA = 4
"""Where the command gives none."""
_DREAMBOOTH, _TEXT = "train_dreambooth_lora", "train_text_to_image_lora"
_EPOCHS = {_DREAMBOOTH: 1.0, _TEXT: 100.0}
_WITH_ALPHA = (
    "flux_advanced", "flux", "flux2", "flux2_img2img", "flux2_klein", "flux2_klein_img2img", "flux_kontext",
    "ideogram4", "krea2", "qwen_image", "sana", "z_image",
)  # fmt: skip
_WITH_DROPOUT = ("flux2_klein", "krea2", "qwen_image")
_WITH_ENCODER = ("", "flux_advanced", "sd15_advanced", "sdxl_advanced", "flux", "flux_kontext", "sd3", "sdxl")
"""Scripts by what follows `train_dreambooth_lora_`; of text-to-image, the one for SDXL trains encoders too."""
_PLAIN = {
    "rank": "rank", "seed": "seed", "resolution": "resolution", "batch_size": "train_batch_size",
    "learning_rate": "learning_rate",
}  # fmt: skip
_PICTURES_ALONE = "instance_data_dir"
_FOLDERS = ("dataset_name", "train_data_dir", _PICTURES_ALONE)
_CANNOT = {
    "caption_dropout": "this script drops no caption; nearest: further rows of the dataset's table with a neutral "
    "caption for some pictures",
    "caption_token_dropout": "diffusers' scripts drop no token; nearest: further rows of the dataset's table in which "
    "captions lack tokens",
    "train_text_encoder": "this script cannot train it",
    "negative_tokens": "diffusers' scripts have no tokens that a character must not show; nearest: captions that name "
    "what is in each picture (`audit --fix`), and pictures that show another one left out",
}
_WARM_UP = "lr_warmup_steps"


def recognises(path: Path, text: str) -> bool:
    """Whether this is a script that starts one of them; never raises."""
    return program(path, text).startswith((_DREAMBOOTH, _TEXT))


def read(config: ConfigFiles) -> TrainingSettings:
    """The settings that the command states, and the script's own defaults where they say what is trained."""
    told = _told(config)
    rank = or_default(told.get("rank"), whole, RANK)
    alpha = or_default(told.get("lora_alpha"), number, float(ALPHA)) if _has(config, _WITH_ALPHA) else rank
    by_steps = told.get("max_train_steps") is not None
    return TrainingSettings(
        trainer=TRAINER,
        rank=rank,
        alpha=number(alpha),
        steps=whole(told.get("max_train_steps")),
        epochs=None if by_steps else or_default(told.get("num_train_epochs"), number, _EPOCHS[_kind(config)]),
        batch_size=whole(told.get("train_batch_size")),
        learning_rate=number(told.get("learning_rate")),
        train_text_encoder=told.get("train_text_encoder") is True,
        caption_token_dropout=0.0,
        caption_dropout=or_default(told.get("caption_dropout"), number, 0.0),
        seed=whole(told.get("seed")),
        resolution=side(told.get("resolution")),
        network_dropout=number(told.get("lora_dropout")),
        text_encoder_learning_rate=number(told.get("text_encoder_lr")),
        optimizer=word(told.get("optimizer")),
        lr_scheduler=word(told.get("lr_scheduler")),
        gradient_accumulation=whole(told.get("gradient_accumulation_steps")),
        noise_offset=number(told.get("noise_offset")),
        min_snr_gamma=number(told.get("snr_gamma")),
        mixed_precision=word(told.get("mixed_precision")),
        shuffle_captions=False,
        flip_augmentation=told.get("random_flip") is True,
    )


def patch(
    config: ConfigFiles, changes: Sequence[Change], dataset: Dataset | None = None, trigger: str | None = None
) -> PatchedFiles:
    """The script with every change that it has an option for; the others are told, with the nearest that there is.

    `dataset`: the pictures with their roles, for an identity ratio by rows of a table; `trigger` is not needed, as no
    token is dropped. Raises UsageError for a command that cannot be changed where an option stands.
    """
    draft = _Draft(config, dataset)
    settings = read(config)
    real = real_changes(changes, settings)
    for change in real:
        draft.make(change)
    draft.keep_length(settings, real)
    texts = with_values(config, draft.values)
    draft.look_at_alpha(real, read(ConfigFiles(path=config.path, texts=texts)))
    unsupported, notes = (*draft.unsupported, *draft.length.unsupported), (*draft.notes, *draft.length.notes)
    return PatchedFiles(texts=texts, unsupported=unsupported, notes=notes)


def relocated(config: ConfigFiles, moved: Mapping[Path, Path]) -> dict[Path, str]:
    """The script, with the folder of pictures named where it goes; `moved`: old -> new place.

    Of a copied dataset that is read as one it is the copy's own folder, which holds the table of all pictures;
    `instance_data_dir` is the very folder of the pictures: the scripts open whatever lies in it as one.
    """
    told, values = _told(config), dict[Place, Any]()
    for name in _FOLDERS:
        if (new := moved_folder(told.get(name), config.path, moved)) is None:
            continue
        if name == _PICTURES_ALONE or new not in (place.absolute() for place in moved.values()):
            values[Place(config.path, (name,))] = str(new)
        else:
            above = [place for place in moved.values() if new.is_relative_to(place.absolute())]
            root = min((place.absolute() for place in above), key=lambda place: len(place.parts), default=new)
            values[Place(config.path, (name,))] = str(root)
    return with_values(config, values)


def writing_to(config: ConfigFiles, output: Path) -> dict[Path, str]:
    """The script, with the new LoRA going to the folder `output`."""
    return with_values(config, {Place(config.path, ("output_dir",)): str(output.absolute())})


def caption_table(config: ConfigFiles) -> CaptionTable | None:
    """The table that captions are read from; None where every picture has the one prompt."""
    told = _told(config)
    column = told.get("caption_column", "text" if _kind(config) == _TEXT else None)
    if isinstance(told.get("instance_data_dir"), str) or not isinstance(column, str):
        return None
    return CaptionTable(column, max(1, whole(told.get("repeats")) or 1))


class _Draft:
    """The patch while it is written."""

    def __init__(self, config: ConfigFiles, dataset: Dataset | None) -> None:
        self.config, self.dataset = config, dataset
        self.told = _told(config)
        self.values: dict[Place, Any] = {}
        self.length = Length(what="rows")
        self.unsupported: list[str] = []
        self.notes: list[str] = []

    def make(self, change: Change) -> None:
        """Write one change, or say why it cannot be."""
        name, after = change.field, change.after
        if name in _PLAIN:
            self._set(_PLAIN[name], after)
        elif name == "alpha" and _has(self.config, _WITH_ALPHA):
            self._set("lora_alpha", after)
        elif name == "caption_dropout" and _has(self.config, _WITH_DROPOUT):
            self._set("caption_dropout", after)
        elif name == "train_text_encoder" and (not after or _has(self.config, _WITH_ENCODER, text="_sdxl")):
            self._set("train_text_encoder", bool(after))
        elif name == "flip_augmentation" and not after:
            self._set("random_flip", False)
        elif name == "steps":
            self.length.asked = None
            self._set("max_train_steps", round(after))
        elif name == "epochs":
            self.length.asked = change
            self._set("max_train_steps", REMOVED)
        elif name == "identity_ratio":
            self._rows(after)
        elif name in _CANNOT:
            self.unsupported.append(f"{name}: {_CANNOT[name]}.")
        elif name != "alpha":
            self.unsupported.append(f"{name}: diffusers' option for it is not known here; wanted is {after}.")

    def keep_length(self, settings: TrainingSettings, changes: Sequence[Change]) -> None:
        """The epochs asked for, else the config's, and as long a training with new rows; steps come before them."""
        steps = steps_per_epoch(settings, self.dataset)
        warm_up = self.told.get(_WARM_UP) if settings.lr_scheduler is not None else None  # constant has none
        self.notes += warm_up_notes(_WARM_UP, warm_up, changes, settings, steps)
        if self._drafted("max_train_steps") is not None:
            return
        if self.length.longer != 1.0 and self.length.asked is None and not self._shows_the_dataset():
            self.length.longer = 1.0
            self.notes.append("the epochs stay: the config trains on another folder than the one that was checked.")
        self.length.settle(self.values, Place(self.config.path, ("num_train_epochs",)), settings.epochs, steps)

    def _shows_the_dataset(self) -> bool:
        """Whether the config still names the pictures that are known: the epochs are those of their rows then."""
        named = [one for name in _FOLDERS if (one := word(self.told.get(name))) is not None]
        folders = [Folder(Place(self.config.path, ()), Path(one), 1, below=True) for one in named]
        images = self.dataset.images if self.dataset is not None else ()
        return any(folder.holds(image) for folder in folders for image in images)

    def look_at_alpha(self, changes: Sequence[Change], after: TrainingSettings) -> None:
        """Say that alpha is not what was asked for, in a script in which it is always the rank."""
        asked = next((change.after for change in changes if change.field == "alpha"), after.alpha)
        if asked != after.alpha:
            self.unsupported.append(f"alpha: this script always makes it the rank, {after.rank}; wanted is {asked:g}.")

    def _drafted(self, option: str) -> Any:
        """What the changes have made of an option so far; None where it is not given."""
        value = self.values.get(Place(self.config.path, (option,)), self.told.get(option))
        return None if value is REMOVED else value

    def _set(self, option: str, value: Any) -> None:
        self.values[Place(self.config.path, (option,))] = value

    def _rows(self, target: float) -> None:
        """Rows of the table, which the copied dataset gets; `keep_length` makes up for them."""
        table = caption_table(self.config)
        found = rows_for(self.dataset, table, target) if table is not None and self.dataset is not None else None
        if found is None:
            why = "every picture has the one prompt" if table is None else "which pictures show it is not known"
            self.unsupported.append(
                f"identity_ratio: {target:g} is wanted, and {why}; nearest: a dataset with metadata.jsonl, in which "
                "identity-emphasis pictures have more rows, and --caption_column."
            )
            return
        self.notes.append(f"identity_ratio: rows of metadata.jsonl in the copied dataset make it {found.ratio:.2f}.")
        self.length.longer = found.longer


def _told(config: ConfigFiles) -> Mapping[str, Any]:
    told = parsed(config.path, config.text)
    return told if isinstance(told, dict) else {}


def _kind(config: ConfigFiles) -> str:
    return _TEXT if program(config.path, config.text).startswith(_TEXT) else _DREAMBOOTH


def _has(config: ConfigFiles, scripts: Sequence[str], text: str | None = None) -> bool:
    """Whether the script is one of these dreambooth ones, or the text-to-image one that ends in `text`."""
    name = program(config.path, config.text)
    if name.startswith(_TEXT):
        return text is not None and name == _TEXT + text
    return name.removeprefix(_DREAMBOOTH).removeprefix("_") in scripts
