"""How much the pictures vary: effective numbers of outfits, poses, expressions, framings and lights.

Exp of the entropy of shares weighted by repeats, over the pictures whose framing shows the thing: what never changes is
learned as part of the character. Intervals hold the doubts of CLIP alone: the dataset is a census. Environments are
told in `environments`.
"""

from __future__ import annotations

from collections.abc import Sequence

from lora_doctor.effective_number import DRAWS, SEED, evenly, near, of_alike, of_labels
from lora_doctor.types import IN_CONTEXT, Case, LabelSet, Measurement
from lora_doctor.visible import Visible, look, said_share

LOOKS = True
"""It asks what the instruments read."""

NAMES = {"pose": "dataset.poses", "expression": "dataset.expressions", "framing": "dataset.framings"}
UNITS = {"pose": "poses", "expression": "expressions", "framing": "framings"}
SURE = 0.8
"""Probability from which a picture is taken to show a label: a doubtful stray among many makes no outfit."""
LIGHT_REACH = 10.0
"""Difference of mean colour in CIE Lab over which one light grows into two: four or five just noticeable differences
(2.3), as between noon and evening, or lamp light and daylight."""
POSE_REACH = 0.8
"""The same for unit embeddings; see `environments.REACH`."""


def audit(case: Case) -> list[Measurement]:
    """`dataset.outfits`, `.outfit_captioned_share`, `.poses`, `.expressions`, `.framings`, `.lights`."""
    found = []
    for kind, name in NAMES.items():
        labels = next((one for one in case.label_sets.values() if one.kind == kind), None)
        found.append(_of_kind(case, labels, kind, name))
    return [*_outfits(case), *found, _lights(case)]


# ---------------------------------------------------------------- by labels


def _of_kind(case: Case, labels: LabelSet | None, kind: str, name: str) -> Measurement:
    if labels is None:
        if kind == "pose":
            return _poses_by_embedding(case)
        return _none(name, UNITS[kind], f"there is no label set of {UNITS[kind]}")
    visible = look(case.dataset.images, case.references, case.label_sets, labels)
    if not len(visible):
        return _none(name, UNITS[kind], _why_none(visible))
    return _effective(name, UNITS[kind], [visible], [range(len(visible))])


def _outfits(case: Case) -> list[Measurement]:
    """Whole outfits where all garments are to be seen; or the one garment that varies most, where that is more.

    Skirts are hidden in upper-body pictures: counting whole outfits alone would lose the other tops that those show.
    """
    sets = [labels for labels in case.label_sets.values() if labels.kind == "outfit"]
    looked = [look(case.dataset.images, case.references, case.label_sets, labels) for labels in sets]
    seen = [visible for visible in looked if len(visible)]
    if not seen:
        why = "no picture shows an outfit" if sets else "there is no label set of outfits"
        captioned = Measurement(name="dataset.outfit_captioned_share", value=None, unit="share", reason=why)
        return [_none("dataset.outfits", "outfits", why), captioned]
    counts = [_effective("dataset.outfits", "outfits", [visible], [range(len(visible))]) for visible in seen]
    common = set.intersection(*(set(visible.pictures) for visible in seen))
    if len(seen) > 1 and common:
        rows = [visible.rows(common) for visible in seen]
        counts.append(_effective("dataset.outfits", "outfits", seen, rows))
    return [max(counts, key=lambda one: one.value or 0.0), _outfit_captioned(case, seen)]


def _outfit_captioned(case: Case, seen: Sequence[Visible]) -> Measurement:
    """Share of the pictures that show a garment whose caption names one, be it the right one."""
    pictures = sorted({index for visible in seen for index in visible.pictures})
    words = tuple(label for visible in seen for label in visible.labels.labels)
    parts = {index: said_share(case.dataset.images[index], words) for index in pictures}
    weights = {index: case.dataset.images[index].repeats for index in pictures}
    value = sum(weights[index] * part for index, part in parts.items()) / sum(weights.values())
    return Measurement(
        name="dataset.outfit_captioned_share", value=min(1.0, value), unit="share", n=len(pictures),
        pictures=tuple(index for index, part in parts.items() if part < 1),
    )  # fmt: skip


