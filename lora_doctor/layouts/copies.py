"""Folders that a config lists more than once: one subset, shown as often as all of them together.

Training at several resolutions is told by listing a folder for each of them (sd-scripts docs/config_README, "duplicate
subsets"; ai-toolkit toolkit/config_modules.py, preprocess_dataset_raw_config). A picture is then seen at all of them,
and is one picture of the dataset all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from lora_doctor.layouts.values import largest
from lora_doctor.types import Subset


def joined_copies(subsets: Iterable[Subset]) -> tuple[Subset, ...]:
    """The subsets, those that differ in nothing but size and repeats as one: repeats added, the largest size kept."""
    kept: list[Subset] = []
    places: dict[Path, list[int]] = {}
    for subset in subsets:
        of_folder = places.setdefault(subset.folder, [])
        at = next((i for i in of_folder if _same(subset, kept[i])), None)
        if at is None:
            of_folder.append(len(kept))
            kept.append(subset)
        else:
            kept[at] = _both(kept[at], subset)
    return tuple(kept)


def _same(one: Subset, other: Subset) -> bool:
    """Whether both show the same pictures with the same captions; samples and repeats do not add up."""
    return (one.samples is None) == (other.samples is None) and _core(one) == _core(other)


def _core(subset: Subset) -> Subset:
    return replace(
        subset, source="", repeats=1, unit=1, samples=None, resolution=None, buckets=None, bucket_step=None,
        bucket_bounds=None, upscales=None, random_crop=None, caption_dropout=None, caption_token_dropout=None,
    )  # fmt: skip


def _both(one: Subset, other: Subset) -> Subset:
    """The one at the larger size, with the repeats of both and the mean of their dropouts."""
    first = one if largest([one.resolution, other.resolution]) == one.resolution else other
    return replace(
        first,
        source=one.source,
        repeats=one.repeats + other.repeats if one.samples is None else 1,
        unit=_unit(one, other),
        samples=None if one.samples is None or other.samples is None else one.samples + other.samples,
        caption_dropout=_mean(one, other, one.caption_dropout, other.caption_dropout),
        caption_token_dropout=_mean(one, other, one.caption_token_dropout, other.caption_token_dropout),
    )


def _unit(one: Subset, other: Subset) -> int | None:
    """What one more in both settings gives, where these say the same number; None where they differ."""
    if one.unit is None or other.unit is None or one.repeats * other.unit != other.repeats * one.unit:
        return None
    return one.unit + other.unit


def _mean(one: Subset, other: Subset, first: float | None, second: float | None) -> float | None:
    """The mean of two shares, weighted by how often each is shown; where one is not said, the other."""
    weights = [subset.repeats if subset.samples is None else subset.samples for subset in (one, other)]
    if first is None or second is None or not sum(weights):
        return first if second is None else second
    return (first * weights[0] + second * weights[1]) / sum(weights)
