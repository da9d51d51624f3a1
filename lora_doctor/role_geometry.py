"""What a face box tells of a picture's framing: the size of the face, the room below the chin and above the head."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lora_doctor.types import Reading

HEAD_PER_FACE = 4 / 3
"""Head height / height of a detector's face box: the box goes from above the brows to the chin, the head is a quarter
hairline and crown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """Where the chosen face lies in its picture."""

    face_share: float
    """Height of the face inside the picture / height of the picture, 0 to 1."""
    below: float
    """Picture below the chin, in face heights; negative where the chin is cut off. A close-up has hardly room for a
    body, whatever the proportions of the character are."""
    above: float
    """Picture above the head, as a share of the picture's height, 0 to 1. Large where the face is not the subject: a
    small figure at the bottom, somebody lying."""


def geometry(reading: Reading) -> Geometry | None:
    """The geometry of a picture; None without a face, or where its box or the picture has no height."""
    if reading.face.box is None or reading.height <= 0:
        return None
    _, top, _, bottom = reading.face.box
    tall, height = bottom - top, float(reading.height)
    if not (math.isfinite(top) and tall > 0 and math.isfinite(tall)):
        return None
    crown = bottom - HEAD_PER_FACE * tall
    return Geometry(
        face_share=max(0.0, min(bottom, height) - max(top, 0.0)) / height,
        below=(height - bottom) / tall,
        above=min(1.0, max(0.0, crown / height)),
    )
