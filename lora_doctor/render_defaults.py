"""What each family of base models is rendered with unless the settings say otherwise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from lora_doctor.errors import UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderDefaults:
    """What a family is rendered with unless the settings say otherwise."""

    steps: int
    guidance: float
    """The strength of classifier-free guidance; for FLUX.1 the number its guidance embedding is given."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    negative_prompt: str
    sampler: str
    """Scheduler class, or `folder` = the scheduler that the base model's own folder names."""


_QUALITY = "lowres, worst quality, low quality"
_SOLVER = "DPMSolverMultistepScheduler"


def _square(side: int, steps: int, guidance: float, negative: str = "", sampler: str = "folder") -> RenderDefaults:
    return RenderDefaults(
        steps=steps, guidance=guidance, width=side, height=side, negative_prompt=negative, sampler=sampler
    )


DEFAULTS = {
    "miniature": _square(64, 10, 3.0, sampler=_SOLVER),
    "sd15": _square(512, 25, 7.0, _QUALITY, _SOLVER),
    "sd2": _square(768, 25, 7.0, _QUALITY, _SOLVER),
    "sdxl": _square(1024, 25, 6.0, _QUALITY, _SOLVER),
    "sd3": _square(1024, 28, 4.5, _QUALITY),
    "flux": _square(1024, 28, 3.5),
    "z-image": _square(1024, 8, 0.0),
    "qwen-image": _square(1024, 30, 4.0, " "),
}
"""Flow-matching families keep the folder's scheduler: its shift is part of how they were trained.

Steps and guidance are those of the model cards of SD3.5 medium, FLUX.1 dev, Z-Image Turbo and Qwen-Image (which says
50 steps; 30 are a choice for speed). A Z-Image that is not distilled wants about 28 steps and guidance 4.
"""
SCHNELL_STEPS = 4


def render_defaults(family: str) -> RenderDefaults:
    """The defaults of `family`; UsageError when lora-doctor has none for it."""
    if family not in DEFAULTS:
        raise UsageError(
            f"there are no render defaults for a base model of family `{family}`",
            advice=f"Known families: {', '.join(DEFAULTS)}.",
        )
    return DEFAULTS[family]


def distilled(defaults: RenderDefaults, pipeline: Any) -> RenderDefaults:
    """`defaults` as a FLUX.1 without guidance embedding (schnell, made for 4 steps) wants them; others unchanged."""
    if type(pipeline).__name__ == "FluxPipeline" and not pipeline.transformer.config.guidance_embeds:
        return replace(defaults, steps=SCHNELL_STEPS, guidance=0.0)
    return defaults
