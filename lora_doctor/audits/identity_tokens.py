"""Whether captions name the character's own traits: identity tokens in both roles, body tokens, and contradictions.

Shares are weighted by repeats, and have no interval: the dataset is a census. In prose a trait may be said in words
that no label has; a share over mostly prose says so in its reason.
"""

from __future__ import annotations

from collections.abc import Sequence

from lora_doctor.caption_share import NO_CAPTIONS, captioned, share_of_captions, weight
from lora_doctor.captions import is_prose, says, texts
from lora_doctor.grey_pictures import hides
from lora_doctor.rival_labels import rivals
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, Case, Measurement, Reading

LOOKS = True
"""It asks what the instruments read."""

_ROLES = (IDENTITY_EMPHASIS, IN_CONTEXT)
_AGREED = 0.8
"""Share of the captions that name one and the same other label, from which the spec is in doubt rather than they."""
_PROSE = "most captions are prose, which may say it in other words"


def audit(case: Case) -> list[Measurement]:
    """`captions.identity_token_*`, `.body_token_coverage`, `.contradiction_seen_share`, `.negative_tokens`;
    `spec.identity`, 1 for a trait of face and hair, 0 for any other."""
    among = captioned(case.dataset)
    caveat = _PROSE if _mostly_prose(case, among) else None
    return [
        *(found for attribute in case.spec for found in _coverage(case, among, attribute, caveat)),
        *(_body_tokens(case, among, role, caveat) for role in _ROLES),
        *(_is_identity(case, attribute) for attribute in case.spec),
        _negative_tokens(case),
    ]  # fmt: skip


def _kind(case: Case, attribute: str) -> str:
    """Of the label set; an attribute without one is taken for identity."""
    labels = case.label_sets.get(attribute)
    return "identity" if labels is None else labels.kind


def _mostly_prose(case: Case, among: Sequence[int]) -> bool:
    share = share_of_captions(case.dataset, "captions.prose_share", among, lambda image, text: is_prose(text))
    return (share.value or 0.0) > 0.5


# ---------------------------------------------------------------- named


def _coverage(case: Case, among: Sequence[int], attribute: str, caveat: str | None) -> list[Measurement]:
    """Of all captions; clothes apart, of those of each role, and what contradicts them."""
    own = case.spec[attribute]
    doubt = _doubt(case, among, attribute)
    whole = share_of_captions(
        case.dataset, "captions.identity_token_coverage", among, lambda image, text: says(text, own),
        where={"attribute": attribute}, caveat=doubt or caveat, about_lacking=True,
    )  # fmt: skip
    if _kind(case, attribute) == "outfit":
        return [whole]
    by_role = [_by_role(case, among, attribute, role, doubt or caveat) for role in _ROLES]
    return [whole, *by_role, *_contradictions(case, among, attribute, doubt)]


def _by_role(case: Case, among: Sequence[int], attribute: str, role: str, caveat: str | None) -> Measurement:
    """Of the role's pictures whose framing shows the attribute; body tokens belong in every caption."""
    own = [index for index in among if case.dataset.images[index].role == role and _showable(case, index, attribute)]
    shown = "" if _kind(case, attribute) == "body" else f" that shows {attribute.replace('_', ' ')}"
    return share_of_captions(
        case.dataset, "captions.identity_token_coverage", own, lambda image, text: says(text, case.spec[attribute]),
        where={"attribute": attribute, "role": role}, why_none=f"no {role} picture{shown} has a caption",
        caveat=caveat, about_lacking=True,
    )  # fmt: skip


def _showable(case: Case, index: int, attribute: str) -> bool:
    labels, reading = case.label_sets.get(attribute), case.references[index]
    if labels is not None and hides(case.dataset.images[index], labels):
        return False
    if labels is None or labels.kind == "body" or reading is None:
        return True
    framing = reading.top_label(case.label_sets.get("framing"))
    return framing is None or framing in labels.framings


