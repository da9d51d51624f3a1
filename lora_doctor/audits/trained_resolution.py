"""At which resolution the pictures were shown in training, against the one that the base model draws at."""

from __future__ import annotations

import math

from lora_doctor.trained_size import UNKNOWN_SIZE, trained_resolution
from lora_doctor.types import OWN_TRAINER, Case, Measurement


def audit(case: Case) -> list[Measurement]:
    """`training.resolution` and `base.resolution` (sides of a square of the area trained and rendered at, pixels), and
    `training.resolution_share`, the first as a part of the second.

    What is trained at is the mean over what the trainer shows, by area and by repeats; our own trainer shows pictures
    at the base model's resolution where nothing else is said. Without a base model there is nothing else.
    """
    default = (case.side, case.side) if case.side and case.training.trainer == OWN_TRAINER else None
    shown = [(trained_resolution(case, image) or default, image.repeats) for image in case.dataset.images]
    areas = [(size[0] * size[1], repeats) for size, repeats in shown if size is not None and repeats > 0]
    told = bool(areas) and len(areas) == sum(repeats > 0 for _, repeats in shown)
    side = math.sqrt(sum(area * times for area, times in areas) / sum(times for _, times in areas)) if told else None
    measured = [_exact("training.resolution", side, "pixels", UNKNOWN_SIZE)]
    if case.side is not None:
        share = None if side is None else side / case.side
        measured += [
            _exact("training.resolution_share", share, "times", UNKNOWN_SIZE),
            _exact("base.resolution", float(case.side), "pixels", ""),
        ]
    return measured


def _exact(name: str, value: float | None, unit: str, why: str) -> Measurement:
    return Measurement(
        name=name, value=value, unit=unit, n=int(value is not None), reason=why if value is None else None
    )
