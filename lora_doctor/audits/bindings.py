"""What the pictures show against what the captions say: which labels are bound to the trigger, and which stay free.

Whatever is constant and not captioned is learned as the character; what captions name stays free; what they name in
some pictures and not in others is bound to neither. Shares are weighted by repeats; intervals hold the doubts of CLIP
alone, since the dataset is a census. Also told: whether pictures show a token that stands in most captions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lora_doctor.captions import pieces, texts
from lora_doctor.frequent_tokens import frequent_tokens
from lora_doctor.types import IN_CONTEXT, Case, LabelSet, Measurement
from lora_doctor.visible import Share, Visible, look, said, said_share

LOOKS = True
"""It asks what the instruments read."""

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

PLAIN = "simple_background"
"""A backdrop is no environment, and needs no words."""
TRAITS = ("identity", "body")
"""Kinds of attribute that are the character's own: bound to the trigger is where they belong."""
FREE = ("environment", "outfit", "pose", "expression")
"""Kinds that should stay free; also the key of their labels in `where`."""
NOTABLE = 0.02
"""Share of pictures from which a label is told at all: one in fifty."""
MOST = 0.35
"""Share of captions from which a token is asked of the pictures: as `captions.token_frequency` tells them."""


def audit(case: Case) -> list[Measurement]:
    """`binding.*` by attribute and label, and `captions.token_visible_share` by token.

    `binding.visible` {attribute, label}: share of the pictures whose framing shows the attribute that show the label;
    `binding.captioned` {attribute, label}: share of these whose caption says so; {attribute}: of all of them, the share
    whose caption names any label. `binding.trait_visible` and `.trait_captioned` {attribute}: the same of the label
    that is the character's own (the most usual one, where the spec has none), and `.trait_told`: the share whose
    caption says what it shows, whichever label that is. `binding.environment_visible`, `.outfit_captioned` ...
    {environment: label} ...: of what should stay free. Environments are looked for in in-context pictures.
    """
    tables = [_table(case, _looked(case, labels)) for labels in case.label_sets.values() if labels.kind != "framing"]
    return [measurement for table in tables for measurement in table] + _tokens(case)


def _looked(case: Case, labels: LabelSet) -> Visible:
    among = None
    if labels.kind == "environment":
        among = [index for index, image in enumerate(case.dataset.images) if image.role == IN_CONTEXT]
    return look(case.dataset.images, case.references, case.label_sets, labels, among)


# ---------------------------------------------------------------- visible x captioned


def _table(case: Case, visible: Visible) -> list[Measurement]:
    """All measurements of one attribute."""
    labels = visible.labels
    if not len(visible):
        return [_no_picture(visible, "binding.captioned", {"attribute": labels.attribute})]
    own = case.spec.get(labels.attribute) or labels.labels[int((visible.repeats @ visible.probability).argmax())]
    found = [_any_captioned(case, visible)]
    told = visible.repeats * 0.0
    for index, label in enumerate(labels.labels):
        saying = _saying(case, visible, [label])
        told = told + visible.probability[:, index] * saying
        share = visible.share(label)
        if share is None or (share.value < NOTABLE and label != own):
            continue
        named = visible.captioned(label, saying)
        if named is None and label != own:
            continue
        for prefix, where in _slices(labels, label, own):
            found.append(_measured(f"binding.{prefix}visible", share, visible, where))
            found.append(_captioned(f"binding.{prefix}captioned", named, visible, where, label, saying))
    return [*found, *([_told(visible, told)] if labels.kind in TRAITS else [])]


def _told(visible: Visible, told: Array) -> Measurement:
    """Share of the pictures whose caption says what they show; `told` (n,): the probability that it does."""
    import numpy as np

    weights = visible.repeats / visible.repeats.sum()
    value = min(1.0, float(weights @ told))
    half = 1.645 * float(np.sqrt((weights**2 * told * (1 - told)).clip(0).sum()))
    wrong = sorted(np.flatnonzero(told < 0.5).tolist(), key=lambda row: float(told[row]))
    return Measurement(
        name="binding.trait_told", value=value, unit="share", n=len(visible), reason=visible.caveat,
        interval=(max(0.0, value - half), min(1.0, value + half)), where={"attribute": visible.labels.attribute},
        pictures=tuple(visible.pictures[row] for row in wrong),
    )  # fmt: skip


def _slices(labels: LabelSet, label: str, own: str) -> list[tuple[str, dict[str, str]]]:
    """Under which names and slices a label is told."""
    told = [("", {"attribute": labels.attribute, "label": label})]
    if labels.kind in TRAITS and label == own:
        told.append(("trait_", {"attribute": labels.attribute}))
    if labels.kind in FREE and label != PLAIN:
        told.append((f"{labels.kind}_", {labels.kind: label}))
    return told


