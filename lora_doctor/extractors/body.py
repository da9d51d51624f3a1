"""The person below the head, cut out of a picture for an embedding: outfit and figure without the face."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from lora_doctor.types import FaceReading

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    Array = np.ndarray[Any, Any]

HEAD = 1.5
"""Side of the blanked head relative to the face box, as heads are cropped elsewhere."""
BODY_WIDTH, BODY_HEIGHT = 3.2, 9.0
"""The body's box in face heights, from the top of the head: an adult's shoulders are 2.6 of them wide and hanging arms
a little more, the feet are below; wider is background, which an embedding takes for the person."""
SMALLEST_BODY = 1.2
"""Face heights that must be seen below the head: less is a portrait and shows no body. Somebody small who sits
has 1.3."""


class Embedder(Protocol):
    """What turns pictures into embeddings."""

    @property
    def blank(self) -> tuple[int, int, int]:
        """The colour that is nothing to it."""

    def embed(self, images: Sequence[Image.Image]) -> Array:
        """(images, d) float32 of unit length."""


def embed_bodies(reader: Embedder, images: Sequence[Image.Image], faces: Sequence[FaceReading]) -> list[Array | None]:
    """(d,) of each person's body below the head; None without a face, or where the picture ends below it."""
    crops = [body_crop(image, face, reader.blank) for image, face in zip(images, faces, strict=True)]
    shown = [_on_square(crop, reader.blank) for crop in crops if crop is not None]
    rows = iter(reader.embed(shown) if shown else ())
    return [None if crop is None else next(rows) for crop in crops]


def body_crop(image: Image.Image, face: FaceReading, blank: tuple[int, int, int]) -> Image.Image | None:
    """The person's box, told from the face's, with the head in one colour; None where no body is to be seen.

    A box, not a silhouette: some background stays in it.
    """
    if face.box is None:
        return None
    left, top, right, bottom = face.box
    side, middle = max(right - left, bottom - top), (left + right) / 2
    head = side * HEAD
    head_top = (top + bottom) / 2 - 0.58 * head
    head_bottom = min(head_top + head, bottom + 0.1 * side)  # not below the chin: the collar is outfit
    if image.height - bottom < SMALLEST_BODY * side or side <= 0:
        return None
    box = (
        max(0, int(middle - BODY_WIDTH / 2 * side)), max(0, int(head_top)),
        min(image.width, int(middle + BODY_WIDTH / 2 * side) + 1),
        min(image.height, int(head_top + BODY_HEIGHT * side) + 1),
    )  # fmt: skip
    if box[2] - box[0] < 4 or box[3] - box[1] < 4:
        return None
    crop = image.convert("RGB").crop(box)
    hidden = (int(middle - head / 2) - box[0], 0, int(middle + head / 2) + 1 - box[0], int(head_bottom) + 1 - box[1])
    crop.paste(blank, (max(0, hidden[0]), 0, min(crop.width, hidden[2]), min(crop.height, max(0, hidden[3]))))
    return crop


def _on_square(crop: Image.Image, blank: tuple[int, int, int]) -> Image.Image:
    """The crop on a square of one colour: CLIP's own preparation would cut off the feet, or squeeze the figure."""
    from PIL import Image

    side = max(crop.size)
    square = Image.new("RGB", (side, side), blank)
    square.paste(crop, ((side - crop.width) // 2, (side - crop.height) // 2))
    return square
