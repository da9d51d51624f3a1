"""The smallest face that a face instrument can tell a character by: measured on the dataset's own faces, made smaller.

A limit in pixels belongs to an instrument and a kind of picture: what is made for photographs wants more of them than
what is made for drawings. So some of the dataset's large faces are shrunk, their frames staying as they are, and read.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lora_doctor.face_boxes import short_side
from lora_doctor.types import FaceReading

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    Row = np.ndarray[Any, Any]

SIZES = (64, 48, 32, 24, 16, 12, 10, 8, 6)
"""Pixels, shorter side, that faces are shrunk to; there is nothing left to tell in less."""
TRIED = 6
"""Faces that are shrunk."""
MIN_FACES = 3
"""Fewer faces do not tell an instrument's limit."""
KEPT = 0.5
"""Share of its likeness with the others that a face must keep: below half, a score says more of the size than of who it
is."""


def chosen_faces(faces: Sequence[FaceReading | None]) -> tuple[int, ...]:
    """The places of the faces to shrink: the largest there are, `TRIED` at most."""
    sized = [
        (short_side(face.box), place)
        for place, face in enumerate(faces)
        if face is not None and face.box is not None and face.embedding is not None
    ]
    return tuple(place for _, place in sorted(sized, reverse=True)[:TRIED])


def least_face(reader: Any, pictures: Sequence[Image.Image], faces: Sequence[FaceReading]) -> float | None:
    """Pixels, shorter side, of the smallest face of which half of the likeness is left; None where too few can tell.

    `reader` is a face instrument, `faces` what it read in `pictures`. A size counts only if every larger one does.
    """
    import numpy as np

    if len(faces) < MIN_FACES:
        return None
    rows = np.stack([np.asarray(face.embedding, np.float64) for face in faces])
    others = (rows.sum(axis=0) - rows) / (len(rows) - 1)
    own = [float(likeness) for likeness in (rows * others).sum(axis=1)]
    limit = None
    for size in SIZES:
        places = [p for p, face in enumerate(faces) if face.box is not None and short_side(face.box) > size]
        if len(places) < MIN_FACES:
            continue
        seen = reader.read([_shrunk(pictures[p], faces[p], size) for p in places])
        kept = [
            0.0 if face.embedding is None or own[p] <= 0 else float(face.embedding @ others[p]) / own[p]
            for p, face in zip(places, seen, strict=True)
        ]
        if statistics.median(kept) < KEPT:
            break
        limit = float(size)
    return limit


def _shrunk(picture: Image.Image, face: FaceReading, size: int) -> Image.Image:
    """The picture with its face `size` pixels large, its edges drawn out to the frame it had."""
    import numpy as np
    from PIL import Image

    scale = size / (short_side(face.box) if face.box is not None else size)
    wide, tall = (max(1, round(side * scale)) for side in picture.size)
    small = np.asarray(picture.convert("RGB").resize((wide, tall), Image.Resampling.LANCZOS))
    right, bottom = picture.width - wide, picture.height - tall
    margins = ((bottom // 2, bottom - bottom // 2), (right // 2, right - right // 2), (0, 0))
    return Image.fromarray(np.pad(small, margins, mode="edge"))
