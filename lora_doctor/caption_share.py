"""Shares of what captions say, as measurements: pictures weighted by repeats, each of a picture's captions equally."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from lora_doctor.captions import texts
from lora_doctor.types import Dataset, DatasetImage, Measurement

NO_CAPTIONS = "no picture has a caption"
Holds = Callable[[DatasetImage, str], bool]
"""Whether a picture's caption is of the kind that is counted."""


def captioned(dataset: Dataset) -> list[int]:
    """Indexes of the pictures that have a caption with something in it."""
    return [index for index, image in enumerate(dataset.images) if texts(image)]


def weight(dataset: Dataset, indexes: Iterable[int]) -> float:
    """How often the pictures are shown in an epoch, together."""
    return sum(dataset.images[index].repeats for index in indexes)


def share_of_captions(
    dataset: Dataset,
    name: str,
    among: Sequence[int],
    holds: Holds,
    *,
    where: Mapping[str, str] | None = None,
    why_none: str = NO_CAPTIONS,
    caveat: str | None = None,
    about_lacking: bool = False,
) -> Measurement:
    """Share of the captions of the pictures `among` (all of them with a caption) for which `holds` is true.

    `Measurement.pictures` are those that hold it, or with `about_lacking` those that do not; the ones with most such
    captions first. `caveat` becomes the reason beside the value. No value, but `why_none`, where there is no picture.
    """
    parts = {index: _part(dataset.images[index], holds) for index in among}
    total = weight(dataset, among)
    if not total:
        return Measurement(name=name, value=None, unit="share", where=where or {}, reason=why_none)
    value = sum(part * dataset.images[index].repeats for index, part in parts.items()) / total
    worst = {index: 1.0 - part if about_lacking else part for index, part in parts.items()}
    pictures = sorted((index for index, part in worst.items() if part > 0), key=lambda index: (-worst[index], index))
    return Measurement(
        name=name, value=min(1.0, value), unit="share", n=len(among), where=where or {}, reason=caveat,
        pictures=tuple(pictures),
    )  # fmt: skip


def _part(image: DatasetImage, holds: Holds) -> float:
    said = texts(image)
    return sum(holds(image, text) for text in said) / len(said)