def _effective(name: str, unit: str, seen: Sequence[Visible], rows: Sequence[Sequence[int]]) -> Measurement:
    """The effective number of joint labels of `rows` (the same pictures in each of `seen`).

    Pictures that CLIP is not sure of are left out of the value, unless they are most of them, and widen the interval.
    """
    import numpy as np

    n, repeats = len(rows[0]), seen[0].repeats[list(rows[0])]
    told, sure = np.zeros(n, dtype=np.int64), np.ones(n, dtype=bool)
    drawn = np.zeros((DRAWS, n), dtype=np.int64)
    for i, (visible, chosen) in enumerate(zip(seen, rows, strict=True)):
        own, count = list(chosen), len(visible.labels.labels)
        told = told * count + visible.probability[own].argmax(axis=1)
        sure &= visible.probability[own].max(axis=1) >= SURE
        drawn = drawn * count + visible.draws(DRAWS, SEED + i)[:, own]
    _, flat = np.unique(np.concatenate([told[None], drawn]), return_inverse=True)
    table = flat.reshape(DRAWS + 1, n)
    kept = sure if 2 * sure.sum() >= n else np.ones(n, dtype=bool)
    value = of_labels(table[0, kept], table[:0, kept], repeats[kept]).value
    doubt = of_labels(table[0], table[1:], repeats)
    interval = min(value, doubt.low), max(value, doubt.high)
    unread = max(visible.unread for visible in seen)
    reason = f"{unread} pictures could not be read" if unread else None
    return Measurement(
        name=name, value=value, unit=unit, n=n, interval=interval if interval[0] < interval[1] else None, reason=reason
    )


# ---------------------------------------------------------------- by likeness


def _poses_by_embedding(case: Case) -> Measurement:
    """The effective number of in-context pictures, by how alike they are as a whole."""
    import numpy as np

    pairs = list(zip(case.dataset.images, case.references, strict=True))
    known = [
        (image.repeats, reading.embedding)
        for image, reading in pairs
        if image.role == IN_CONTEXT and reading is not None and reading.embedding is not None
    ]
    if not known:
        return _none("dataset.poses", "poses", "there is no label set of poses, and no in-context picture was read")
    chosen = [known[i] for i in evenly(len(known))]
    value = of_alike(
        near(np.stack([embedding for _, embedding in chosen]).astype(float), POSE_REACH),
        np.array([repeats for repeats, _ in chosen], dtype=float),
    )
    reason = "there is no label set of poses: told by how alike whole pictures are, place and character included"
    return Measurement(name="dataset.poses", value=value, unit="poses", n=len(known), reason=reason)


def _lights(case: Case) -> Measurement:
    """The effective number of lights: pictures of one mean lightness and colour cast are one."""
    import numpy as np

    known = [(image.repeats, image.facts.colour) for image in case.dataset.images if image.facts is not None]
    if not known:
        return _none("dataset.lights", "lights", "the colours of the pictures were not measured")
    chosen = [known[i] for i in evenly(len(known))]
    value = of_alike(
        near(np.array([colour for _, colour in chosen], dtype=float), LIGHT_REACH),
        np.array([repeats for repeats, _ in chosen], dtype=float),
    )
    return Measurement(name="dataset.lights", value=value, unit="lights", n=len(known))


def _none(name: str, unit: str, reason: str) -> Measurement:
    return Measurement(name=name, value=None, unit=unit, reason=reason)


def _why_none(visible: Visible) -> str:
    attribute = visible.labels.attribute
    return f"no picture that shows {attribute} could be read" if visible.unread else f"no picture shows {attribute}"
