"""Gives each dataset picture its role, as the source article draws the line, with a probability.

Identity-emphasis: "close-up portraits, head-and-shoulders shots, clean backgrounds. The character is the entire frame."
In-context: "full-body shots across varied environments". Four witnesses are heard together: where the lower edge of the
picture cuts the body (from the face box), the room above the head, the framing that CLIP reads, and whether the
background is plain; `role_mixture` says how. The numbers below read a picture; they judge nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path

from lora_doctor.errors import UsageError
from lora_doctor.role_geometry import Geometry, geometry
from lora_doctor.role_mixture import EMPHASIS_SHOTS, SHOTS, Seen, shots_of
from lora_doctor.types import FRAMINGS, IDENTITY_EMPHASIS, IN_CONTEXT, Dataset, DatasetImage, LabelSet, Reading, Role
from lora_doctor.upright import why_not

PLAIN = "simple_background"
SUREST = 0.999
"""No picture is surer than this to have its role, unless the user says so: no error was seen among 3000 pictures of 50
characters of the miniature, which leaves one in a thousand possible (rule of three)."""
FOLDER_NAMES: Mapping[Role, frozenset[str]] = {
    IDENTITY_EMPHASIS: frozenset(
        {"closeup", "face", "faceshot", "facecloseup", "portrait", "headshot", "identity", "identityemphasis", "bust"}
    ),
    IN_CONTEXT: frozenset({"fullbody", "wholebody", "upperbody", "halfbody", "cowboyshot", "context", "incontext"}),
}
"""Words that say of a folder what it holds, without hyphens, underscores and a plural s."""


def classify_roles(
    dataset: Dataset, references: Sequence[Reading | None], label_sets: Mapping[str, LabelSet], *,
    unread: str | None = None,
) -> Dataset:  # fmt: skip
    """`dataset` with `role`, `role_reason` and `emphasis` filled; `references` are its readings, in its order.

    Roles that the user gave (`overruled`, `Subset.role`) stay, with a probability of 0 or 1, and help to judge the
    others. `emphasis` is the probability of identity-emphasis, the role the likelier one. A picture that could not be
    read, or shows neither framing nor face, keeps no role, and the reason why; `unread` = why none was read.
    """
    images = [_told_by_subset(image, dataset) for image in dataset.images]
    pairs = list(zip(images, references, strict=True))
    legible = [i for i, (_, reading) in enumerate(pairs) if reading is not None and _legible(reading, label_sets)]
    rows = shots_of(_seen([pairs[i] for i in legible], label_sets)) if legible else ()
    shots = {index: [float(each) for each in row] for index, row in zip(legible, rows, strict=True)}
    told = [
        _classified(image, reading, shots.get(i), label_sets, why_not(dataset, image) or unread)
        for i, (image, reading) in enumerate(pairs)
    ]
    return replace(dataset, images=tuple(_with_folder(image, dataset) for image in told))


def overruled(dataset: Dataset, given: Mapping[str, Role]) -> Dataset:
    """`dataset` with the roles that the user gives: glob -> role, the last that matches a picture decides.

    A glob is that of the path below the dataset's folder (its config's folder, where it is a config), `*` crosses `/`;
    a folder's name stands for all in it. Call it before `classify_roles`, which keeps these roles and learns from them;
    afterwards works too. Raises UsageError naming a glob that matches no picture.
    """
    images = list(dataset.images)
    names = [_name_in(dataset, image) for image in images]
    for glob, role in given.items():
        pattern = glob.strip().removeprefix("./").rstrip("/")
        hits = [i for i, name in enumerate(names) if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}/*")]
        if not hits:
            raise UsageError(
                f"the role {role} is given to {glob!r}, and no picture matches that.", path=dataset.path,
                advice="Write the path of a picture or folder as it lies below the dataset; * stands for anything.",
            )  # fmt: skip
        for i in hits:
            images[i] = _given(images[i], role)
    return replace(dataset, images=tuple(images))


# ---------------------------------------------------------------- what the user says


def _given(image: DatasetImage, role: Role) -> DatasetImage:
    return replace(image, role=role, role_reason="given", emphasis=float(role == IDENTITY_EMPHASIS))


def _is_given(image: DatasetImage) -> bool:
    return image.emphasis in (0.0, 1.0)


def _told_by_subset(image: DatasetImage, dataset: Dataset) -> DatasetImage:
    """With the role of its subset, unless the picture itself was given one."""
    role = dataset.subsets[image.subset].role if image.subset < len(dataset.subsets) else None
    return image if role is None or _is_given(image) else _given(image, role)


def _name_in(dataset: Dataset, image: DatasetImage) -> str:
    """The path below the dataset's folder, with forward slashes; of a picture elsewhere, below its subset's parent."""
    roots = [dataset.path, dataset.path.parent]
    if image.subset < len(dataset.subsets):
        roots.append(dataset.subsets[image.subset].folder.parent)
    root = next((root for root in roots if image.path.is_relative_to(root)), None)
    return (image.path if root is None else image.path.relative_to(root)).as_posix()


def _with_folder(image: DatasetImage, dataset: Dataset) -> DatasetImage:
    """With a remark where a folder's name plainly says a role; it is mentioned, it decides nothing."""
    said = _folder_says(Path(_name_in(dataset, image)).parent.parts)
    if said is None or image.role is None or _is_given(image):
        return image
    agrees = "as" if said == image.role else "though"
    return replace(image, role_reason=f"{image.role_reason}; {agrees} its folder's name says {said}")


