"""Gives each dataset picture its role, as the source article draws the line.

Identity-emphasis: "close-up portraits, head-and-shoulders shots, clean backgrounds. The character is the entire frame."
In-context: "full-body shots across varied environments". Framing and background are read by CLIP, the size of the face
comes from the detector. The numbers below read a picture; they judge nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lora_doctor.types import (
    CLOSE_UP,
    FULL_BODY,
    IDENTITY_EMPHASIS,
    IN_CONTEXT,
    UPPER_BODY,
    Dataset,
    DatasetImage,
    LabelSet,
    Reading,
    Role,
)

FILLS_THE_FRAME = 0.45
"""Face height / picture height from which the character is the entire frame, whatever framing CLIP reads."""
LARGE_FACE = 0.30
"""Face height / picture height from which an upper body is head and shoulders (a head is about 4/3 of its face box)."""
FAR_AWAY = 0.15
"""Face height / picture height below which no picture is a close-up, whatever framing CLIP reads."""
PLAIN = "simple_background"


def classify_roles(
    dataset: Dataset, references: Sequence[Reading | None], label_sets: Mapping[str, LabelSet]
) -> Dataset:
    """`dataset` with `role` and `role_reason` filled; `references` are its readings, in its order.

    | framing read | role |
    |---|---|
    | any, face at least 0.45 of the height | identity-emphasis |
    | close-up | identity-emphasis; in-context when the face is below 0.15 of the height |
    | upper body | in-context; identity-emphasis when the background is plain and the face at least 0.30 of the height |
    | full body | in-context |
    | unknown | identity-emphasis when the face is at least 0.30 of the height, else in-context |

    A picture that could not be read, or shows neither framing nor face, keeps no role, and the reason why.
    """
    pairs = zip(dataset.images, references, strict=True)
    return replace(dataset, images=tuple(_classified(image, reading, label_sets) for image, reading in pairs))


def _classified(image: DatasetImage, reading: Reading | None, label_sets: Mapping[str, LabelSet]) -> DatasetImage:
    if reading is None:
        return replace(image, role=None, role_reason="could not be read")
    role, reason = _role(reading.top_label(label_sets.get("framing")), face_share(reading), _plain(reading, label_sets))
    return replace(image, role=role, role_reason=reason)


def _role(framing: str | None, face: float | None, plain: bool) -> tuple[Role | None, str]:
    seen = "no face" if face is None else f"face {face:.0%} of the height"
    if face is not None and face >= FILLS_THE_FRAME:
        return IDENTITY_EMPHASIS, f"{seen} fills the frame"
    if framing == CLOSE_UP:
        far = face is not None and face < FAR_AWAY
        return (
            (IN_CONTEXT, f"{seen} is too far away for a close-up") if far else (IDENTITY_EMPHASIS, f"close-up, {seen}")
        )
    if framing == UPPER_BODY and plain and face is not None and face >= LARGE_FACE:
        return IDENTITY_EMPHASIS, f"head and shoulders, plain background, {seen}"
    if framing in (UPPER_BODY, FULL_BODY):
        return IN_CONTEXT, f"{framing}, {seen}"
    if face is None:
        return None, "neither framing nor face could be read"
    return (IDENTITY_EMPHASIS if face >= LARGE_FACE else IN_CONTEXT), f"framing unknown, {seen}"


def face_share(reading: Reading) -> float | None:
    """Height of the face inside the picture / height of the picture, 0 to 1; None without a face."""
    if reading.face.box is None or reading.height <= 0:
        return None
    _, top, _, bottom = reading.face.box
    return max(0.0, min(bottom, reading.height) - max(top, 0.0)) / reading.height


def _plain(reading: Reading, label_sets: Mapping[str, LabelSet]) -> bool:
    sets = [labels for labels in label_sets.values() if labels.kind == "environment"]
    return any(reading.top_label(labels) == PLAIN for labels in sets)
