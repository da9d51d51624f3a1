"""In which size, and turned which way, a trainer sees a picture, as far as layout and settings say."""

from __future__ import annotations

from lora_doctor.types import Case, DatasetImage, Subset
from lora_doctor.upright import SIDEWAYS

UNKNOWN_SIZE = "nothing says at which resolution it is trained"


def subset_of(case: Case, image: DatasetImage) -> Subset | None:
    """The picture's subset; None where the dataset was read without a layout."""
    subsets = case.dataset.subsets
    return subsets[image.subset] if 0 <= image.subset < len(subsets) else None


def trained_resolution(case: Case, image: DatasetImage) -> tuple[int, int] | None:
    """Width and height whose product is the area trained at: the subset's, else the settings'; None = not said."""
    subset = subset_of(case, image)
    if subset is not None and subset.resolution is not None:
        return subset.resolution
    side = case.training.resolution
    return None if side is None or side <= 0 else (side, side)


def seen_orientation(case: Case, image: DatasetImage) -> int:
    """The EXIF orientation that the trainer turns the picture by; 1 = it takes it as stored, or nothing says so."""
    subset = subset_of(case, image)
    obeyed = subset is not None and subset.obeys_orientation is True
    return image.facts.orientation if obeyed and image.facts is not None else 1


def seen_size(case: Case, image: DatasetImage) -> tuple[int, int]:
    """Width and height in pixels as the trainer opens the picture."""
    turned = seen_orientation(case, image) in SIDEWAYS
    return (image.height, image.width) if turned else (image.width, image.height)
