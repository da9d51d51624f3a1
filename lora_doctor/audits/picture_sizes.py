"""How large the pictures are, against the area they are trained at, and which are oddly long.

Shares are weighted by repeats, and have no interval: the dataset is a census.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from lora_doctor.trained_size import UNKNOWN_SIZE, subset_of, trained_resolution
from lora_doctor.types import Case, DatasetImage, Measurement

FACTORS = ("1.25", "2")
"""How often longer a picture's sides would have to be to fill the trained area: what buckets round off is less than the
first, and beyond the second three of four trained pixels are made up."""
RATIO = 2.0
"""Longer over shorter side of pictures that are called long."""


def audit(case: Case) -> list[Measurement]:
    """`pictures.small_share` by factor, `.small_enlarged`, `.shorter_side` (pixels, by quantile), `.long_share`,
    `.longest_ratio`."""
    return [*_small(case), _enlarged(case), *_sides(case), *_long(case)]


def _shortage(case: Case, image: DatasetImage) -> float | None:
    """How often longer its sides would have to be; None where the resolution is not known."""
    resolution = trained_resolution(case, image)
    if resolution is None:
        return None
    return math.sqrt(resolution[0] * resolution[1] / max(1, image.width * image.height))


def _small(case: Case) -> list[Measurement]:
    images = case.dataset.images
    known = {i: short for i, image in enumerate(images) if (short := _shortage(case, image)) is not None}
    total = _weight(images, list(known))
    reason = _why_not(case, len(known))
    found = []
    for factor in FACTORS:
        small = sorted((i for i, short in known.items() if short > float(factor)), key=lambda i: (-known[i], i))
        found.append(
            Measurement(
                name="pictures.small_share", value=_weight(images, small) / total if total else None, unit="share",
                n=len(known), where={"factor": factor}, reason=reason, pictures=tuple(small),
            )
        )  # fmt: skip
    return found


def _enlarged(case: Case) -> Measurement:
    """Of the pictures that are too small by the lesser factor: the share that the trainer enlarges."""
    name, images = "pictures.small_enlarged", case.dataset.images
    small = [i for i, image in enumerate(images) if (_shortage(case, image) or 0.0) > float(FACTORS[0])]
    told = {i: habit for i in small if (habit := _upscales(case, images[i])) is not None}
    if not told or not _weight(images, list(told)):
        why = "no picture is known to be too small" if not small else "nothing says whether small pictures are enlarged"
        return Measurement(name=name, value=None, unit="share", reason=why)
    grown = [i for i, habit in told.items() if habit]
    return Measurement(
        name=name, value=_weight(images, grown) / _weight(images, list(told)), unit="share", n=len(told),
        pictures=tuple(grown),
    )  # fmt: skip


def _upscales(case: Case, image: DatasetImage) -> bool | None:
    subset = subset_of(case, image)
    if subset is None:
        return None
    return True if subset.buckets is False else subset.upscales


def _sides(case: Case) -> list[Measurement]:
    """The shorter side of the smallest picture and of the middle one; not weighted by repeats."""
    images = case.dataset.images
    order = sorted(range(len(images)), key=lambda i: (min(images[i].width, images[i].height), i))
    at = {"0": 0, "50": (len(order) - 1) // 2}
    return [
        Measurement(
            name="pictures.shorter_side", unit="pixels", n=len(order), where={"quantile": quantile},
            value=float(min(images[order[place]].width, images[order[place]].height)) if order else None,
            reason=None if order else "the dataset is empty", pictures=tuple(order[: place + 1]),
        )
        for quantile, place in at.items()
    ]  # fmt: skip


def _long(case: Case) -> list[Measurement]:
    """Share of the pictures more than twice as long as wide, either way up; and the most extreme ratio of sides."""
    images = case.dataset.images
    ratios = [max(i.width, i.height) / max(1, min(i.width, i.height)) for i in images]
    long = sorted((i for i, ratio in enumerate(ratios) if ratio > RATIO), key=lambda i: (-ratios[i], i))
    total, reason = _weight(images, range(len(images))), None if images else "the dataset is empty"
    share = _weight(images, long) / total if total else None
    return [
        Measurement(
            name="pictures.long_share", value=share, unit="share", n=len(images), reason=reason, pictures=tuple(long)
        ),
        Measurement(
            name="pictures.longest_ratio", value=max(ratios, default=None), n=len(images), reason=reason,
            pictures=tuple(long[:1]),
        ),
    ]  # fmt: skip


def _weight(images: Sequence[DatasetImage], indexes: Sequence[int] | range) -> float:
    return sum(images[i].repeats for i in indexes)


def _why_not(case: Case, known: int) -> str | None:
    unknown = len(case.dataset.images) - known
    if not case.dataset.images:
        return "the dataset is empty"
    if not known:
        return f"{UNKNOWN_SIZE}; give it with --resolution"
    return f"of {unknown} pictures {UNKNOWN_SIZE}" if unknown else None
