"""Base models: a diffusers folder or hub id -> a pipeline, loaded safely, and what each family renders with."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_doctor.errors import EnvironmentFailure, InputRefused, UsageError

PIPELINE_CLASSES = ("StableDiffusionPipeline", "StableDiffusionXLPipeline")
COMPONENT_LIBRARIES = ("diffusers", "transformers", "stable_diffusion")
"""Where a component's class may come from; anything else would be code that ships with the model."""
WEIGHT_FOLDERS = ("unet", "vae", "text_encoder", "text_encoder_2")
FAMILIES = {128: "miniature", 768: "sd15", 1024: "sd2", 2048: "sdxl"}
"""Width of the text the UNet attends to -> family."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderDefaults:
    """What a family is rendered with unless the settings say otherwise."""

    steps: int
    guidance: float
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    negative_prompt: str
    sampler: str
    """Scheduler class, or `folder` = the scheduler that the base model's own folder names."""


_QUALITY = "lowres, worst quality, low quality"
_SOLVER = "DPMSolverMultistepScheduler"
_DEFAULTS = {
    "miniature": RenderDefaults(steps=16, guidance=3.0, width=64, height=64, negative_prompt="", sampler="folder"),
    "sd15": RenderDefaults(steps=25, guidance=7.0, width=512, height=512, negative_prompt=_QUALITY, sampler=_SOLVER),
    "sd2": RenderDefaults(steps=25, guidance=7.0, width=768, height=768, negative_prompt=_QUALITY, sampler=_SOLVER),
    "sdxl": RenderDefaults(steps=25, guidance=6.0, width=1024, height=1024, negative_prompt=_QUALITY, sampler=_SOLVER),
}


def render_defaults(family: str) -> RenderDefaults:
    """The defaults of `family`; UsageError when lora-doctor has none for it."""
    if family not in _DEFAULTS:
        raise UsageError(
            f"there are no render defaults for a base model of family `{family}`",
            advice=f"Known families: {', '.join(_DEFAULTS)}.",
        )
    return _DEFAULTS[family]


def base_family(folder: Path) -> str:
    """`miniature`, `sd15`, `sd2`, `sdxl` or `unknown`, from the folder's UNet config; InputRefused without one."""
    path = Path(folder) / "unet" / "config.json"
    return _family_of(_read_json(path, Path(folder)).get("cross_attention_dim"))


def pipeline_family(pipeline: Any) -> str:
    """The same as `base_family`, for a pipeline that is loaded already."""
    return _family_of(pipeline.unet.config.cross_attention_dim)


def _family_of(width: object) -> str:
    return FAMILIES.get(width, "unknown") if isinstance(width, int) else "unknown"


def load_pipeline(base: str | Path, device: str = "auto") -> Any:
    """A diffusers pipeline in evaluation mode on `device` (`auto`, `cpu`, `cuda`, `cuda:1` ...), ready to render.

    `base` is a diffusers folder or a hub id (`owner/name`). Weights come from .safetensors files alone and no code of
    the model's own is run. Half precision on CUDA, except for the miniature, which is too small to gain by it.
    Raises InputRefused for what is not a Stable Diffusion folder, EnvironmentFailure when the hub cannot deliver.
    """
    import torch

    folder = _local_folder(base)
    index = _check_folder(folder)
    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    family = base_family(folder)
    half = place.startswith("cuda") and family != "miniature"
    pipeline = _from_folder(folder, index, torch.float16 if half else torch.float32)
    pipeline.scheduler = _scheduler(pipeline.scheduler, family)
    pipeline.set_progress_bar_config(disable=True)
    if half:
        pipeline.vae.enable_slicing()
    try:
        return pipeline.to(place)
    except (RuntimeError, AssertionError) as error:
        raise EnvironmentFailure(f"the base model does not go to device `{place}`: {_first_line(error)}") from error


