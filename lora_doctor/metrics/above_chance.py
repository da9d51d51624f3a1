"""Whether the base model draws what prompts ask for at all: what it does not draw, no LoRA can be seen to take away."""

from __future__ import annotations

from collections.abc import Sequence

from lora_doctor.metrics.estimates import Estimate, mean
from lora_doctor.metrics.units import Sample
from lora_doctor.types import LabelSet


def undrawn(base: Sample, sets: Sequence[LabelSet], what: str) -> Estimate | None:
    """No value, with the reason, where the base model draws `what` no better than by chance; None where it does.

    `base` holds 1 where a render at weight 0 is read as asked for, by label sets of which `sets` are those of what is
    asked; chance = the share that labels drawn blindly would get right, and better = the whole interval lies above it.
    """
    chance = sum(1 / len(labels.labels) for labels in sets) / len(sets) if sets else 0.0
    drawn = mean(base)
    if drawn.value is None or drawn.interval is None or drawn.interval[0] > chance:
        return None
    draws = f"the base model draws them no better than chance ({drawn.value:.0%} against {chance:.0%})"
    return Estimate(n=drawn.n, reason=f"cannot be told: asked for {what}, {draws}")
