"""OneTrainer (Nerogar): a config with `concepts` or `concept_file_name`, or the file of concepts itself; JSON.

Source: Nerogar/OneTrainer modules/util/config/ConceptConfig.py (defaults, and the names of older versions),
modules/dataLoader/mixin/DataLoaderMgdsMixin.py and DataLoaderText2ImageMixin.py, modules/dataLoader/*BaseDataLoader.py
(steps of buckets); Nerogar/mgds CollectPaths, LoadMultipleTexts, DropTags, ShuffleTags, AspectBucketing, LoadImage
(EXIF orientation is obeyed), ScaleCropImage, VariationSorting (balancing).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lora_doctor.errors import UsageError
from lora_doctor.layouts.config_text import parsed, read_text, tried
from lora_doctor.layouts.copies import joined_copies
from lora_doctor.layouts.folders import names_below
from lora_doctor.layouts.places import RELATIVE, file_named, folder_named, is_relative
from lora_doctor.layouts.values import Layer, Section, largest, unknown_keys
from lora_doctor.types import Layout, Subset

TRAINER = "OneTrainer"
MAX_PROMPTS = 2**16
"""Bytes of a concept's file of prompts, which all of its pictures have for a caption."""
_CONCEPT = frozenset(
    (
        "__version", "image", "text", "name", "path", "seed", "enabled", "type", "include_subdirectories",
        "image_variations", "text_variations", "balancing", "balancing_strategy", "loss_weight", "concept_stats",
        "repeats", "validation_concept",
    )
)  # fmt: skip
_TELLING = frozenset(("include_subdirectories", "balancing", "text_variations", "image_variations", "concept_stats"))
"""Keys by which a list of tables with `path` is known as concepts."""
_STEPS = (
    ("STABLE_DIFFUSION_3", 64), ("STABLE_DIFFUSION_XL", 64), ("STABLE_DIFFUSION_", 8), ("PIXART", 16), ("SANA", 32),
    ("WUERSTCHEN", 128), ("STABLE_CASCADE", 128),
)  # fmt: skip
"""Start of `model_type` -> step of its buckets' sides; 64 for all others."""
_CLIP_ALONE = ("STABLE_DIFFUSION_1", "STABLE_DIFFUSION_2", "STABLE_DIFFUSION_XL")
"""Start of `model_type` of families whose text encoders read 75 tokens."""


@dataclass(slots=True)
class _Told:
    """What the notes tell of."""

    notes: list[str] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    disabled: int = 0
    validation: int = 0


def recognises(path: Path, text: str | None) -> bool:
    """Whether this is a config of OneTrainer, or a list of its concepts; never raises."""
    value = tried(path, text) if path.suffix.lower() == ".json" else None
    if isinstance(value, list):
        return any(isinstance(one, dict) and "path" in one and _TELLING & one.keys() for one in value)
    if not isinstance(value, dict):
        return False
    return isinstance(value.get("concept_file_name"), str) or (isinstance(value.get("concepts"), list))


def read(path: Path, text: str | None) -> Layout:
    """The concepts that are trained on, regularisation among them.

    Raises UsageError for values of a wrong type, and folders and files that do not exist.
    """
    value = parsed(path, text or "")
    whole = value if isinstance(value, dict) else {"concepts": value}
    config = Section(path, (("", whole),), lenient=True)
    told = _Told()
    subsets = [subset for concept in _concepts(config, told) if (subset := _subset(concept, config, told)) is not None]
    if not any(not subset.regularisation for subset in subsets):
        advice = "Enable a concept of type STANDARD, or give the folder of its pictures."
        raise UsageError("has no concept that is trained on.", path=path, advice=advice)
    joined = joined_copies(subsets)
    does = "it ignores keys that it does not know"
    notes = [
        *dict.fromkeys(told.notes),
        *([f"{told.disabled} concepts are disabled."] if told.disabled else []),
        *([f"{told.validation} concepts are for validation, not for training."] if told.validation else []),
        *(["Concepts with the same pictures are one subset here."] if len(joined) < len(subsets) else []),
        *unknown_keys(TRAINER, [(layer, _CONCEPT) for layer in told.layers], does),
    ]
    return Layout(trainer=TRAINER, subsets=joined, notes=tuple(notes))


def _concepts(config: Section, told: _Told) -> list[Section]:
    """The concepts in the config, or in the file that it names."""
    layers = config.tables("concepts")
    path = config.path
    if config.layers[0][1].get("concepts") is None and (name := config.text("concept_file_name")):
        if is_relative(name):
            told.notes.append(RELATIVE)
        path = file_named(name, config.path, "concept_file_name", (".json",))
        layers = Section(path, (("", {"concepts": parsed(path, read_text(path))}),)).tables("concepts")
    told.layers += layers
    return [Section(path, (layer,), lenient=True) for layer in layers]


def _subset(concept: Section, config: Section, told: _Told) -> Subset | None:
    """The subset of a concept; None for one that is not trained on."""
    kind = concept.text("type") or ("VALIDATION" if concept.flag("validation_concept") else "STANDARD")
    if concept.flag("enabled") is False:
        told.disabled += 1
        return None
    if kind.rpartition(".")[2] == "VALIDATION":
        told.validation += 1
        return None
    name = concept.text("path")
    if not name:
        concept.refuse(concept.place, "path", "the name of a folder", name)
    if is_relative(name):
        told.notes.append(RELATIVE)
    folder = folder_named(name, concept.path, f"{concept.place}.path")
    recursive = concept.flag("include_subdirectories") or False
    return Subset(
        folder=folder,
        source=f"{concept.path.name}, {concept.place}",
        recursive=recursive,
        regularisation=kind.rpartition(".")[2] == "PRIOR_PREDICTION",
        obeys_orientation=True,
        max_tokens=75 if str(config.layers[0][1].get("model_type", "")).startswith(_CLIP_ALONE) else None,
        **_balancing(concept),
        **_captions(concept, folder, recursive, told),
        **_tags(concept, told),
        **_sizes(concept, config, told),
    )


