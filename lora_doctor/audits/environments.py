"""Where the dataset's in-context pictures play, how many environments that is, and whether captions say so.

Shares are weighted by repeats. Environments are read off the pictures by CLIP, a stray reading being taken for the
mistake it likely is; the plain backdrop is none. Without labels of environments, the pictures' embeddings tell how many
there are.
"""

from __future__ import annotations

from collections.abc import Sequence

from lora_doctor.effective_number import DRAWS, SEED, evenly, near, of_alike, of_labels
from lora_doctor.types import IN_CONTEXT, Case, Measurement
from lora_doctor.visible import Visible, look, said_share

LOOKS = True
"""It asks what the instruments read."""

PLAIN = "simple_background"
REACH = 0.8
"""Distance of unit embeddings, 0 to 2, over which two pictures grow into two. With it, pictures of one place (cosine
0.9) count for two or three however many they are, and pictures that share no more than their character (0.6 to 0.7) for
many."""


def audit(case: Case) -> list[Measurement]:
    """`dataset.environments`, `.environment_share` and `.environment_captioned_share`."""
    labels = next((one for one in case.label_sets.values() if one.kind == "environment"), None)
    in_context = [index for index, image in enumerate(case.dataset.images) if image.role == IN_CONTEXT]
    if labels is None:
        return [_by_embeddings(case, in_context), _no_captioned("there is no label set of environments")]
    visible = look(case.dataset.images, case.references, case.label_sets, labels, in_context)
    rows = [row for row, label in enumerate(visible.told) if label != PLAIN]
    if not rows:
        why = _why_none(len(in_context), len(visible))
        return [_number(None, 0, why), _no_captioned(why)]
    reason = f"{visible.unread} of {len(in_context)} in-context pictures could not be read" if visible.unread else None
    return [*_spread(visible, rows, reason), _captioned(case, visible, rows, reason)]


def _spread(visible: Visible, rows: Sequence[int], reason: str | None) -> list[Measurement]:
    """The effective number of environments with the doubts of the instrument, and each one's share."""
    told, repeats = visible.probability.argmax(axis=1), visible.repeats[list(rows)]
    number = of_labels(told[list(rows)], visible.draws(DRAWS, SEED)[:, list(rows)], repeats)
    shares: dict[str, float] = {}
    pictures: dict[str, list[int]] = {}
    for row, repeat in zip(rows, repeats, strict=True):
        label = visible.told[row]
        shares[label] = shares.get(label, 0.0) + float(repeat / repeats.sum())
        pictures.setdefault(label, []).append(visible.pictures[row])
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    interval = (number.low, number.high) if number.low < number.high else None
    return [
        _number(number.value, len(rows), reason, interval),
        *(
            Measurement(
                name="dataset.environment_share", value=share, unit="share", n=len(rows), where={"environment": label},
                pictures=tuple(pictures[label]),
            )
            for label, share in ordered
        ),
    ]  # fmt: skip


def _captioned(case: Case, visible: Visible, rows: Sequence[int], reason: str | None) -> Measurement:
    """Share of in-context pictures whose caption names an environment: any one, as CLIP may misread the picture's."""
    words = tuple(label for label in visible.labels.labels if label != PLAIN)

    def saying(index: int) -> float:
        return said_share(case.dataset.images[index], words)

    parts = {visible.pictures[row]: (saying(visible.pictures[row]), float(visible.repeats[row])) for row in rows}
    total = sum(repeats for _, repeats in parts.values())
    return Measurement(
        name="dataset.environment_captioned_share",
        value=sum(part * repeats for part, repeats in parts.values()) / total,
        unit="share",
        n=len(rows),
        reason=reason,
        pictures=tuple(index for index, (part, _) in parts.items() if part < 1),
    )


def _by_embeddings(case: Case, in_context: Sequence[int]) -> Measurement:
    """The effective number of places by how alike the in-context pictures are as a whole."""
    import numpy as np

    readings = [(index, case.references[index]) for index in in_context]
    known = [(index, r.embedding) for index, r in readings if r is not None and r.embedding is not None]
    if not known:
        why = "there is no label set of environments, and no in-context picture was read"
        return _number(None, 0, why)
    chosen = [known[i] for i in evenly(len(known))]
    repeats = np.array([case.dataset.images[index].repeats for index, _ in chosen], dtype=float)
    alike = near(np.stack([embedding for _, embedding in chosen]).astype(float), REACH)
    why = "there is no label set of environments: told by how alike whole pictures are, character included"
    return _number(of_alike(alike, repeats), len(known), why)


def _number(
    value: float | None, n: int, reason: str | None, interval: tuple[float, float] | None = None
) -> Measurement:
    return Measurement(
        name="dataset.environments", value=value, unit="environments", n=n, interval=interval, reason=reason
    )


def _no_captioned(reason: str) -> Measurement:
    return Measurement(name="dataset.environment_captioned_share", value=None, unit="share", reason=reason)


def _why_none(in_context: int, read: int) -> str:
    if not in_context:
        return "the dataset has no in-context picture"
    return "no in-context picture could be read" if not read else "every in-context picture has a plain background"
