"""SimpleTuner (bghira): multidatabackend.json, a list of backends, or the config.json (or .toml) that names it.

Source: bghira/SimpleTuner documentation/DATALOADER.md, helpers/data_backend/factory.py and config/image.py (defaults;
the trainer's config is asked where a backend does not say), helpers/prompts.py (captions), helpers/configuration/
cmd_args.py (multidatabackend.json beside the config), helpers/data_backend/local.py (sub-folders are read),
helpers/image_manipulation/training_sample.py (EXIF orientation is obeyed).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lora_doctor.errors import UsageError
from lora_doctor.layouts.config_text import parsed, read_text, tried
from lora_doctor.layouts.copies import joined_copies
from lora_doctor.layouts.folders import names_below
from lora_doctor.layouts.places import RELATIVE, file_named, folder_named, is_relative
from lora_doctor.layouts.trigger_words import common_trigger, trigger_source
from lora_doctor.layouts.values import Section
from lora_doctor.types import Layout, Subset

TRAINER = "SimpleTuner"
BACKENDS = "multidatabackend.json"
"""Where backends are looked for when the config does not say."""
_BACKEND_KEYS = frozenset(("instance_data_dir", "dataset_type", "metadata_backend", "caption_strategy"))
_NO_PICTURES = ("text_embeds", "image_embeds", "conditioning_image_embeds", "conditioning", "eval", "caption", "audio",
                "video", "grounding", "distillation_cache")  # fmt: skip
_SEPARATORS = {"comma": ",", "space": " ", "period": "."}


@dataclass(slots=True)
class _Told:
    """What the notes tell of."""

    notes: list[str] = field(default_factory=list)
    disabled: int = 0
    elsewhere: int = 0


def recognises(path: Path, text: str | None) -> bool:
    """Whether this is a list of backends, or a config of SimpleTuner; never raises."""
    value = tried(path, text) if path.suffix.lower() in (".json", ".toml") else None
    if isinstance(value, list):
        return any(isinstance(one, dict) and "id" in one and _BACKEND_KEYS & one.keys() for one in value)
    if not isinstance(value, dict):
        return False
    keys = {key.lstrip("-") for key in value}
    return "data_backend_config" in keys or {"model_family", "model_type"} <= keys


def read(path: Path, text: str | None) -> Layout:
    """The backends with pictures on this disk that are trained on.

    Raises UsageError for values of a wrong type, and folders and files that do not exist.
    """
    value = parsed(path, text or "")
    told = _Told()
    settings: dict[str, Any] = {}
    if isinstance(value, dict):
        settings = {str(key).lstrip("-"): one for key, one in value.items()}
        path, value = _backends(path, Section(path, (("", settings),), lenient=True), told)
    layers = Section(path, (("", {"backends": value}),)).tables("backends")
    around = ("the trainer's config", settings)
    backends = [Section(path, ((place.removeprefix("backends"), table), around), True) for place, table in layers]
    subsets = [subset for backend in backends if (subset := _subset(backend, told)) is not None]
    if not any(not subset.regularisation for subset in subsets):
        advice = "Enable a backend of type local with instance_data_dir, or give the folder of its pictures."
        raise UsageError("has no backend with pictures on this disk.", path=path, advice=advice)
    joined = joined_copies(subsets)
    notes = [
        *dict.fromkeys(told.notes),
        *([f"{told.disabled} backends are disabled."] if told.disabled else []),
        *([f"{told.elsewhere} backends have their pictures elsewhere than on this disk: they are not looked at."]
          if told.elsewhere else []),
        *(["Backends with the same pictures are one subset here, with the repeats of all of them."]
          if len(joined) < len(subsets) else []),
    ]  # fmt: skip
    return Layout(
        trainer=TRAINER, subsets=joined, notes=tuple(notes), trigger=common_trigger(joined),
        trigger_from=trigger_source(joined),
    )  # fmt: skip


def _backends(path: Path, config: Section, told: _Told) -> tuple[Path, Any]:
    """The file of backends that a config names, and what it says."""
    name = config.text("data_backend_config") or BACKENDS
    if is_relative(name) and name != BACKENDS:
        told.notes.append(RELATIVE)
    file = file_named(name, path, "data_backend_config", (".json",))
    return file, parsed(file, read_text(file))


def _subset(backend: Section, told: _Told) -> Subset | None:
    """The subset of a backend; None for one that is not trained on, or not here."""
    own = Section(backend.path, backend.layers[:1], lenient=True)
    if own.flag("disabled") or own.flag("disable"):
        told.disabled += 1
        return None
    if (own.text("dataset_type") or "image") in _NO_PICTURES:
        return None
    if (own.text("type") or "local") != "local":
        told.elsewhere += 1
        return None
    name = own.text("instance_data_dir")
    if not name:
        own.refuse(own.place, "instance_data_dir", "the name of a folder", name)
    if is_relative(name):
        told.notes.append(RELATIVE)
    folder = folder_named(name, own.path, f"{own.place}.instance_data_dir")
    _tell(own, told)
    return Subset(
        folder=folder,
        source=f"{own.path.name}, {own.text('id') or own.place}",
        recursive=True,
        repeats=(own.whole("repeats", 0, 10**6) or 0) + 1,
        counts_from=0,
        regularisation=_regularisation(own),
        caption_dropout=backend.share("caption_dropout_probability"),
        caption_token_dropout=0.0,
        obeys_orientation=True,
        **_shuffle(own),
        **_captions(backend, folder, told),
        **_sizes(backend),
    )


def _regularisation(own: Section) -> bool:
    return own.flag("is_regularisation_data") or own.flag("is_regularization_data") or False


def _captions(backend: Section, folder: Path, told: _Told) -> dict[str, Any]:
    """Where captions come from: text files, the pictures' names, or one prompt for all."""
    strategy = backend.text("caption_strategy") or "filename"
    prompts = _prompts(backend)
    if strategy == "instanceprompt" or backend.flag("only_instance_prompt"):
        if not prompts:
            backend.refuse(backend.place, "instance_prompt", "a text", None)
        return {"caption_extensions": (), "class_tokens": "\n".join(prompts), "caption_lines": "any"}
    prefix = ""
    if backend.flag("prepend_instance_prompt"):
        if not prompts:
            backend.refuse(backend.place, "instance_prompt", "a text", None)
        prefix = f"{prompts[0]} "
    if strategy == "textfile":
        told.notes.append(
            "SimpleTuner stops at a picture without a .txt file; each line of one is a caption of its own."
        )
        whole = backend.flag("disable_multiline_split") or False
        return {"caption_extensions": (".txt",), "caption_lines": "whole" if whole else "any", "prefix": prefix}
    if strategy == "filename":
        told.notes.append("Captions are the names of the pictures: caption files are not read.")
        names = names_below(folder, recursive=True)
        captions = {name: os.path.splitext(os.path.basename(name))[0].replace("_", " ") for name in names}
        return {"caption_extensions": (), "captions": captions, "prefix": prefix}
    what = f"{backend.place}.caption_strategy is {strategy!r}, which is not read here."
    raise UsageError(what, path=backend.path, advice="Write the captions to .txt files and use textfile.")


