"""Base models: a diffusers folder, a checkpoint or a hub id -> a pipeline, loaded safely, and its family."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from lora_doctor.base_classes import LEFT_OUT, WITH_WEIGHTS, family_of
from lora_doctor.base_folder import HALF, INDEX, check_folder, loaded_parts, read_json, uses_half_variant, weight_files
from lora_doctor.base_scheduler import check_sampler, make_scheduler, prediction_name
from lora_doctor.base_single_file import check_single_file, load_single_file, read_shapes, single_file_prediction
from lora_doctor.base_source import BaseSource, resolve_base
from lora_doctor.devices import machine_failures, release_memory, resolved
from lora_doctor.errors import InputRefused, UsageError, first_line
from lora_doctor.memory import check_mode, choose_memory, free_memory, part_bytes, place
from lora_doctor.render_defaults import DEFAULTS, RenderDefaults, distilled, render_defaults

__all__ = [
    "BaseSource",
    "RenderDefaults",
    "base_family",
    "load_pipeline",
    "pipeline_defaults",
    "pipeline_family",
    "render_defaults",
    "resolve_base",
]

MAX_CLIP_SKIP = 12
"""CLIP-L, the text encoder of SD1, has 12 layers."""
_BRAIN_FLOAT = ("sd3", "flux", "z-image", "qwen-image")
"""Families trained in bfloat16, whose activations overflow float16."""


def base_family(folder: Path) -> str:
    """`miniature`, `sd15`, `sd2`, `sdxl`, `sd3`, `flux`, `z-image`, `qwen-image` or `unknown`, by class and config.

    Raises InputRefused for a folder without a readable model_index.json, or, for Stable Diffusion, UNet config.
    """
    folder = Path(folder)
    pipeline = str(read_json(folder / INDEX, folder).get("_class_name"))
    width = None
    if family_of(pipeline) == "unknown":
        width = read_json(folder / "unet" / "config.json", folder).get("cross_attention_dim")
    return family_of(pipeline, width)


def pipeline_family(pipeline: Any) -> str:
    """The same as `base_family`, for a pipeline that is loaded already."""
    unet = getattr(pipeline, "unet", None)
    return family_of(type(pipeline).__name__, unet.config.cross_attention_dim if unet is not None else None)


def pipeline_defaults(pipeline: Any) -> RenderDefaults:
    """`render_defaults` of the pipeline's family, and for FLUX.1 schnell, which its config tells, 4 steps.

    Raises UsageError when there are none for the family.
    """
    return distilled(render_defaults(pipeline_family(pipeline)), pipeline)


@machine_failures("the base model is loaded")
def load_pipeline(
    base: str | Path | BaseSource,
    device: str = "auto",
    *,
    prediction_type: str | None = None,
    clip_skip: int | None = None,
    sampler: str | None = None,
    memory: str = "auto",
    adapted: Collection[str] = (),
    config: Path | None = None,
    announce: Callable[[str], None] | None = None,
) -> Any:
    """A diffusers pipeline in evaluation mode on `device` (`auto`, `cpu`, `cuda`, `cuda:1` ...), ready to render.

    `base`, `config` and `announce` are those of `resolve_base`, whose result may be given as `base`. Weights come from
    .safetensors files alone and no code of the model's own is run. Half precision on CUDA, except for the miniature,
    which is too small to gain by it.

    `prediction_type` and `sampler` (a scheduler class) override the family's: see
    `make_scheduler`. `clip_skip` counts as trainers do (1 = the last layer, 2 = the last but one); it is kept as
    `pipeline.text_encoder.config.clip_skip` for the prompt encoding, and only for Stable Diffusion 1 and 2: the other
    families have their layer fixed. `memory` is auto, full, tiled, offload or sequential: see `choose_memory`, and for
    `adapted` too, what the LoRA will be merged into.

    Raises InputRefused for what cannot be loaded safely or at all, EnvironmentFailure when the hub cannot deliver or
    the device is not there or fails or memory runs out, UsageError for an option that does not exist.
    """
    _check_options(prediction_type, clip_skip, sampler, memory)
    source = base if isinstance(base, BaseSource) else resolve_base(base, announce, config=config)
    goal = resolved(device)
    release_memory()
    free = free_memory(goal)  # before gigabytes are read: the device may not be there
    if source.kind == "file":
        pipeline, family, sizes, marked = _load_file(source, goal)
        prediction_type = prediction_type or marked
    else:
        pipeline, family, sizes = _load_folder(source.path, goal)
    chosen = sampler or (DEFAULTS[family].sampler if family in DEFAULTS else "folder")
    pipeline.scheduler = make_scheduler(pipeline.scheduler, family, chosen, prediction_type=prediction_type)
    pipeline.set_progress_bar_config(disable=True)
    if clip_skip is not None and type(pipeline).__name__ == "StableDiffusionPipeline":
        pipeline.text_encoder.config.clip_skip = clip_skip
    if memory == "auto":
        memory = "full" if free is None else choose_memory(free, sizes, family, adapted)
    side = DEFAULTS[family].width if family in DEFAULTS else None
    return place(pipeline, memory, goal, side=side)  # type: ignore[arg-type]  # checked above


def _check_options(prediction_type: str | None, clip_skip: int | None, sampler: str | None, memory: str) -> None:
    prediction_name(prediction_type)
    check_mode(memory)
    if sampler is not None:
        check_sampler(sampler)
    if clip_skip is not None and not 1 <= clip_skip <= MAX_CLIP_SKIP:
        raise UsageError(f"clip skip is a layer from 1 (the last) to {MAX_CLIP_SKIP}, not {clip_skip}")


def _dtype(device: str, family: str) -> Any:
    import torch

    if not device.startswith("cuda") or family == "miniature":
        return torch.float32
    return torch.bfloat16 if family in _BRAIN_FLOAT else torch.float16


def _load_folder(folder: Path, device: str) -> tuple[Any, str, dict[str, int]]:
    """(pipeline on the CPU, family, bytes per part)."""
    index = check_folder(folder)
    family = base_family(folder)
    dtype = _dtype(device, family)
    parts = {name: weight_files(folder / name, folder) for name, kind in loaded_parts(index) if kind in WITH_WEIGHTS}
    return _from_folder(folder, index, dtype), family, part_bytes(parts, dtype.itemsize)


def _load_file(source: BaseSource, device: str) -> tuple[Any, str, dict[str, int], str | None]:
    """(pipeline on the CPU, family, bytes per part, prediction type that the file marks itself with)."""
    shapes = read_shapes(source.path)
    family, pipeline_class, _ = check_single_file(source.path, shapes)
    if source.config is None:
        raise InputRefused("a checkpoint needs a folder with its configs and tokenizers", path=source.path)
    _quiet()
    dtype = _dtype(device, family)
    pipeline = load_single_file(source.path, pipeline_class, source.config, dtype)
    parts = {name: part for name, part in pipeline.components.items() if hasattr(part, "parameters")}
    sizes = {name: sum(p.numel() * dtype.itemsize for p in part.parameters()) for name, part in parts.items()}
    return pipeline, family, sizes, single_file_prediction(shapes)


def _quiet() -> None:
    import diffusers
    import transformers

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _from_folder(folder: Path, index: dict[str, Any], dtype: Any) -> Any:
    import diffusers

    _quiet()
    # What the index has as null is passed on as such: diffusers counts SD3's absent third encoder as forgotten.
    absent = (name for name, value in index.items() if name in LEFT_OUT or value == [None, None])
    options: dict[str, Any] = dict.fromkeys(absent)
    if uses_half_variant(folder, index):
        options["variant"] = HALF
    if index["_class_name"] == "StableDiffusionPipeline":
        options |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    try:
        return getattr(diffusers, index["_class_name"]).from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True, trust_remote_code=False, **options
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise InputRefused(f"the base model does not load: {first_line(error)}", path=folder) from error