def _balancing(concept: Section) -> dict[str, Any]:
    """How often its pictures are shown in an epoch: repeats, or so many samples of them."""
    amount = concept.real("balancing", 0.0, 1e6)
    amount = concept.real("repeats", 0.0, 1e6) if amount is None else amount
    amount = 1.0 if amount is None else amount
    strategy = (concept.text("balancing_strategy") or "REPEATS").rpartition(".")[2]
    if strategy not in ("REPEATS", "SAMPLES"):
        concept.refuse(concept.place, "balancing_strategy", "REPEATS or SAMPLES", strategy)
    if strategy == "REPEATS":
        return {"repeats": amount}
    return {"samples": float(int(amount))} if amount >= 1 else {"repeats": 0}


def _captions(concept: Section, folder: Path, recursive: bool, told: _Told) -> dict[str, Any]:
    """Where captions come from: files beside the pictures, one file for all, or the pictures' names."""
    text = _inner(concept, "text")
    source = text.text("prompt_source") or "sample"
    lines: dict[str, Any] = {"caption_lines": "any", "separator": text.text("tag_delimiter") or ","}
    if source == "sample":
        return {**lines, "caption_extensions": (".txt",)}
    if source == "filename":
        told.notes.append("Captions are the names of the pictures.")
        names = names_below(folder, recursive=recursive)
        captions = {name: os.path.splitext(os.path.basename(name))[0] for name in names}
        return {**lines, "caption_extensions": (), "captions": captions}
    if source != "concept":
        text.refuse(text.place, "prompt_source", "sample, concept or filename", source)
    name = text.text("prompt_path")
    if not name:
        text.refuse(text.place, "prompt_path", "the name of a text file", name)
    if is_relative(name):
        told.notes.append(RELATIVE)
    told.notes.append("All pictures of a concept have the captions of one file, any of its lines.")
    prompts = read_text(file_named(name, text.path, f"{text.place}.prompt_path", (".txt",)), limit=MAX_PROMPTS)
    return {**lines, "caption_extensions": (), "class_tokens": prompts.strip() or None}


def _tags(concept: Section, told: _Told) -> dict[str, Any]:
    """Shuffling and dropping; `FULL` drops all tags after those that are kept, together."""
    text = _inner(concept, "text")
    kept = text.whole("keep_tags_count", -(10**6))
    kept = 1 if kept is None else max(0, kept)
    rate = (text.share("tag_dropout_probability") or 0.0) if text.flag("tag_dropout_enable") else 0.0
    mode = text.text("tag_dropout_mode") or "FULL"
    whole = rate if mode == "FULL" and kept == 0 else 0.0
    single = rate if mode == "RANDOM" or (mode == "FULL" and kept) else 0.0
    if rate and mode == "RANDOM WEIGHTED":
        # The chance grows evenly from the first tag to the last, where it is `rate`.
        single = rate / 2
        told.notes.append("Tags are dropped the likelier the later they stand; the mean is shown.")
    if rate and mode == "FULL" and kept:
        told.notes.append("tag_dropout_mode FULL drops all tags but the kept ones together.")
    if rate and (text.text("tag_dropout_special_tags_mode") or "NONE") != "NONE":
        told.notes.append("Some tags are named that are never dropped, or that alone are.")
    return {
        "keep_tokens": kept,
        "shuffle": text.flag("enable_tag_shuffling") or False,
        "caption_token_dropout": single,
        "caption_dropout": whole,
    }


def _sizes(concept: Section, config: Section, told: _Told) -> dict[str, Any]:
    """Resolution and buckets: of the config, or the concept's own."""
    image = _inner(concept, "image")
    section, key = (
        (image, "resolution_override") if image.flag("enable_resolution_override") else (config, "resolution")
    )
    sizes = _sides(section, key)
    if len(sizes) > 1:
        told.notes.append("Pictures are trained at several resolutions, one chosen at each step; they are judged here "
                          "at the largest.")  # fmt: skip
    buckets = config.flag("aspect_ratio_bucketing")
    jitter = image.flag("enable_crop_jitter")
    family = str(config.layers[0][1].get("model_type", ""))
    step = next((step for start, step in _STEPS if family.startswith(start)), 64)
    return {
        "resolution": largest(sizes),
        "buckets": True if buckets is None else buckets,
        "bucket_step": step if buckets is not False and family else None,
        "upscales": True,
        "random_crop": True if jitter is None else jitter,
    }


def _sides(section: Section, key: str) -> list[tuple[int, int]]:
    """`1024`, `768,1024` or `1024x768`."""
    found = section.found(key)
    if found is None:
        return []
    text = str(found[1]) if isinstance(found[1], (int, str)) and not isinstance(found[1], bool) else ""
    if fixed := re.fullmatch(r"\s*(\d{1,5})\s*x\s*(\d{1,5})\s*", text):
        return [(int(fixed[1]), int(fixed[2]))]
    sides = [side.strip() for side in text.split(",")]
    if not all(side.isdecimal() and 1 <= len(side) <= 5 and int(side) for side in sides):
        section.refuse(found[0], key, "whole numbers of pixels", found[1])
    return [(int(side), int(side)) for side in sides[:100]]


def _inner(concept: Section, key: str) -> Section:
    """A table of a concept, by itself."""
    table: Mapping[str, Any] = concept.table(key)
    return Section(concept.path, ((f"{concept.place}.{key}", table),), lenient=True)
