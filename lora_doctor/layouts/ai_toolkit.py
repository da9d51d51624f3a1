"""ai-toolkit (ostris): a job in YAML or JSON, `config.process[].datasets[]`.

Source: ostris/ai-toolkit toolkit/config.py (preprocess_config: `[name]`), toolkit/config_modules.py (DatasetConfig,
preprocess_dataset_raw_config: a copy of the folder for each resolution), toolkit/data_loader.py (sub-folders are read,
EXIF orientation is obeyed), toolkit/dataloader_mixins.py and prompt_utils.py (captions), toolkit/buckets.py (no picture
is enlarged), jobs/process/BaseSDTrainProcess.py (the job's trigger word where a dataset has none).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lora_doctor.errors import UsageError
from lora_doctor.layouts.config_text import table_of, tried
from lora_doctor.layouts.copies import joined_copies
from lora_doctor.layouts.places import RELATIVE, folder_named, is_relative
from lora_doctor.layouts.trigger_words import common_trigger, trigger_source
from lora_doctor.layouts.values import Layer, Section, largest, unknown_keys
from lora_doctor.types import Layout, Subset

TRAINER = "ai-toolkit"
ENDINGS = (".yaml", ".yml", ".json", ".jsonc")
_KNOWN = frozenset(
    (
        "batch_size", "type", "folder_path", "dataset_path", "default_caption", "trigger_word", "random_triggers",
        "random_triggers_max", "caption_ext", "caption_type", "random_scale", "random_crop", "resolution", "scale",
        "buckets", "bucket_tolerance", "is_reg", "prior_reg", "network_weight", "token_dropout_rate", "shuffle_tokens",
        "caption_dropout_rate", "keep_tokens", "flip_x", "flip_y", "augments", "control_path", "control_path_1",
        "control_path_2", "control_path_3", "control_from_same_folder", "num_controls_from_same_folder",
        "control_transparent_color", "inpaint_path", "full_size_control_images", "alpha_mask", "mask_path",
        "unconditional_path", "invert_mask", "mask_min_value", "poi", "use_short_captions", "num_repeats",
        "cache_latents", "cache_latents_to_disk", "cache_tensors_to_disk", "cache_clip_vision_to_disk",
        "cache_text_embeddings", "load_image_when_caching_latents", "standardize_images", "augmentations",
        "shuffle_augmentations", "guidance_type", "clip_image_path", "clip_image_from_same_folder",
        "clip_image_augmentations", "clip_image_shuffle_augmentations", "replacements", "loss_multiplier",
        "num_workers", "prefetch_factor", "cache_latents_num_workers", "extra_values", "square_crop",
        "replay_transforms", "num_frames", "shrink_video_to_frames", "fps", "auto_frame_count",
        "trim_auto_frame_count_tail", "debug", "controls", "fast_image_size", "do_i2v", "do_audio",
        "audio_preserve_pitch", "audio_normalize", "diff_output_preservation", "diff_output_preservation_class",
    )
)  # fmt: skip


def recognises(path: Path, text: str | None) -> bool:
    """Whether this is a job with processes; never raises."""
    if path.suffix.lower() not in ENDINGS or text is None or "process" not in text:
        return False
    config = tried(path, text)
    return isinstance(config, dict) and isinstance(config.get("config"), dict) and "process" in config["config"]


def read(path: Path, text: str | None) -> Layout:
    """The subsets of all processes. Raises UsageError for values of a wrong type and folders that do not exist."""
    whole = table_of(path, text or "")
    config = Section(path, (("config", Section(path, (("", whole),)).table("config")),))
    name = config.text("name") or ""
    told = _Told()
    subsets = [
        subset
        for layer in config.tables("process")
        for subset in _of_process(Section(path, (layer,)), name, told)
    ]  # fmt: skip
    if not any(not subset.regularisation for subset in subsets):
        raise UsageError("names no folder of training pictures.", path=path, advice="Add datasets with folder_path.")
    joined = joined_copies(subsets)
    if len(joined) < len(subsets):
        told.notes.append("Folders that are listed several times are one subset here, with the repeats of all of them.")
    notes = [*dict.fromkeys(told.notes), *unknown_keys(TRAINER, [(each, _KNOWN) for each in told.layers],
                                                       "it ignores keys that it does not know")]  # fmt: skip
    return Layout(
        trainer=TRAINER, subsets=joined, notes=tuple(notes), trigger=common_trigger(joined),
        trigger_from=trigger_source(joined),
    )  # fmt: skip


class _Told:
    """What the notes tell of."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.layers: list[Layer] = []


def _of_process(process: Section, name: str, told: _Told) -> list[Subset]:
    """The subsets of one process; its trigger word counts where a dataset has none."""
    trigger = process.text("trigger_word")
    train = Section(process.path, ((f"{process.place}.train", process.table("train")),))
    cached = train.flag("cache_text_embeddings") or False
    found = []
    for layer in process.tables("datasets"):
        told.layers.append(layer)
        dataset = Section(process.path, (layer,))
        found.append(_subset(dataset, name, dataset.text("trigger_word") or trigger, cached, told))
    return found


