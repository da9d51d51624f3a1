"""What of the character comes without the trigger, and how much the trigger needs a description beside it."""

from __future__ import annotations

from collections.abc import Sequence

from lora_doctor.metrics.estimates import mean, paired_difference, ratio, told
from lora_doctor.metrics.ruler import Ruler, build_ruler, scores
from lora_doctor.metrics.units import Sample, alike, not_rendered, pick
from lora_doctor.types import Cell, Measurement, Study


def measure(study: Study) -> list[Measurement]:
    """`leak.score`, `leak.ratio` and `trigger.description_gain`, all at the highest ship weight.

    `leak.score`: identity without the trigger, LoRA minus base model at the same seeds. `leak.ratio`: identity without
    the trigger over identity with it, same places. `trigger.description_gain`: identity with the traits written out
    minus identity with the trigger alone.
    """
    ruler = build_ruler(study)
    return [*_leak(study, ruler), _gain(study, ruler)]


def _leak(study: Study, ruler: Ruler | str) -> list[Measurement]:
    cells = {weight: pick(study, {"arm": "no_trigger", "weight": weight}) for weight in ("0", "top")}
    base, without = (_sample(study, ruler, "no_trigger", cells[weight]) for weight in ("0", "top"))
    called = _sample(study, ruler, "no_trigger", alike(pick(study, {"weight": "top"}), cells["top"]))
    return [
        told(mean(without), "leak.identity", {}, "score"),
        told(paired_difference(without.masked(base), base.masked(without)), "leak.score", {}, "score"),
        told(ratio(without.masked(called), called.masked(without)), "leak.ratio", {}, "ratio"),
    ]


def _gain(study: Study, ruler: Ruler | str) -> Measurement:
    """Over the framings that the matrix and the arm share."""
    described = pick(study, {"arm": "described", "weight": "top"})
    first = _sample(study, ruler, "described", described)
    alone = _sample(study, ruler, "described", alike(pick(study, {"weight": "top"}), described))
    return told(paired_difference(first.masked(alone), alone.masked(first)), "trigger.description_gain", {}, "score")


def _sample(study: Study, ruler: Ruler | str, arm: str, cells: Sequence[Cell]) -> Sample:
    if not cells:
        return Sample(rate=False, absent=not_rendered(arm))
    return scores(study, ruler, cells)[0]
