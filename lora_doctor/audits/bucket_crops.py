"""What the trainer cuts off the pictures to fit them into buckets, and whether heads go with it.

Shares are weighted by repeats. A head is what the face detector saw and half of the hair above it: where none was
found, a picture is not counted. The dataset is a census, so there is no interval; where the layout does not say whether
there are buckets, they are assumed, as most trainers' presets have them, and a number that hangs on it says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from lora_doctor.buckets import Fit, fit
from lora_doctor.trained_size import seen_orientation, seen_size, subset_of, trained_resolution
from lora_doctor.types import Case, DatasetImage, FaceReading, Measurement, Reading
from lora_doctor.upright import AS_STORED, SIDEWAYS, turn_of, undone

LOOKS = True
"""It asks what the instruments read."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom as shares of the picture."""

HAIR = 0.2
"""Of a face box's longer side, above it: half of the hair that the head crop of the instruments holds."""
GIVEN = 0.05
"""Share of the face box's sides that may be lost at its borders: a detector's box is no surer than that."""
ROUNDED = 0.005
"""Change of a share that rounding to whole pixels makes."""


def audit(case: Case) -> list[Measurement]:
    """`pictures.head_cut_share`, the same without buckets where that is not known (`buckets: off`), `.area_lost`, and
    as evidence `.bucketed_share` and `.random_crop_share`."""
    assumed = [_fit(case, image, on=True) for image in case.dataset.images]
    without = [_fit(case, image, on=False) for image in case.dataset.images]
    return [*_heads(case, assumed, without), _area(case, assumed, without), *_habits(case)]


# ---------------------------------------------------------------- fits


def _fit(case: Case, image: DatasetImage, *, on: bool) -> Fit:
    """How the picture is fitted in; `on`: with buckets, where nothing says whether there are any."""
    subset, size = subset_of(case, image), seen_size(case, image)
    told = None if subset is None else subset.buckets
    resolution = trained_resolution(case, image) or _usual(case)
    if subset is None:
        return fit(size, resolution, trainer=case.dataset.trainer, buckets=on)
    return fit(
        size, resolution, trainer=case.dataset.trainer, buckets=on if told is None else told, step=subset.bucket_step,
        bounds=subset.bucket_bounds, upscales=subset.upscales,
    )  # fmt: skip


