"""The dataset's split: how much of what the trainer sees is the face, and how much the character somewhere.

Shares are weighted by repeats: the exposed ratio is what trains. They have no interval: the dataset is a census.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lora_doctor.types import (
    FRAMINGS,
    FULL_BODY,
    IDENTITY_EMPHASIS,
    UPPER_BODY,
    Case,
    DatasetImage,
    Measurement,
    Reading,
)

Pair = tuple[DatasetImage, Reading | None]


def audit(case: Case) -> list[Measurement]:
    """`dataset.images`, `.identity_ratio`, `.framing_share`, `.body_visible_share` and `.no_face_share`."""
    pairs = list(zip(case.dataset.images, case.references, strict=True))
    labels = case.label_sets.get("framing")

    def framing(pair: Pair) -> str | None:
        return None if pair[1] is None else pair[1].top_label(labels)

    def faceless(pair: Pair) -> bool | None:
        return None if pair[1] is None else pair[1].face.embedding is None

    def emphasis(pair: Pair) -> bool | None:
        return None if pair[0].role is None else pair[0].role == IDENTITY_EMPHASIS

    def framed(*wanted: str) -> Callable[[Pair], bool | None]:
        return lambda pair: None if (own := framing(pair)) is None else own in wanted

    count = len(pairs)
    return [
        Measurement(name="dataset.images", value=count, unit="count", n=count),
        _share("dataset.identity_ratio", pairs, emphasis, {}, "could not be given a role"),
        *(_share("dataset.framing_share", pairs, framed(f), {"framing": f}, _UNREAD) for f in FRAMINGS),
        _share("dataset.body_visible_share", pairs, framed(UPPER_BODY, FULL_BODY), {}, _UNREAD),
        _share("dataset.no_face_share", pairs, faceless, {}, "could not be read"),
    ]


_UNREAD = "have no framing that could be read"


def _share(
    name: str, pairs: Sequence[Pair], holds: Callable[[Pair], bool | None], where: dict[str, str], unread: str
) -> Measurement:
    """The repeats-weighted share of the pictures for which `holds`, out of those it is known for."""
    known = [(pair[0].repeats, held) for pair in pairs if (held := holds(pair)) is not None]
    total, left_out = sum(repeats for repeats, _ in known), len(pairs) - len(known)
    value = sum(repeats for repeats, held in known if held) / total if total else None
    reason = f"{left_out} of {len(pairs)} pictures {unread}" if left_out or not total else None
    return Measurement(name=name, value=value, unit="share", n=len(known), where=where, reason=reason)
