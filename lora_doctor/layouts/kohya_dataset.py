"""sd-scripts' dataset config, `[general]`, `[[datasets]]`, `[[datasets.subsets]]` -> subsets.

Source: kohya-ss/sd-scripts library/config_util.py (schema, generate_params_by_fallbacks: subset, dataset, general, then
the command line), library/train_util.py (DreamBoothDataset, read_caption, process_caption, BucketManager).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lora_doctor.errors import UsageError
from lora_doctor.layouts.copies import joined_copies
from lora_doctor.layouts.kohya_metadata import listed_subsets
from lora_doctor.layouts.places import RELATIVE, file_named, folder_named, is_relative
from lora_doctor.layouts.trigger_words import common_trigger, trigger_source
from lora_doctor.layouts.values import Layer, Section, unknown_keys
from lora_doctor.types import Layout, Subset

TRAINER = "sd-scripts"
EXTENSION = ".caption"
"""What captions end in where nothing says otherwise."""
_ANYWHERE = frozenset(
    (
        "color_aug", "face_crop_aug_range", "flip_aug", "num_repeats", "random_crop", "shuffle_caption", "keep_tokens",
        "keep_tokens_separator", "secondary_separator", "caption_separator", "enable_wildcard", "token_warmup_min",
        "token_warmup_step", "caption_prefix", "caption_suffix", "custom_attributes", "resize_interpolation",
        "caption_dropout_every_n_epochs", "caption_dropout_rate", "caption_tag_dropout_rate", "caption_extension",
        "class_tokens", "cache_info",
    )
)  # fmt: skip
OF_SUBSETS = _ANYWHERE | {"image_dir", "is_reg", "alpha_mask", "metadata_file", "conditioning_data_dir"}
_OF_GENERAL = _ANYWHERE | {
    "batch_size", "bucket_no_upscale", "bucket_reso_steps", "enable_bucket", "max_bucket_reso", "min_bucket_reso",
    "validation_seed", "validation_split", "resolution", "network_multiplier",
}  # fmt: skip
OF_DATASETS = _OF_GENERAL | {"subsets"}


@dataclass(slots=True)
class _Told:
    """What the notes tell of."""

    relative: bool = False
    no_extension: bool = False
    duplicates: int = 0
    secondary: bool = False
    kept_part: bool = False
    warmup: bool = False
    held_out: bool = False
    skipped_epochs: bool = False
    joined: int = 0
    known: list[tuple[Layer, frozenset[str]]] = field(default_factory=list)

    def notes(self, by_command: bool) -> list[str]:
        """In words; `by_command`: whether a command line, which is not known, may say more."""
        unless = ", unless the command line sets it" if by_command else ""
        told = [
            (self.relative, RELATIVE),
            (self.no_extension, f"caption_extension is not set: sd-scripts reads {EXTENSION} files alone{unless}."),
            (self.duplicates, f"{self.duplicates} subsets repeat a folder of the same [[datasets]]: sd-scripts ignores "
             "them."),
            (self.joined, "Folders that are listed in several [[datasets]] are one subset here, with the repeats of "
             "all of them and the largest resolution."),
            (self.secondary, "secondary_separator is set: what it joins is dropped as one token; captions are shown "
             "here before it is replaced."),
            (self.kept_part, "keep_tokens_separator is set: the tokens before it are kept, however many they are."),
            (self.warmup, "token_warmup_step is set: early in the training only the first tokens are used."),
            (self.skipped_epochs, "caption_dropout_every_n_epochs is set: it is counted as dropout of whole captions."),
            (self.held_out, "validation_split is set: some pictures are not trained on; which, is not known here."),
        ]  # fmt: skip
        does = "it stops at keys that it does not know"
        return [*(note for count, note in told if count), *unknown_keys(TRAINER, self.known, does)]


def read_dataset_config(path: Path, config: Mapping[str, Any], args: Section | None = None) -> Layout:
    """The layout of a dataset config at `path`; `args` are the settings of the command line, None = not known.

    Raises UsageError for values of a wrong type, for folders that do not exist, and where nothing is left.
    """
    outer = args.layers if args else ()
    lenient = args is not None and args.lenient
    top = Section(path, (("", config),))
    general = ("general", top.table("general"))
    told = _Told(known=[(general, _OF_GENERAL)])
    subsets: list[Subset] = []
    for layer in top.tables("datasets"):
        told.known.append((layer, OF_DATASETS))
        dataset = Section(path, (layer, general, *outer), lenient)
        subsets += _dataset(dataset, told, args)
    joined = joined_copies(subsets)
    told.joined = len(subsets) - len(joined)
    if not any(not subset.regularisation for subset in joined):
        advice = "Add [[datasets.subsets]] with image_dir."
        raise UsageError("names no folder of training pictures.", path=path, advice=advice)
    return Layout(
        trainer=TRAINER,
        subsets=joined,
        notes=tuple(told.notes(by_command=args is None)),
        trigger=common_trigger(joined),
        trigger_from=trigger_source(joined),
    )


def _dataset(dataset: Section, told: _Told, args: Section | None) -> list[Subset]:
    """The subsets of one `[[datasets]]`; of those with one folder, or one table, the first counts."""
    layers = dataset.tables("subsets")
    tables = ["metadata_file" in table for _, table in layers]
    if any(tables) and not all(tables):
        what = f"{dataset.place} has subsets with metadata_file and without, which sd-scripts refuses."
        raise UsageError(what, path=dataset.path, advice="Put them into different [[datasets]].")
    told.held_out |= bool(dataset.real("validation_split", 0.0, 1.0))
    seen: set[str] = set()
    found: list[Subset] = []
    for layer in layers:
        told.known.append((layer, OF_SUBSETS))
        subset = dataset.over(layer)
        name = _own(subset).text("metadata_file" if all(tables) else "image_dir")
        if not name:
            subset.refuse(layer[0], "metadata_file" if all(tables) else "image_dir", "the name of a folder", name)
        if _repeats(subset) > 0:  # one that is never shown does not count as the first
            if name in seen:
                told.duplicates += 1
                continue
            seen.add(name)
        found += _subsets(subset, dataset, name, told, args)
    return found


def _subsets(subset: Section, dataset: Section, name: str, told: _Told, args: Section | None) -> list[Subset]:
    own = _own(subset)
    told.relative |= is_relative(name)
    like = _like(subset, dataset, told, args)
    if own.text("metadata_file"):
        table = file_named(name, subset.path, f"{subset.place}.metadata_file", (".json", ".jsonl"))
        pictures = own.text("image_dir")
        told.relative |= is_relative(pictures)
        folder = folder_named(pictures, subset.path, f"{subset.place}.image_dir") if pictures else None
        return listed_subsets(table, folder, like)
    return [_of_folder(like, subset, own, folder_named(name, subset.path, f"{subset.place}.image_dir"), told)]


def _of_folder(like: dict[str, Any], subset: Section, own: Section, folder: Path, told: _Told) -> Subset:
    """A subset whose captions are files beside the pictures."""
    extension = subset.text("caption_extension")
    told.no_extension |= extension is None
    extension = EXTENSION if extension is None else extension
    if extension and not extension.startswith("."):
        extension = f".{extension}"
    words = subset.text("class_tokens")
    return Subset(
        folder=folder,
        caption_extensions=(extension,),
        class_tokens="" if words is None and (like["prefix"] or like["suffix"]) else words,
        regularisation=own.flag("is_reg") or False,
        **like,
    )


def _like(subset: Section, dataset: Section, told: _Told, args: Section | None) -> dict[str, Any]:
    """The fields of a subset that do not depend on where its captions are."""
    prefix, suffix = subset.text("caption_prefix"), subset.text("caption_suffix")
    wildcards = subset.flag("enable_wildcard") or False
    kept = subset.whole("keep_tokens", -(10**9))
    told.secondary |= bool(subset.text("secondary_separator"))
    told.kept_part |= bool(subset.text("keep_tokens_separator"))
    told.warmup |= bool(subset.real("token_warmup_step", 0.0))
    return {
        "source": f"{subset.path.name}, {subset.place}",
        "repeats": _repeats(subset),
        "caption_lines": "any" if wildcards else "first",
        "wildcards": wildcards,
        "prefix": f"{prefix} " if prefix else "",
        "suffix": f" {suffix}" if suffix else "",
        "separator": subset.text("caption_separator") or ",",
        "keep_tokens": max(0, kept or 0),
        "keep_separator": subset.text("keep_tokens_separator") or "",
        "shuffle": subset.flag("shuffle_caption") or False,
        "caption_token_dropout": subset.share("caption_tag_dropout_rate") or 0.0,
        "caption_dropout": _caption_dropout(subset, told),
        "max_tokens": _max_tokens(args),
        "random_crop": subset.flag("random_crop") or False,
        "obeys_orientation": False,
        **_buckets(dataset),
    }


def _repeats(subset: Section) -> int:
    repeats = subset.whole("num_repeats", -(10**9), 10**6)
    return 1 if repeats is None else max(0, repeats)


def _caption_dropout(subset: Section, told: _Told) -> float:
    """Probability that a whole caption is dropped: at a step, or with all of its epoch."""
    rate = subset.share("caption_dropout_rate") or 0.0
    every = subset.whole("caption_dropout_every_n_epochs", -(10**9)) or 0
    told.skipped_epochs |= every > 0
    return rate if every <= 0 else 1.0 - (1.0 - rate) * (1.0 - 1.0 / every)


def _max_tokens(args: Section | None) -> int | None:
    """What the command line says; 75 where it trains a LoRA of a model with CLIP and says nothing."""
    if args is None:
        return None
    if (length := args.whole("max_token_length", 1, 10**5)) is not None:
        return length
    return 75 if args.text("network_module") == "networks.lora" else None


def _buckets(dataset: Section) -> dict[str, Any]:
    buckets = dataset.flag("enable_bucket") or False
    upscales = not (dataset.flag("bucket_no_upscale") or False)
    bounds = dataset.whole("min_bucket_reso", 1, 2**16) or 256, dataset.whole("max_bucket_reso", 1, 2**16) or 1024
    step = dataset.whole("bucket_reso_steps", 1, 2**16) or 64
    return {
        "resolution": dataset.size("resolution"),
        "buckets": buckets,
        "bucket_step": step if buckets else None,
        # Without upscaling, sd-scripts makes a bucket for each picture and does not look at the bounds.
        "bucket_bounds": bounds if buckets and upscales else None,
        "upscales": upscales if buckets else True,
    }


def _own(subset: Section) -> Section:
    """What the subset says itself: its folder is nobody else's."""
    return Section(subset.path, subset.layers[:1], subset.lenient)
