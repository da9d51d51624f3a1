"""The base model of a check-up: which one, loaded the way the LoRA was trained, and whether the two belong together."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from lora_doctor.base_models import BaseSource, load_pipeline, pipeline_defaults, pipeline_family, resolve_base
from lora_doctor.errors import InputRefused, UsageError
from lora_doctor.lora_base import BaseGuess, base_called, describe_base, predicted_by
from lora_doctor.lora_file import guess_family
from lora_doctor.plugins import data_folder
from lora_doctor.settings import RenderSettings, Settings
from lora_doctor.types import LoraFile

MINIATURE = "miniature"
AUTO = "auto"
DEFAULT_BASES: Mapping[str, str] = {
    MINIATURE: MINIATURE,
    "sd15": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
    "flux": "black-forest-labs/FLUX.1-dev",
    "z-image": "Tongyi-MAI/Z-Image-Turbo",
    "qwen-image": "Qwen/Qwen-Image",
}
"""What `base = "auto"` means for each family; Stable Diffusion 2 is no longer on the hub under its makers' name."""
SD3_BASES: Mapping[str, str] = {
    "sd-3-medium": "stabilityai/stable-diffusion-3-medium-diffusers",
    "sd-3.5-medium": "stabilityai/stable-diffusion-3.5-medium",
    "sd-3.5-large": "stabilityai/stable-diffusion-3.5-large",
    "sd-3.5-large-turbo": "stabilityai/stable-diffusion-3.5-large-turbo",
}
"""The same for Stable Diffusion 3, whose sizes do not take each other's LoRAs."""
_SKIPS_LAYERS = ("sd15", "sd2")
_PREDICTS = ("sd15", "sd2", "sdxl")


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """A base model, ready to render."""

    pipeline: Any
    source: BaseSource
    family: str
    options: Mapping[str, Any]
    """What was asked for beyond the family's defaults: prediction type, clip skip, sampler."""

    @property
    def name(self) -> str:
        """Fit to be shown: without folders, a hub id with its commit."""
        return self.source.name if self.family != MINIATURE else MINIATURE

    @property
    def memory(self) -> str:
        """The memory mode it is laid out in, as `memory.place` left it."""
        return str(self.pipeline.memory_mode)


def open_base(settings: Settings, lora: LoraFile, announce: Callable[[str], None] | None = None) -> Base:
    """Find and load the base model for `lora`; before a download `announce` is told what and how much.

    Raises InputRefused when the LoRA is of another family, UsageError when no base model is set and none can be
    chosen, and what `resolve_base` and `load_pipeline` raise.
    """
    source = resolve_base(_place(settings.base, lora), announce, config=settings.base_config)
    options = _options(settings.render, lora, source.name, single_file=source.kind == "file")
    pipeline = load_pipeline(
        source, settings.device, memory=settings.memory, adapted={module.component for module in lora.modules},
        announce=announce, **options,
    )  # fmt: skip
    family = pipeline_family(pipeline)
    require_family(lora, family)
    return Base(pipeline=pipeline, source=source, family=family, options=options)


def chosen_base(base: str, lora: LoraFile) -> str:
    """`base`, or for `auto` the default of the LoRA's family.

    Raises UsageError when there is none, or when it is told that the LoRA does not belong to it: no guess is rendered.
    """
    if base != AUTO:
        return base
    modules = guess_family(lora.modules)
    guess = describe_base(lora.family, lora.metadata, modules.candidates)
    default = _sd3_base(guess, modules.variant) if guess.family == "sd3" else DEFAULT_BASES.get(guess.family)
    unfit = f"there is no default for a LoRA of family `{guess.family}`"
    if guess.family == "sd3":
        unfit = "it does not say which Stable Diffusion 3 it was trained on"
    elif default is not None and _predicts_otherwise(guess, default):
        unfit = f"it was trained for v-prediction ({guess.name or guess.base or 'by its metadata'}), unlike {default}"
        default = None
    elif default is not None and guess.base is not None and base_called(default, guess.family) != guess.base:
        unfit = f"it was trained on {guess.base} ({guess.name or 'by its metadata'}), not on {default}"
        default = None
    if default is None:
        raise UsageError(
            f"no base model is set, and {unfit}.", path=lora.path,
            advice="Set `base` to the model it was trained on, or is used with: a diffusers folder, a .safetensors "
                   "checkpoint or a hub id.",
        )  # fmt: skip
    return default


def _sd3_base(guess: BaseGuess, variant: str | None) -> str | None:
    """By the widths of the modules, which tell the large one, and by what the metadata says within them."""
    size = f"sd-{variant}" if variant else ""
    said = guess.base if guess.base is not None and guess.base.startswith(size) else size
    return SD3_BASES.get(said)


def _predicts_otherwise(guess: BaseGuess, base: str) -> bool:
    """Whether a LoRA trained for v-prediction meets a base model that by its name is another one and predicts noise."""
    name = base.partition("@")[0]
    other = base_called(name, guess.family) != guess.base and predicted_by(name, guess.family) == "epsilon"
    return guess.prediction_type == "v_prediction" and other


def require_family(lora: LoraFile, family: str) -> None:
    """Raises InputRefused, with what tells, when the LoRA is known to be of another family than the base model."""
    guess = guess_family(lora.modules)
    fitting = {guess.family, *guess.candidates}
    if "unknown" in (guess.family, family) or family in fitting:
        return
    raise InputRefused(
        f"is a LoRA of family {guess.family} ({guess.evidence[0]}), and the base model is of family {family}.",
        path=lora.path, advice="Set `base` to the model it was trained on.",
    )  # fmt: skip


def with_render_defaults(settings: Settings, base: Base) -> Settings:
    """Whatever the settings leave open in `[render]`, as the base model's family wants it."""
    defaults = pipeline_defaults(base.pipeline)
    asked = asdict(settings.render).items()
    filled = {name: getattr(defaults, name, None) if value is None else value for name, value in asked}
    filled.update(base.options)
    return replace(settings, render=RenderSettings(**filled))


def _place(base: str, lora: LoraFile) -> Any:
    chosen = chosen_base(base, lora)
    return data_folder(MINIATURE) / "base" if chosen == MINIATURE else chosen


def _options(render: RenderSettings, lora: LoraFile, base: str, *, single_file: bool = False) -> dict[str, Any]:
    """Prediction type, clip skip and sampler: the settings' own, else the LoRA's record of how it was trained.

    `base`: the base model's name. What the LoRA says of another one is not true of it: noise taken for velocity is no
    picture. A `single_file` has no config of its own, and not every merge keeps the mark of v-prediction: there the
    name tells.
    """
    guess = describe_base(lora.family, lora.metadata)
    prediction = render.prediction_type
    if prediction is None and guess.family in _PREDICTS and guess.prediction_type == "v_prediction":
        if _predicts_otherwise(guess, base):
            what = f"the LoRA was trained for v-prediction; rendered with {base}, which predicts noise"
            warnings.warn(what, stacklevel=3)
        else:
            prediction = guess.prediction_type
    elif prediction is None and single_file and predicted_by(base, guess.family) == "v_prediction":
        prediction = "v_prediction"
        what = f"{base} is rendered for v-prediction, by its name; `prediction_type` in [render] says otherwise"
        warnings.warn(what, stacklevel=3)
    skip = render.clip_skip
    if skip is None and guess.family in _SKIPS_LAYERS:
        skip = lora.record.settings.clip_skip
        if skip is not None and skip > 1:
            warnings.warn(f"clip skip {skip}, as the LoRA was trained", stacklevel=3)
    return {"prediction_type": prediction, "clip_skip": skip, "sampler": render.sampler}
