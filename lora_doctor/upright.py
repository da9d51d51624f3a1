"""Which way up the instruments see a dataset's picture, and which pictures they are not shown: EXIF's orientation.

A face lying on its side is found by no detector, and where it is found, taken for somebody else's. So a picture is
turned as EXIF says before it is looked at, where its trainer turns it too, and where nobody says what the trainer does:
the person is the same. What a trainer takes as it lies is not turned, for that is what is trained on; lying, it tells
nothing of the person, and is not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_doctor.types import Dataset, DatasetImage

if TYPE_CHECKING:
    from PIL import Image

AS_STORED = 1
SIDEWAYS = frozenset({5, 6, 7, 8})
"""EXIF orientations that exchange width and height."""
_LYING = frozenset({3, 4, *SIDEWAYS})
"""Those that leave the person lying or on the head; 2 only mirrors."""
_UNDONE = {6: 8, 8: 6}
"""What undoes a turn, where it is not the turn itself."""


def turn_of(dataset: Dataset, image: DatasetImage) -> int | None:
    """The EXIF orientation by which the picture is turned before it is looked at, 1 = as stored; None = it is not.

    None where the trainer trains on it lying: nothing of the person is to be told from it.
    """
    orientation = AS_STORED if image.facts is None else image.facts.orientation
    if _obeyed(dataset, image) is not False:
        return orientation
    return None if orientation in _LYING else AS_STORED


def undone(orientation: int) -> int:
    """The orientation that turns a picture back as it is stored."""
    return _UNDONE.get(orientation, orientation)


def turned(picture: Image.Image, orientation: int) -> Image.Image:
    """A stored picture as its EXIF orientation, 1 to 8, wants it seen."""
    from PIL.Image import Transpose

    steps = {
        2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
    }  # fmt: skip
    return picture.transpose(steps[orientation]) if orientation in steps else picture


def looked_at_size(dataset: Dataset, image: DatasetImage) -> tuple[int, int]:
    """Width and height in pixels of the picture as it is looked at, before it is made smaller."""
    sideways = turn_of(dataset, image) in SIDEWAYS
    return (image.height, image.width) if sideways else (image.width, image.height)


def reading_key(dataset: Dataset, image: DatasetImage) -> str:
    """The name of a picture's reading: its content, and how it was turned."""
    turn = turn_of(dataset, image)
    return image.sha256 if turn in (AS_STORED, None) else f"{image.sha256}-{turn}"


def why_not(dataset: Dataset, image: DatasetImage) -> str | None:
    """Why a picture is not looked at; None where it is."""
    if turn_of(dataset, image) is not None:
        return None
    return f"trained on as it lies: {dataset.trainer} does not turn it as EXIF says"


def remark(dataset: Dataset) -> str | None:
    """How many pictures are not looked at and why, in a sentence; None where all are."""
    lying = [why for image in dataset.images if (why := why_not(dataset, image)) is not None]
    if not lying:
        return None
    return f"{len(lying)} of {len(dataset.images)} pictures are no reference and have no role: {lying[0]}"


def _obeyed(dataset: Dataset, image: DatasetImage) -> bool | None:
    known = 0 <= image.subset < len(dataset.subsets)
    return dataset.subsets[image.subset].obeys_orientation if known else None
