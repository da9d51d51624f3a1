"""How large the faces of the in-context pictures are when they are trained on.

In pixels of the picture as the trainer resizes it, since a model draws a face from so many of its latent pixels (8
picture pixels a side in the autoencoders of Stable Diffusion, SDXL and FLUX), and as a part of the picture's height,
since a model that was trained on pictures of another size draws another scale. Enlarging a picture adds no detail: a
face never counts larger than it is stored. Shares are weighted by repeats; pictures without a face are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lora_doctor.face_shares import normal_chance, quantile, share, sure_faces
from lora_doctor.types import IN_CONTEXT, Case, DatasetImage, FaceReading, Measurement
from lora_doctor.upright import looked_at_size

LOOKS = True
"""It asks what the instruments read."""

PIXELS = (32, 48, 64, 80)
"""Heights asked for; rules choose one."""
HEIGHTS = {"1/10": 1 / 10, "1/7": 1 / 7}
"""Parts of the picture's height asked for; the adult figure is 1/10 face, and FlashFace trained on 1/7 and above."""
QUANTILES = {"10": 0.1, "50": 0.5, "90": 0.9}
LATENT = 8
"""Picture pixels a side of a latent one."""
BOX_ERROR = 0.08
"""Standard error of the logarithm of a face box's height, assumed: where chin and brows lie differs by detector."""
OWN_SIZE = "nothing says at what resolution they are trained: measured as stored, at which faces are largest"


@dataclass(frozen=True, kw_only=True)
class _Face:
    index: int
    repeats: float
    part: float
    """Height / height of the picture."""
    pixels: float
    """Height when trained on."""


def audit(case: Case) -> list[Measurement]:
    """`faces.below_share` by pixels and by part of the height, `faces.height` (quantiles, pixels),
    `faces.latent_height`."""
    faces = [one for index, face in sure_faces(case)[0] if (one := _measured(case, index, face)) is not None]
    assumed = any(_resolution(case, case.dataset.images[face.index]) is None for face in faces)
    slices: list[tuple[dict[str, str], float, Callable[[_Face], float]]] = [
        *(({"pixels": str(limit)}, float(limit), lambda face: face.pixels) for limit in PIXELS),
        *(({"height": name}, part, lambda face: face.part) for name, part in HEIGHTS.items()),
    ]
    if not faces:
        reason = _why_none(case)
        return [
            *(Measurement(name="faces.below_share", value=None, unit="share", where=where, reason=reason)
              for where, _, _ in slices),
            *(Measurement(name="faces.height", value=None, unit="pixels", where={"quantile": q}, reason=reason)
              for q in QUANTILES),
            Measurement(name="faces.latent_height", value=None, unit="latent pixels", reason=reason),
        ]  # fmt: skip
    weights = [face.repeats for face in faces]
    caveat = OWN_SIZE if assumed else None
    middle = quantile(weights, [face.pixels for face in faces], 0.5)
    return [
        *(_below(faces, where, limit, size, assumed and "pixels" in where) for where, limit, size in slices),
        *(Measurement(name="faces.height", value=quantile(weights, [face.pixels for face in faces], at), unit="pixels",
                      n=len(faces), where={"quantile": name}, reason=caveat) for name, at in QUANTILES.items()),
        Measurement(name="faces.latent_height", value=middle / LATENT, unit="latent pixels", n=len(faces),
                    reason=caveat or f"a latent pixel is taken to be {LATENT} pixels"),
    ]  # fmt: skip


def _measured(case: Case, index: int, face: FaceReading) -> _Face | None:
    image, reading = case.dataset.images[index], case.references[index]
    if image.role != IN_CONTEXT or reading is None or face.box is None:
        return None
    tall = face.box[3] - face.box[1]
    if not tall > 0 or reading.height <= 0:
        return None
    part = tall / reading.height  # of the picture as read, which may be smaller than as stored
    size = looked_at_size(case.dataset, image)
    scale = _scale(size, _resolution(case, image), _buckets(case, image))
    return _Face(index=index, repeats=image.repeats, part=part, pixels=part * size[1] * scale)


def _resolution(case: Case, image: DatasetImage) -> tuple[int, int] | None:
    """Width and height whose product is the area trained at, as the subset or the settings say."""
    told = case.dataset.subsets[image.subset].resolution if image.subset < len(case.dataset.subsets) else None
    if told is None and case.training.resolution:
        told = (case.training.resolution, case.training.resolution)
    return told if told is not None and min(told) > 0 else None


def _buckets(case: Case, image: DatasetImage) -> bool:
    """Whether pictures keep their shape; so do most trainers where nothing is said."""
    told = case.dataset.subsets[image.subset].buckets if image.subset < len(case.dataset.subsets) else None
    return told is not False


def _scale(size: tuple[int, int], resolution: tuple[int, int] | None, buckets: bool) -> float:
    """By how much the picture is made smaller: to the area trained at, or until it just covers the resolution."""
    if resolution is None:
        return 1.0
    wide, tall = resolution
    if buckets:
        return min(1.0, math.sqrt(wide * tall / max(1, size[0] * size[1])))
    return min(1.0, max(wide / max(1, size[0]), tall / max(1, size[1])))


def _below(
    faces: Sequence[_Face], where: dict[str, str], limit: float, size: Callable[[_Face], float], least: bool
) -> Measurement:
    """Share of the faces below a size; `least`: the true share may be larger."""
    held = [size(face) < limit for face in faces]
    chances = [normal_chance(math.log(limit / size(face)), BOX_ERROR) for face in faces]
    value, interval = share([face.repeats for face in faces], held, chances)
    smallest = sorted(
        (face for face, one in zip(faces, held, strict=True) if one), key=lambda face: (size(face), face.index)
    )
    return Measurement(
        name="faces.below_share", value=value, unit="share", n=len(faces), where=where,
        interval=(interval[0], 1.0) if least else interval, reason=OWN_SIZE if least else None,
        pictures=tuple(face.index for face in smallest),
    )  # fmt: skip


def _why_none(case: Case) -> str:
    if not any(image.role == IN_CONTEXT for image in case.dataset.images):
        return "the dataset has no in-context picture"
    return "no face was found in any in-context picture"
