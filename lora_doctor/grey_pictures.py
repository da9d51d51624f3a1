"""Pictures without colours, and the traits that they cannot show. Pure."""

from __future__ import annotations

import math

from lora_doctor.types import DatasetImage, LabelSet, PictureFacts

GREY_MODES = frozenset({"1", "L", "LA", "La"})
"""Modes without colour; `I;16` and the like as well."""
NO_CHROMA = 0.05
"""Mean distance from grey (CIE Lab) that is no more than rounding: colours never balance so well."""
_COLOURED = frozenset(("hair", "eyes", "skin"))
_COLOURS = frozenset((
    "white", "grey", "gray", "silver", "black", "brown", "blonde", "orange", "red", "pink", "purple", "blue", "aqua",
    "green", "yellow", "amber", "golden", "teal", "violet", "pale", "fair", "light", "tan", "tanned", "dark",
))  # fmt: skip


def is_grey(facts: PictureFacts) -> bool:
    """Whether a picture has no colours at all: by its mode, or because all of them balance."""
    _, green_red, blue_yellow = facts.colour
    return facts.mode in GREY_MODES or facts.mode.startswith("I") or math.hypot(green_red, blue_yellow) < NO_CHROMA


def of_colour(labels: LabelSet) -> bool:
    """Whether most labels are colours of hair, eyes or skin: `white_hair`, `dark_skin`, and not `short_hair`."""
    words = [label.lower().replace("_", " ").split() for label in labels.labels]
    colours = sum(each[-1] in _COLOURED and each[0] in _COLOURS for each in words if each)
    return 2 * colours > len(words)


def hides(image: DatasetImage, labels: LabelSet) -> bool:
    """Whether the picture cannot show the attribute, because it has no colours."""
    return image.facts is not None and is_grey(image.facts) and of_colour(labels)
