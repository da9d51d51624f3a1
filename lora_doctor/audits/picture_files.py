"""Pictures whose file is not what a trainer takes it for: turned, see-through, moving, grey, of odd colours, or broken.

Shares are weighted by repeats, and have no interval: the dataset is a census. Facts that were not read make a reason.
"""

from __future__ import annotations

from collections.abc import Callable

from lora_doctor.grey_pictures import is_grey
from lora_doctor.trained_size import subset_of
from lora_doctor.types import Case, Measurement, PictureFacts

UPRIGHT = 1
SEEN_THROUGH = 0.01
"""Share of a picture's pixels from which its transparency is more than a soft edge."""
ODD_MODES = frozenset({"1", "CMYK", "YCbCr", "LAB", "HSV", "F", "I"})
"""Modes that converting to RGB, as trainers do, changes: naive inks, black and white dots, lost depth."""
UNREAD = "facts about the files were not read"


def audit(case: Case) -> list[Measurement]:
    """`pictures.rotated_share`, `.transparent_share`, `.animated_share`, `.grey_share`, `.odd_mode_share`,
    `.unreadable_share` and `.unreadable` (files)."""
    return [
        _rotated(case),
        _share(case, "pictures.transparent_share", lambda facts: facts.transparent if _through(facts) else 0.0),
        _share(case, "pictures.animated_share", lambda facts: float(facts.frames > 1)),
        _share(case, "pictures.grey_share", lambda facts: float(is_grey(facts))),
        _share(case, "pictures.odd_mode_share", lambda facts: float(_odd(facts))),
        *_unreadable(case),
    ]


# ---------------------------------------------------------------- facts


def _through(facts: PictureFacts) -> bool:
    return facts.transparent >= SEEN_THROUGH


def _odd(facts: PictureFacts) -> bool:
    return facts.mode in ODD_MODES or facts.mode.startswith("I;")


def _share(case: Case, name: str, how_bad: Callable[[PictureFacts], float]) -> Measurement:
    """Share of the pictures that are bad at all, of those with facts; the worst are named first."""
    images = case.dataset.images
    known = {i: how_bad(image.facts) for i, image in enumerate(images) if image.facts is not None}
    total = sum(images[i].repeats for i in known)
    if not total:
        return Measurement(name=name, value=None, unit="share", reason=UNREAD if images else "the dataset is empty")
    bad = sorted((i for i in known if known[i] > 0), key=lambda i: (-known[i], i))
    value = sum(images[i].repeats for i in bad) / total
    return Measurement(name=name, value=value, unit="share", n=len(known), pictures=tuple(bad))


# ---------------------------------------------------------------- orientation


def _rotated(case: Case) -> Measurement:
    """Share of the pictures that the trainer sees turned or mirrored: it ignores the orientation that EXIF holds."""
    found = _share(case, "pictures.rotated_share", lambda facts: float(facts.orientation != UPRIGHT))
    habits = {i: None if (subset := subset_of(case, case.dataset.images[i])) is None else subset.obeys_orientation
              for i in found.pictures}  # fmt: skip
    seen = tuple(i for i in found.pictures if habits[i] is not True)
    if found.value is None or not found.pictures:
        return found
    images = case.dataset.images
    total = sum(image.repeats for image in images if image.facts is not None)
    assumed = any(habits[i] is None for i in seen)
    return Measurement(
        name=found.name, value=sum(images[i].repeats for i in seen) / total, unit="share", n=found.n, pictures=seen,
        reason="nothing says whether the trainer turns pictures as EXIF says; that it does not is assumed"
        if assumed else None,
    )  # fmt: skip


# ---------------------------------------------------------------- files left out


def _unreadable(case: Case) -> list[Measurement]:
    """Picture files that could not be read or are left out: their share of all, and how many.

    What is only remarked of a picture that is used (a misleading name) is not counted.
    """
    used = {image.path for image in case.dataset.images}
    broken = len({skipped.path for skipped in case.dataset.skipped if skipped.kind == "picture"} - used)
    files = broken + len(case.dataset.images)
    reason = None if files else "the dataset is empty"
    return [
        Measurement(
            name="pictures.unreadable_share", value=broken / files if files else None, unit="share", n=files,
            reason=reason,
        ),
        Measurement(name="pictures.unreadable", value=float(broken), unit="count", n=files),
    ]  # fmt: skip
