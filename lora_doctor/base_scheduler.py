"""The scheduler a base model is sampled with: the family's, from the folder's config, as the LoRA's training asks."""

from __future__ import annotations

import warnings
from typing import Any

from lora_doctor.base_classes import COMPONENTS
from lora_doctor.errors import UsageError

PREDICTIONS = {"epsilon": "epsilon", "v": "v_prediction", "v_prediction": "v_prediction", "sample": "sample"}
"""What a LoRA's metadata (`modelspec.prediction_type`) may say -> diffusers' name for it."""
V_SAMPLER = "EulerDiscreteScheduler"
"""v-prediction SDXL models are published with Euler sampling; second-order solvers are not recommended for them."""


def prediction_name(prediction_type: str | None) -> str | None:
    """diffusers' name of a prediction type, None for None; UsageError for an unknown one."""
    if prediction_type is None:
        return None
    if prediction_type not in PREDICTIONS:
        raise UsageError(f"there is no prediction type `{prediction_type}`", advice=f"Known: {', '.join(PREDICTIONS)}.")
    return PREDICTIONS[prediction_type]


def make_scheduler(
    scheduler: Any,
    family: str,
    sampler: str,
    *,
    prediction_type: str | None = None,
) -> Any:
    """A scheduler of class `sampler` (`folder` = the same class) built from the config of `scheduler`.

    `prediction_type` (epsilon, v, v_prediction, sample) overrides the config's, None leaves it. The v-prediction models
    of SDXL are all trained to zero terminal SNR (Lin et al. 2023, arXiv 2305.08891), others as their config says. Flow
    matching has no such type and ignores it.

    `clip_sample` is True by default in diffusers' DDIM and DDPM schedulers; clipping to [-1, 1] suits pixels and turns
    latents into coloured noise, so it is switched off with a warning wherever a folder leaves it on.
    """
    import diffusers

    config = dict(scheduler.config)
    clipped = [name for name in ("clip_sample", "thresholding") if config.get(name)]
    if clipped:
        warnings.warn(f"the base model's scheduler has {' and '.join(clipped)} on; switched off", stacklevel=3)
    changes: dict[str, Any] = dict.fromkeys(clipped, False)
    asked = prediction_name(prediction_type)
    if "FlowMatch" not in type(scheduler).__name__:
        changes |= _noise_changes(family, asked)
    if asked == "v_prediction" and family == "sdxl" and sampler != "folder":
        sampler = V_SAMPLER
    made = type(scheduler) if sampler == "folder" else getattr(diffusers, sampler)
    if changes.get("rescale_betas_zero_snr", config.get("rescale_betas_zero_snr")) and sampler != "folder":
        changes.setdefault("timestep_spacing", "trailing")  # any other spacing never visits the terminal step
    return made.from_config(config, **changes) if changes or sampler != "folder" else scheduler


def _noise_changes(family: str, asked: str | None) -> dict[str, Any]:
    """What the prediction type changes in a noise-prediction config; {} when nothing is asked."""
    if asked is None:
        return {}
    changes: dict[str, Any] = {"prediction_type": asked}
    if family == "sdxl" or asked == "epsilon":  # at zero SNR the noise says nothing about the picture
        changes["rescale_betas_zero_snr"] = asked == "v_prediction"
        if asked == "v_prediction":
            changes["timestep_spacing"] = "trailing"
    return changes


def check_sampler(sampler: str) -> None:
    """UsageError unless `sampler` is `folder` or a scheduler class that is known here."""
    known = sorted(name for name in COMPONENTS if name.endswith("Scheduler"))
    if sampler != "folder" and sampler not in known:
        raise UsageError(f"there is no sampler `{sampler}`", advice=f"Known: folder, {', '.join(known)}.")