def _prompts(backend: Section) -> list[str]:
    """`instance_prompt`: a text, or a list of which one is chosen each time."""
    found = backend.found("instance_prompt")
    if found is not None and isinstance(found[1], list) and all(isinstance(one, str) for one in found[1]):
        return [" ".join(one.split())[:1000] for one in found[1][:32] if one.strip()]
    text = backend.text("instance_prompt")
    return [" ".join(text.split())] if text and text.strip() else []


def _shuffle(own: Section) -> dict[str, Any]:
    """Shuffled copies of captions, made before training."""
    shuffle = Section(own.path, ((f"{own.place}.caption_shuffle", own.table("caption_shuffle")),), lenient=True)
    if not shuffle.flag("enable"):
        return {"shuffle": False}
    separator = _SEPARATORS.get(shuffle.text("split_on") or "comma")
    if separator is None:
        shuffle.refuse(shuffle.place, "split_on", "comma, space or period", shuffle.text("split_on"))
    return {"shuffle": True, "keep_tokens": shuffle.whole("position_start") or 0, "separator": separator}


def _sizes(backend: Section) -> dict[str, Any]:
    """Resolution as the side of a square of its area, and how pictures are cut."""
    kind = backend.text("resolution_type") or "pixel_area"
    if kind not in ("pixel", "area", "pixel_area"):
        backend.refuse(backend.place, "resolution_type", "pixel, area or pixel_area", kind)
    amount = backend.real("resolution", 0.0, 2**16)
    side = None if not amount else round(math.sqrt(amount * 1e6)) if kind == "area" else round(amount)
    cut = backend.flag("crop") or False
    buckets = not cut or (backend.text("crop_aspect") or "square") != "square"
    return {
        "resolution": (side, side) if side else None,
        "buckets": buckets,
        "bucket_step": (backend.whole("aspect_bucket_alignment", 1, 1024) or 64) if buckets else None,
        "upscales": True,
        "random_crop": cut and (backend.text("crop_style") or "random") == "random",
    }


def _tell(own: Section, told: _Told) -> None:
    """Notes on what is easily overlooked."""
    table: Mapping[str, Any] = own.layers[0][1]
    limits = ("minimum_image_size", "minimum_aspect_ratio", "maximum_aspect_ratio", "max_num_samples")
    if any(table.get(key) for key in limits):
        told.notes.append("Some pictures are left out of the training by their size, shape or number; which, is not "
                          "looked at here.")  # fmt: skip
    if own.real("probability", 0.0, 1e6) not in (None, 1.0):
        told.notes.append("probability says when a backend's pictures come, repeats how often in an epoch.")
