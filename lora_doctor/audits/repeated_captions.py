"""Captions that several pictures share: then the text cannot tell the pictures apart.

Shares are weighted by repeats but where said, and have no interval: the dataset is a census. Of a picture with several
captions the first counts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from lora_doctor.caption_groups import caption_content, groups_of
from lora_doctor.caption_share import NO_CAPTIONS, captioned, weight
from lora_doctor.captions import texts
from lora_doctor.types import Case, Measurement

LOOKS = True
"""It asks what the instruments read."""

_TOLD_APART = ("environment", "pose", "outfit", "framing")
"""Kinds of attribute in which pictures differ for everybody to see."""
_Z90 = 1.645
CERTAIN = 0.9
"""Probability from which a reading is believed when two pictures are compared."""


def audit(case: Case) -> list[Measurement]:
    """`captions.distinct_share`, `.near_identical_share`, `.largest_group_share`, `.identical_yet_different_share`."""
    among = captioned(case.dataset)
    contents = [caption_content(texts(case.dataset.images[index])[0]) for index in among]
    identical = [[among[n] for n in group] for group in groups_of(contents, 1.0)]
    alike = [[among[n] for n in group] for group in groups_of(contents)]
    return [_distinct(contents), *_repeated(case, among, alike), _different(case, among, identical)]


def _distinct(contents: Sequence[frozenset[str]]) -> Measurement:
    """Different captions out of all captions, order of tags aside; not weighted by repeats."""
    value = len(set(contents)) / len(contents) if contents else None
    reason = None if contents else NO_CAPTIONS
    return Measurement(name="captions.distinct_share", value=value, unit="share", n=len(contents), reason=reason)


def _repeated(case: Case, among: Sequence[int], groups: Sequence[Sequence[int]]) -> list[Measurement]:
    """Share of the pictures whose caption another has too, or nearly so; and of the largest such group."""
    total = weight(case.dataset, among)
    shared = [index for group in groups if len(group) > 1 for index in group]
    largest = list(groups[0]) if groups and len(groups[0]) > 1 else []
    told = (("captions.near_identical_share", shared), ("captions.largest_group_share", largest))
    return [
        Measurement(
            name=name, value=weight(case.dataset, own) / total if total else None, unit="share", n=len(among),
            reason=None if total else NO_CAPTIONS, pictures=tuple(own),
        )
        for name, own in told
    ]  # fmt: skip


def _different(case: Case, among: Sequence[int], groups: Sequence[Sequence[int]]) -> Measurement:
    """Share of the pictures whose caption is word for word another's, though the two certainly show different things.

    Different: CLIP is certain of another environment, pose, garment or framing. Each picture is compared with what
    most pictures of its caption show. The interval comes from what CLIP says of its own certainty (the sum of
    independent chances, normal approximation).
    """
    name = "captions.identical_yet_different_share"
    total = weight(case.dataset, among)
    sets = [labels for labels in case.label_sets.values() if labels.kind in _TOLD_APART]
    read = [index for index in among if case.references[index] is not None]
    if not total or not sets or not read:
        reason = NO_CAPTIONS if not total else "no picture could be read" if sets else "there are no such label sets"
        return Measurement(name=name, value=None, unit="share", reason=reason)
    sure = {index: p for group in groups if len(group) > 1 for index, p in _odd_ones(case, group).items()}
    shown = {index: case.dataset.images[index].repeats for index in sure}
    value = sum(shown.values()) / total
    mean = sum(shown[index] * p for index, p in sure.items()) / total
    spread = math.sqrt(sum(shown[index] ** 2 * p * (1 - p) for index, p in sure.items())) / total
    return Measurement(
        name=name, value=value, unit="share", n=len(among), interval=(max(0.0, mean - _Z90 * spread), value),
        pictures=_with_their_groups(sure, groups),
    )  # fmt: skip


def _with_their_groups(sure: Mapping[int, float], groups: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """The odd ones, surest first, and then the others that have the same caption."""
    odd = sorted(sure, key=lambda index: (-sure[index], index))
    others = sorted(index for group in groups if sure.keys() & set(group) for index in group if index not in sure)
    return (*odd, *others)


def _odd_ones(case: Case, group: Sequence[int]) -> dict[int, float]:
    """The pictures of one caption that show something else than most of them, and all where no two agree; with the
    probability of what they show."""
    odd: dict[int, float] = {}
    for name, labels in case.label_sets.items():
        if labels.kind not in _TOLD_APART:
            continue
        shown = {index: read for index in group if (read := _certain(case, index, name)) is not None}
        counts = Counter(label for label, _ in shown.values())
        if len(counts) < 2:
            continue
        most = max(counts.values())
        for index, (label, sure) in shown.items():
            if counts[label] < most or most == 1:
                odd[index] = max(sure, odd.get(index, 0.0))
    return odd


def _certain(case: Case, index: int, attribute: str) -> tuple[str, float] | None:
    """What the picture shows and how surely, where its framing shows the attribute and the instrument is certain."""
    reading, labels = case.references[index], case.label_sets[attribute]
    if reading is None or (label := reading.top_label(labels)) is None:
        return None
    framing = reading.top_label(case.label_sets.get("framing"))
    if framing is not None and framing not in labels.framings:
        return None
    sure = float(reading.probabilities[attribute].max())
    return (label, sure) if sure > CERTAIN else None