def _body_tokens(case: Case, among: Sequence[int], role: str, caveat: str | None) -> Measurement:
    """Share of the role's captions that hold every body token of the spec."""
    name, where = "captions.body_token_coverage", {"role": role}
    tokens = [label for attribute, label in case.spec.items() if _kind(case, attribute) == "body"]
    if not tokens:
        reason = "the spec names no body attribute"
        return Measurement(name=name, value=None, unit="share", where=where, reason=reason)
    own = [index for index in among if case.dataset.images[index].role == role]
    return share_of_captions(
        case.dataset, name, own, lambda image, text: all(says(text, token) for token in tokens), where=where,
        why_none=f"no {role} picture has a caption", caveat=caveat, about_lacking=True,
    )  # fmt: skip


def _is_identity(case: Case, attribute: str) -> Measurement:
    value = float(_kind(case, attribute) == "identity")
    return Measurement(name="spec.identity", value=value, unit="yes = 1", n=1, where={"attribute": attribute})


# ---------------------------------------------------------------- contradicted


def _contradictions(case: Case, among: Sequence[int], attribute: str, caveat: str | None) -> list[Measurement]:
    """Share of the captions that say another label than the spec's; and of those, how many pictures show what they say.

    Tokens meant as negatives count: a text encoder reads `black_hair`, never `not`. Two labels are both true where they
    are no rivals (`slender, athletic`), where the caption says that there are two colours, or that it may be another's.
    """
    where = {"attribute": attribute}
    names = ("captions.identity_token_conflict", "captions.contradiction_seen_share")
    if attribute not in case.label_sets:
        reason = f"there is no label set for {attribute}"
        return [Measurement(name=name, value=None, unit="share", where=where, reason=reason) for name in names]
    share = share_of_captions(
        case.dataset, names[0], among, lambda image, text: bool(_rivals(case, attribute, text)), where=where,
        caveat=caveat,
    )  # fmt: skip
    return [share, _seen_share(case, attribute, share, names[1])]


def _seen_share(case: Case, attribute: str, conflict: Measurement, name: str) -> Measurement:
    """Of the contradicting pictures that were read and show the attribute, the share that shows what captions say."""
    shown = {index: label for index in conflict.pictures if (label := _shown(case, attribute, index)) is not None}
    right = [index for index, label in shown.items() if label in _said(case, attribute, index)]
    total = weight(case.dataset, shown)
    why = "no caption contradicts the spec" if conflict.value == 0 else "no such picture was read"
    return Measurement(
        name=name, value=weight(case.dataset, right) / total if total else None, unit="share", n=len(shown),
        where={"attribute": attribute}, reason=None if total else NO_CAPTIONS if conflict.value is None else why,
        pictures=tuple(right),
    )  # fmt: skip


def _rivals(case: Case, attribute: str, text: str) -> list[str]:
    """The labels of the attribute that the caption says although the character has another."""
    return rivals(case.label_sets[attribute].labels, case.spec[attribute], text)


def _said(case: Case, attribute: str, index: int) -> set[str]:
    return {label for text in texts(case.dataset.images[index]) for label in _rivals(case, attribute, text)}


def _shown(case: Case, attribute: str, index: int) -> str | None:
    reading: Reading | None = case.references[index]
    if reading is None or not _showable(case, index, attribute):
        return None
    return reading.top_label(case.label_sets[attribute])


def _doubt(case: Case, among: Sequence[int], attribute: str) -> str | None:
    """Why the spec may be wrong: nearly all captions agree on one other label, and hardly any names the spec's."""
    labels = case.label_sets.get(attribute)
    if labels is None:
        return None

    def share(label: str) -> float:
        return share_of_captions(case.dataset, "", among, lambda image, text: says(text, label)).value or 0.0

    if share(case.spec[attribute]) > 1 - _AGREED:
        return None
    agreed = [label for label in labels.labels if label != case.spec[attribute] and share(label) >= _AGREED]
    if len(agreed) != 1:
        return None
    return f"nearly all captions agree on {agreed[0]}: the spec may be misread"


def _negative_tokens(case: Case) -> Measurement:
    """How many negative tokens the training settings name."""
    tokens = case.training.negative_tokens
    return Measurement(
        name="captions.negative_tokens",
        value=None if tokens is None else float(len(tokens)),
        unit="count",
        n=0 if tokens is None else len(tokens),
        reason="the training config does not say" if tokens is None else None,
    )
