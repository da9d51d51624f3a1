"""Pictures that repeat another: the same file, the same picture saved again, cropped a little, or turned left to right.

What repeats another, `look_alikes` tells. The dataset is a census: shares have no interval.
"""

from __future__ import annotations

from collections.abc import Sequence

from lora_doctor.look_alikes import look_alikes, ordered
from lora_doctor.types import Case, Dataset, Measurement


def audit(case: Case) -> list[Measurement]:
    """`pictures.duplicate_share` (by repeats: `.duplicate_exposure`), `.largest_duplicate_group`, `.mirrored_share`,
    `.identical_share`; their pictures are those to take out, so that one of each group is left."""
    known = [index for index, image in enumerate(case.dataset.images) if image.facts is not None]
    if len(known) < 2:
        why = (
            "there is no second picture to compare with" if len(case.dataset.images) < 2 else "pictures were not hashed"
        )
        return [Measurement(name=name, value=None, unit=unit, reason=why) for name, unit in _NAMES]
    straight, alike = look_alikes(case.dataset, case.references, known)
    identical = _by_content(case.dataset, known)
    return [*_shares(case.dataset, known, straight, alike), _identical(case.dataset, known, identical)]


_NAMES = (
    ("pictures.duplicate_share", "share"),
    ("pictures.duplicate_exposure", "share"),
    ("pictures.largest_duplicate_group", "count"),
    ("pictures.mirrored_share", "share"),
    ("pictures.identical_share", "share"),
)


# ---------------------------------------------------------------- measurements


def _shares(
    dataset: Dataset, known: Sequence[int], straight: list[list[int]], alike: list[list[int]]
) -> list[Measurement]:
    """Groups of two and more, largest first; without and with mirrored pictures."""
    extra = _extra(dataset, alike)
    unturned = {index for group in straight for index in group[1:]}
    mirrored = tuple(index for index in extra if index not in unturned)
    largest = alike[0] if alike else []
    return [
        Measurement(name=_NAMES[0][0], value=len(extra) / len(known), unit="share", n=len(known), pictures=extra),
        Measurement(
            name=_NAMES[1][0], value=_exposure(dataset, known, alike), unit="share", n=len(known), pictures=extra
        ),
        Measurement(
            name=_NAMES[2][0], value=float(max(1, len(largest))), unit="count", n=len(known), pictures=tuple(largest)
        ),
        Measurement(
            name=_NAMES[3][0],
            value=(len(extra) - sum(len(group) - 1 for group in straight)) / len(known),
            unit="share", n=len(known), pictures=mirrored,
        ),
    ]  # fmt: skip


def _identical(dataset: Dataset, known: Sequence[int], groups: list[list[int]]) -> Measurement:
    """Share of the pictures that are another file's bytes again; not weighted by repeats."""
    extra = _extra(dataset, groups)
    return Measurement(name=_NAMES[4][0], value=len(extra) / len(known), unit="share", n=len(known), pictures=extra)


def _extra(dataset: Dataset, groups: list[list[int]]) -> tuple[int, ...]:
    """All but one picture of each group: the largest is kept, of equally large ones the first."""
    found: list[int] = []
    for group in groups:
        kept = max(group, key=lambda index: (dataset.images[index].width * dataset.images[index].height, -index))
        found += [index for index in group if index != kept]
    return tuple(found)


def _exposure(dataset: Dataset, known: Sequence[int], groups: list[list[int]]) -> float:
    """Share of an epoch that is spent on pictures beyond the most repeated one of each group; weighted by repeats."""
    repeats = {index: dataset.images[index].repeats for index in known}
    again = sum(sum(repeats[index] for index in group) - max(repeats[index] for index in group) for group in groups)
    total = sum(repeats.values())
    return again / total if total else 0.0


# ---------------------------------------------------------------- groups


def _by_content(dataset: Dataset, known: Sequence[int]) -> list[list[int]]:
    found: dict[str, list[int]] = {}
    for index in known:
        found.setdefault(dataset.images[index].sha256, []).append(index)
    return ordered([group for sha256, group in found.items() if sha256])