def _any_captioned(case: Case, visible: Visible) -> Measurement:
    """Share of the pictures that show the attribute whose caption names any of its labels, be it the right one."""
    import numpy as np

    labels = visible.labels
    words = [label for label in labels.labels if label != PLAIN]
    saying = _saying(case, visible, words)
    weights = visible.repeats.copy()
    if PLAIN in labels.labels:
        weights *= np.array([label != PLAIN for label in visible.told])
    total = float(weights.sum())
    where = {"attribute": labels.attribute}
    if not total:
        return _no_picture(visible, "binding.captioned", where)
    lacking = [visible.pictures[row] for row in np.flatnonzero((saying < 1) & (weights > 0))]
    return Measurement(
        name="binding.captioned", value=min(1.0, float(weights @ saying) / total), unit="share",
        n=int((weights > 0).sum()), where=where, pictures=tuple(lacking),
    )  # fmt: skip


def _measured(name: str, share: Share, visible: Visible, where: Mapping[str, str]) -> Measurement:
    reason = visible.caveat
    if not share.told:
        doubt = f"CLIP is too unsure of it in these pictures: anything from {share.low:.0%} to {share.high:.0%}"
        return Measurement(name=name, value=None, unit="share", n=len(visible), where=where, reason=doubt)
    return Measurement(
        name=name, value=share.value, unit="share", n=len(visible), interval=share.interval, where=where, reason=reason
    )


def _captioned(
    name: str, share: Share | None, visible: Visible, where: Mapping[str, str], label: str, saying: Array
) -> Measurement:
    """The share, and which pictures show the label without their caption saying so."""
    if share is None:
        return Measurement(
            name=name, value=None, unit="share", where=where, reason=f"no picture is likely to show {label}"
        )
    shows = visible.probability[:, visible.labels.labels.index(label)]
    lacking = sorted(
        (row for row in range(len(visible)) if shows[row] >= 0.5 and saying[row] < 1), key=lambda r: saying[r]
    )
    return Measurement(
        name=name, value=share.value, unit="share", n=round(float(shows.sum())), interval=share.interval, where=where,
        reason=visible.caveat, pictures=tuple(visible.pictures[row] for row in lacking),
    )  # fmt: skip


def _saying(case: Case, visible: Visible, words: Sequence[str]) -> Array:
    """(n,) share of each picture's captions that say any of the words; 0 where it has none."""
    import numpy as np

    return np.array([said_share(case.dataset.images[index], tuple(words)) for index in visible.pictures], dtype=float)


def _no_picture(visible: Visible, name: str, where: Mapping[str, str]) -> Measurement:
    attribute = visible.labels.attribute
    why = f"no picture shows {attribute}"
    if visible.unread and not len(visible):
        why = f"no picture that shows {attribute} could be read"
    return Measurement(name=name, value=None, unit="share", where=where, reason=why)


# ---------------------------------------------------------------- tokens in most captions


def _tokens(case: Case) -> list[Measurement]:
    """`captions.token_visible_share`: of the pictures whose caption holds a frequent token, the share that show it."""
    images, sets = case.dataset.images, case.label_sets
    captions = [
        (text, image.repeats / len(all_of_them))
        for image in images
        if (all_of_them := texts(image))
        for text in all_of_them
    ]
    known: dict[tuple[str, ...], tuple[LabelSet, str]] = {}
    for labels in sets.values():
        for label in labels.labels:
            known.setdefault(tuple(pieces(label)), (labels, label))
    frequent = frequent_tokens(captions, MOST)
    tokens = {tuple(pieces(token)) for token in frequent} | _frequent_labels(captions, sets)
    asked = {key: known[key] for key in known if key in tokens}
    seen = {labels.attribute: look(images, case.references, sets, labels) for labels, _ in asked.values()}
    unknown = [token for token in frequent if tuple(pieces(token)) not in asked]
    return [_token(case, label, seen[labels.attribute]) for labels, label in asked.values()] + [
        Measurement(
            name="captions.token_visible_share", value=None, unit="share", where={"token": token},
            reason="no label set has it, so CLIP was not asked whether the pictures show it",
        )
        for token in unknown
    ]  # fmt: skip


def _frequent_labels(captions: Collection[tuple[str, float]], sets: Mapping[str, LabelSet]) -> set[tuple[str, ...]]:
    """The labels that enough captions say, be it inside a longer phrase."""
    counts: Counter[str] = Counter()
    for text, weight in captions:
        for labels in sets.values():
            for label in said(text, labels.labels):
                counts[label] += weight  # type: ignore[assignment]
    least = MOST * sum(weight for _, weight in captions)
    return {tuple(pieces(label)) for label, count in counts.items() if count >= least}


def _token(case: Case, token: str, visible: Visible) -> Measurement:
    name, where = "captions.token_visible_share", {"token": token}
    named = {i for i in visible.pictures if said_share(case.dataset.images[i], (token,))}
    rows = visible.rows(named)
    share = visible.share(token, rows)
    if share is None:
        why = f"no picture whose caption has it shows {visible.labels.attribute}"
        return Measurement(name=name, value=None, unit="share", where=where, reason=why)
    shows = visible.probability[:, visible.labels.labels.index(token)]
    lacking = sorted((row for row in rows if shows[row] < 0.5), key=lambda row: float(shows[row]))
    return Measurement(
        name=name, value=share.value if share.told else None, unit="share", n=len(rows), where=where,
        interval=share.interval if share.told else None,
        reason=visible.caveat if share.told else "CLIP is too unsure whether these pictures show it",
        pictures=tuple(visible.pictures[row] for row in lacking),
    )  # fmt: skip
