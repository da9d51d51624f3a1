"""What the captions teach: the trigger, the identity tokens, and body tokens in both roles.

Shares are weighted by repeats, and have no interval: the dataset is a census.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lora_doctor.captions import named, names, pieces
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, Case, DatasetImage, LabelSet, Measurement

_NO_CAPTIONS = "no picture has a caption"


def audit(case: Case) -> list[Measurement]:
    """`captions.*`: trigger, missing, identity tokens, body tokens by role, negative tokens, distinct captions."""
    images = case.dataset.images
    captioned = [image for image in images if image.caption is not None]
    return [
        _share("captions.trigger_coverage", images, lambda i: names(i.caption, case.trigger), "the dataset is empty"),
        _share("captions.missing_share", images, lambda image: image.caption is None, "the dataset is empty"),
        *(_token(case, captioned, attribute) for attribute in case.spec),
        *(_conflict(case, captioned, attribute) for attribute in case.spec),
        *(_body_tokens(case, captioned, role) for role in (IDENTITY_EMPHASIS, IN_CONTEXT)),
        _negative_tokens(case),
        _distinct(captioned),
    ]


def _token(case: Case, captioned: Sequence[DatasetImage], attribute: str) -> Measurement:
    token, where = case.spec[attribute], {"attribute": attribute}
    name = "captions.identity_token_coverage"
    return _share(name, captioned, lambda image: names(image.caption, token), _NO_CAPTIONS, where)


def _conflict(case: Case, captioned: Sequence[DatasetImage], attribute: str) -> Measurement:
    """Share of captions that hold another label of the attribute than the spec's."""
    name, where = "captions.identity_token_conflict", {"attribute": attribute}
    labels: LabelSet | None = case.label_sets.get(attribute)
    if labels is None:
        reason = f"there is no label set for {attribute}"
        return Measurement(name=name, value=None, unit="share", where=where, reason=reason)
    others = [label for label in labels.labels if label != case.spec[attribute]]
    return _share(name, captioned, lambda image: bool(named(image.caption, others)), _NO_CAPTIONS, where)


def _body_tokens(case: Case, captioned: Sequence[DatasetImage], role: str) -> Measurement:
    """Share of the role's captions that hold every body token of the spec."""
    name, where = "captions.body_token_coverage", {"role": role}
    tokens = [label for a, label in case.spec.items() if a in case.label_sets and case.label_sets[a].kind == "body"]
    if not tokens:
        reason = "the spec names no body attribute"
        return Measurement(name=name, value=None, unit="share", where=where, reason=reason)
    own = [image for image in captioned if image.role == role]
    return _share(
        name, own, lambda i: all(names(i.caption, token) for token in tokens), f"no {role} picture has a caption", where
    )


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


def _distinct(captioned: Sequence[DatasetImage]) -> Measurement:
    """Different captions out of all captions, order of tags aside; not weighted by repeats."""
    kinds = {tuple(sorted(pieces(image.caption or ""))) for image in captioned}
    return Measurement(
        name="captions.distinct_share",
        value=len(kinds) / len(captioned) if captioned else None,
        unit="share",
        n=len(captioned),
        reason=None if captioned else _NO_CAPTIONS,
    )


def _share(
    name: str,
    images: Sequence[DatasetImage],
    holds: Callable[[DatasetImage], bool],
    why_none: str,
    where: Mapping[str, str] | None = None,
) -> Measurement:
    total = sum(image.repeats for image in images)
    value = sum(image.repeats for image in images if holds(image)) / total if total else None
    reason = None if total else why_none
    return Measurement(name=name, value=value, unit="share", n=len(images), where=where or {}, reason=reason)