def _subset(dataset: Section, name: str, trigger: str | None, cached: bool, told: _Told) -> Subset:
    cached = cached or dataset.flag("cache_text_embeddings") or False
    _tell(dataset, cached, told)
    sizes = _sizes(dataset)
    buckets = dataset.flag("buckets")
    subset = Subset(
        folder=_folder(dataset, name, told),
        source=f"{dataset.path.name}, {dataset.place}",
        recursive=True,
        repeats=_repeats(dataset) * _copies(dataset) * len(sizes),
        unit=_copies(dataset) * len(sizes),
        regularisation=dataset.flag("is_reg") or False,
        caption_extensions=(_extension(dataset),),
        caption_key="caption" if _extension(dataset) == ".json" else None,
        class_tokens=dataset.text("default_caption") or ("" if trigger else None),
        trigger=trigger or "",
        keep_tokens=dataset.whole("keep_tokens", -(10**9)) or 0,
        shuffle=dataset.flag("shuffle_tokens") or False,
        caption_token_dropout=0.0 if cached else dataset.share("token_dropout_rate") or 0.0,
        caption_dropout=dataset.share("caption_dropout_rate") or 0.0,
        resolution=largest([(side, side) for side in sizes]),
        buckets=True if buckets is None else buckets and not (dataset.flag("square_crop") or False),
        upscales=False,
        random_crop=dataset.flag("random_crop") or dataset.flag("random_scale") or False,
        obeys_orientation=True,
    )
    if dataset.flag("square_crop"):
        return replace(subset, buckets=False, upscales=True)
    return subset if subset.buckets else replace(subset, upscales=True)


def _folder(dataset: Section, name: str, told: _Told) -> Path:
    key = "dataset_path" if dataset.text("dataset_path") else "folder_path"
    named = (dataset.text(key) or "").replace("[name]", name)
    if not named:
        dataset.refuse(dataset.place, key, "the name of a folder", None)
    if "${" in named:
        what = f"{dataset.place}.{key} is told by an environment variable, which is not looked up."
        raise UsageError(what, path=dataset.path, advice="Write the folder out.")
    if is_relative(named):
        told.notes.append(RELATIVE)
    return folder_named(named, dataset.path, f"{dataset.place}.{key}")


def _sizes(dataset: Section) -> list[int]:
    """The sides it is trained at, one copy of the pictures for each."""
    found = dataset.found("resolution")
    sides = found[1] if found is not None and isinstance(found[1], list) else [512 if found is None else found[1]]
    one = (Section(dataset.path, ((dataset.place, {"resolution": side}),)).whole("resolution", 1, 2**16)
           for side in sides[:100])  # fmt: skip
    return [side for side in one if side] or [512]


def _repeats(dataset: Section) -> int:
    return max(1, dataset.whole("num_repeats", -(10**9), 10**6) or 1)


def _copies(dataset: Section) -> int:
    """How often each repeat puts a picture into the list: mirrored copies beside it."""
    return (2 if dataset.flag("flip_x") else 1) * (2 if dataset.flag("flip_y") else 1)


def _extension(dataset: Section) -> str:
    old, extension = dataset.text("caption_type"), dataset.text("caption_ext")
    if old:
        return old
    return ".txt" if extension is None else extension if extension.startswith(".") or not extension else f".{extension}"


def _tell(dataset: Section, cached: bool, told: _Told) -> None:
    """Notes on what is easily overlooked."""
    several: Mapping[str, Any] = dict(dataset.layers[0][1])
    kept, shuffled = dataset.whole("keep_tokens", -(10**9)), dataset.flag("shuffle_tokens")
    notes = [
        (_extension(dataset) == ".json", "Caption files in JSON are read here as ai-toolkit did until June 2026: their "
         "`caption`. Since then it shows the whole file to the model, braces and all: save them as .txt."),
        (isinstance(several.get("resolution"), list) and len(several["resolution"]) > 1, "Pictures are trained at "
         "several resolutions, once at each; they are judged here at the largest."),
        (shuffled and kept, "keep_tokens does not keep tokens from being shuffled, only from being dropped."),
        (shuffled, "shuffle_tokens shuffles the trigger word as well."),
        (cached and (dataset.share("token_dropout_rate") or 0) > 0, "token_dropout_rate does nothing while text "
         "embeddings are cached."),
        (dataset.flag("is_reg"), "Every other step trains on regularisation pictures, however many there are."),
        (several.get("random_triggers"), "random_triggers are put behind captions; they are not shown here."),
        ((dataset.share("caption_dropout_rate") or 0) > 0 and not cached, "A dropped caption loses the trigger word, "
         "too."),
    ]  # fmt: skip
    told.notes += [note for holds, note in notes if holds]