def _folder_says(parts: Sequence[str]) -> Role | None:
    """The role that the nearest telling folder name means; None where none tells, or it tells both."""
    for name in reversed(parts):
        words = re.findall(r"[a-z]+", name.lower())
        joined = {*words, *map("".join, pairwise(words))}
        known = joined | {word.removesuffix("s") for word in joined}
        said = [role for role, telling in FOLDER_NAMES.items() if known & telling]
        if said:
            return said[0] if len(said) == 1 else None
    return None


# ---------------------------------------------------------------- what the pictures show


def _framing_row(reading: Reading, label_sets: Mapping[str, LabelSet]) -> list[float] | None:
    """CLIP's probabilities of `FRAMINGS`, whatever else its label set holds; None where they were not read."""
    labels, row = label_sets.get("framing"), reading.probabilities.get("framing")
    if labels is None or row is None:
        return None
    share = {label: float(each) for label, each in zip(labels.labels, row, strict=False)}
    if not all(framing in share for framing in FRAMINGS) or not sum(share[framing] for framing in FRAMINGS) > 0:
        return None
    rest = max(0.0, 1 - sum(share[framing] for framing in FRAMINGS)) / len(FRAMINGS)  # other labels speak for none
    return [share[framing] + rest for framing in FRAMINGS]


def _plain(reading: Reading, label_sets: Mapping[str, LabelSet]) -> float:
    """CLIP's probability that the background is plain; NaN where it was not asked."""
    for labels in label_sets.values():
        row = reading.probabilities.get(labels.attribute)
        if labels.kind == "environment" and PLAIN in labels.labels and row is not None:
            return min(1.0, max(0.0, float(row[labels.labels.index(PLAIN)])))
    return math.nan


def _legible(reading: Reading, label_sets: Mapping[str, LabelSet]) -> bool:
    return geometry(reading) is not None or _framing_row(reading, label_sets) is not None


def _seen(pairs: Sequence[tuple[DatasetImage, Reading | None]], label_sets: Mapping[str, LabelSet]) -> Seen:
    import numpy as np

    read = [reading for _, reading in pairs if reading is not None]
    places = [geometry(reading) for reading in read]
    rows = [_framing_row(reading, label_sets) or [math.nan] * len(FRAMINGS) for reading in read]
    near = np.arange(len(SHOTS)) < EMPHASIS_SHOTS
    allowed = [near == image.emphasis if _is_given(image) else np.ones(len(SHOTS), bool) for image, _ in pairs]
    return Seen(
        below=np.array([math.nan if place is None else place.below for place in places]),
        above=np.array([math.nan if place is None else place.above for place in places]),
        clip=np.array(rows),
        plain=np.array([_plain(reading, label_sets) for reading in read]),
        allowed=np.array(allowed),
    )


def _classified(
    image: DatasetImage, reading: Reading | None, shots: Sequence[float] | None, label_sets: Mapping[str, LabelSet],
    kept_out: str | None,
) -> DatasetImage:  # fmt: skip
    if _is_given(image):
        return image
    if reading is None or shots is None:
        reason = kept_out or "could not be read" if reading is None else "neither framing nor face could be read"
        return replace(image, role=None, role_reason=reason, emphasis=None)
    near = sum(shots[:EMPHASIS_SHOTS])
    emphasis = min(SUREST, max(1 - SUREST, near))
    role = IDENTITY_EMPHASIS if emphasis >= 0.5 else IN_CONTEXT
    names = slice(None, EMPHASIS_SHOTS) if role == IDENTITY_EMPHASIS else slice(EMPHASIS_SHOTS, None)
    shot = max(zip(shots[names], SHOTS[names], strict=True))[1]
    return replace(image, role=role, role_reason=f"{shot}: {_says(reading, label_sets)}", emphasis=emphasis)


def _says(reading: Reading, label_sets: Mapping[str, LabelSet]) -> str:
    """What the witnesses saw, in a few words."""
    place, row = geometry(reading), _framing_row(reading, label_sets)
    words = ["no face found"] if place is None else [_room(place)]
    if row is not None:
        words.append(f"CLIP reads {FRAMINGS[row.index(max(row))]}")
    if _plain(reading, label_sets) > 0.5:
        words.append("plain background")
    return ", ".join(words)


def _room(place: Geometry) -> str:
    below = "chin cut off" if place.below < 0 else f"{place.below:.1f} face heights below the chin"
    return f"face {place.face_share:.0%} of the height, {below}"