def _usual(case: Case) -> tuple[int, int]:
    """Where no resolution is said: the square of the middle picture's area. What is cut hardly hangs on it."""
    areas = sorted(image.width * image.height for image in case.dataset.images)
    side = max(1, round(math.sqrt(areas[len(areas) // 2])))
    return side, side


def _random(case: Case, image: DatasetImage) -> bool:
    subset = subset_of(case, image)
    return subset is not None and subset.random_crop is True


# ---------------------------------------------------------------- heads


def _heads(case: Case, assumed: Sequence[Fit], without: Sequence[Fit]) -> list[Measurement]:
    """Share of the pictures with a face whose head is cut; of random crops, how often that is so."""
    name, images = "pictures.head_cut_share", case.dataset.images
    heads = {
        index: _as_trained(case, images[index], head)
        for index, reading in enumerate(case.references)
        if (head := head_of(reading)) is not None
    }
    total = sum(images[index].repeats for index in heads)
    if not total:
        return [Measurement(name=name, value=None, unit="share", reason="no face was found in any picture")]

    def cut(fits: Sequence[Fit]) -> dict[int, float]:
        return {index: _chance_of_cut(fits[index], head, _random(case, images[index])) for index, head in heads.items()}

    main, other = (_share(case, cut(fits), total) for fits in (assumed, without))
    differs = abs(main[0] - other[0]) > ROUNDED
    found = [
        Measurement(
            name=name, value=main[0], unit="share", n=len(heads), pictures=main[1],
            reason=_assumption(case, lambda: f"{other[0]:.0%} without") if differs else None,
        )
    ]  # fmt: skip
    if differs:
        found.append(
            Measurement(name=name, value=other[0], unit="share", n=len(heads), where={"buckets": "off"},
                        pictures=other[1], reason="this is so only where the trainer uses no buckets")
        )  # fmt: skip
    return found


def head_of(reading: Reading | None) -> Box | None:
    """The largest face with half of the hair above it, inside the picture; None where no face was found."""
    face: FaceReading | None = None if reading is None else reading.face
    if reading is None or face is None or face.box is None or reading.width < 1 or reading.height < 1:
        return None
    left, top, right, bottom = face.box
    width, height = right - left, bottom - top
    top -= HAIR * max(width, height)
    box = (left + GIVEN * width, top, right - GIVEN * width, bottom - GIVEN * height)
    shares = tuple(
        min(1.0, max(0.0, side / (reading.height if i % 2 else reading.width))) for i, side in enumerate(box)
    )
    return shares[0], shares[1], shares[2], shares[3]


def _as_trained(case: Case, image: DatasetImage, head: Box) -> Box:
    """Where a box of the picture as it was looked at lies in the picture as the trainer opens it."""
    looked_at, trained = turn_of(case.dataset, image) or AS_STORED, seen_orientation(case, image)
    return head if looked_at == trained else _turned(_turned(head, undone(looked_at)), trained)


def _turned(box: Box, orientation: int) -> Box:
    """Where a box of the stored picture lies once it is turned as its EXIF orientation says."""
    left, top, right, bottom = box
    if orientation in (2, 3):
        left, right = 1 - right, 1 - left
    if orientation in (3, 4):
        top, bottom = 1 - bottom, 1 - top
    if orientation in SIDEWAYS:
        left, top, right, bottom = top, left, bottom, right
        if orientation in (6, 7):
            left, right = 1 - right, 1 - left
        if orientation in (7, 8):
            top, bottom = 1 - bottom, 1 - top
    return left, top, right, bottom


def _chance_of_cut(one: Fit, head: Box, random: bool) -> float:
    if random:
        return 1.0 - one.chance_of_keeping(head)
    left, top, right, bottom = one.kept
    spare_x, spare_y = 0.5 / one.scaled[0], 0.5 / one.scaled[1]  # half a pixel of rounding
    inside = head[0] >= left - spare_x and head[2] <= right + spare_x
    return 0.0 if inside and head[1] >= top - spare_y and head[3] <= bottom + spare_y else 1.0


def _share(case: Case, cut: dict[int, float], total: float) -> tuple[float, tuple[int, ...]]:
    """Weighted share, and the pictures it is about, those cut most surely first."""
    value = sum(chance * case.dataset.images[index].repeats for index, chance in cut.items()) / total
    worst = sorted((index for index, chance in cut.items() if chance > 0), key=lambda index: (-cut[index], index))
    return value, tuple(worst)


# ---------------------------------------------------------------- area and habits


def _area(case: Case, assumed: Sequence[Fit], without: Sequence[Fit]) -> Measurement:
    """Mean share of a picture's area that is cut off."""
    images = case.dataset.images
    total = sum(image.repeats for image in images)
    if not total:
        return Measurement(name="pictures.area_lost", value=None, unit="share", reason="the dataset is empty")
    main, other = (sum(one.lost * i.repeats for one, i in zip(fits, images, strict=True)) / total
                   for fits in (assumed, without))  # fmt: skip
    order = sorted((i for i, one in enumerate(assumed) if one.lost > 0), key=lambda i: (-assumed[i].lost, i))
    why = _assumption(case, lambda: f"{other:.0%} without") if abs(main - other) > ROUNDED else None
    return Measurement(
        name="pictures.area_lost", value=main, unit="share", n=len(images), reason=why, pictures=tuple(order)
    )


def _assumption(case: Case, without: Callable[[], str]) -> str | None:
    subsets = case.dataset.subsets
    if subsets and all(subset.buckets is not None for subset in subsets):
        return None
    return f"nothing says whether pictures are trained in buckets; that is assumed ({without()})"


def _habits(case: Case) -> list[Measurement]:
    """Share of the pictures that are trained in buckets, and with random crops; of those where it is said."""
    return [
        _habit(case, "pictures.bucketed_share", [None if (s := subset_of(case, image)) is None else s.buckets
                                                 for image in case.dataset.images],
               "nothing says whether pictures are trained in buckets"),
        _habit(case, "pictures.random_crop_share", [None if (s := subset_of(case, image)) is None else s.random_crop
                                                    for image in case.dataset.images],
               "nothing says whether crops are random"),
    ]  # fmt: skip


def _habit(case: Case, name: str, told: Sequence[bool | None], reason: str) -> Measurement:
    pairs = [(image.repeats, has) for image, has in zip(case.dataset.images, told, strict=True) if has is not None]
    total = sum(repeats for repeats, _ in pairs)
    if not total:
        return Measurement(name=name, value=None, unit="share", reason=reason)
    return Measurement(name=name, value=sum(r for r, has in pairs if has) / total, unit="share", n=len(pairs))