def _local_folder(base: str | Path) -> Path:
    """The folder itself, or where the hub's files lie once they are here."""
    folder = Path(base)
    if folder.is_dir():
        return folder
    parts = str(base).split("/")
    if isinstance(base, Path) or len(parts) != 2 or not all(parts) or parts[0] in (".", "..", "~"):
        raise InputRefused("no such base model folder", path=base, advice="Set `base` to a diffusers folder.")
    return _download(str(base))


def _download(hub_id: str) -> Path:
    from diffusers import DiffusionPipeline
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(DiffusionPipeline.download(hub_id, use_safetensors=True, trust_remote_code=False))
    except HFValidationError as error:
        raise InputRefused("neither a folder nor a hub id", path=hub_id) from error
    except (OSError, ValueError) as error:
        raise EnvironmentFailure(
            f"the base model is not a folder here and could not be had from the hub: {_first_line(error)}",
            path=hub_id,
            advice="Go online, or set `base` to a local diffusers folder.",
        ) from error


def _check_folder(folder: Path) -> dict[str, Any]:
    """model_index.json, after its classes were found harmless and its weights to be safetensors."""
    index = _read_json(folder / "model_index.json", folder)
    if index.get("_class_name") not in PIPELINE_CLASSES:
        raise InputRefused(
            f"this is a `{index.get('_class_name')}`", path=folder, advice=f"Known: {', '.join(PIPELINE_CLASSES)}."
        )
    for name, value in index.items():
        if isinstance(value, list) and value and value[0] not in (None, *COMPONENT_LIBRARIES):
            raise InputRefused(
                f"its `{name}` comes with code of its own (`{value[0]}`), which is never run", path=folder
            )
    for name in WEIGHT_FOLDERS:
        used = isinstance(index.get(name), list) and index[name][0] is not None
        if used and not any((folder / name).glob("*.safetensors")):
            raise InputRefused(
                f"its `{name}` has no .safetensors weights", path=folder, advice="Pickled weights are never loaded."
            )
    return index


def _read_json(path: Path, folder: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        what = f"not a diffusers pipeline folder: {path.relative_to(folder)} is missing or unreadable"
        raise InputRefused(what, path=folder) from error
    if not isinstance(content, dict):
        raise InputRefused(f"not a diffusers pipeline folder: {path.relative_to(folder)} is not an object", path=folder)
    return content


def _from_folder(folder: Path, index: dict[str, Any], dtype: Any) -> Any:
    import diffusers
    import transformers

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]

    options: dict[str, Any] = {}
    if index["_class_name"] == "StableDiffusionPipeline":
        # The checker blacks images out; a check-up must see what the LoRA draws.
        options = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    try:
        return getattr(diffusers, index["_class_name"]).from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True, trust_remote_code=False, **options
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise InputRefused(f"the base model does not load: {_first_line(error)}", path=folder) from error


def _scheduler(scheduler: Any, family: str) -> Any:
    """The family's sampler, built from the folder's own config.

    `clip_sample` is True by default in diffusers' DDIM and DDPM schedulers; clipping to [-1, 1] suits pixels and turns
    latents into coloured noise, so it is switched off with a warning wherever a folder leaves it on.
    """
    import diffusers

    config = dict(scheduler.config)
    clipped = [name for name in ("clip_sample", "thresholding") if config.get(name)]
    if clipped:
        warnings.warn(f"the base model's scheduler has {' and '.join(clipped)} on; switched off", stacklevel=3)
    changes: dict[str, Any] = dict.fromkeys(clipped, False)
    sampler = _DEFAULTS[family].sampler if family in _DEFAULTS else "folder"
    if sampler == "folder":
        return type(scheduler).from_config(config, **changes) if changes else scheduler
    if config.get("rescale_betas_zero_snr"):
        changes["timestep_spacing"] = "trailing"  # any other spacing never visits the terminal step
    return getattr(diffusers, sampler).from_config(config, **changes)


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
