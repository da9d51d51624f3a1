"""Where the dataset's in-context pictures play, how many environments that is, and whether captions say so.

Shares are weighted by repeats. Environments are read off the pictures by CLIP; the plain backdrop is none.
"""

from __future__ import annotations

import math

from lora_doctor.captions import named
from lora_doctor.types import IN_CONTEXT, Case, DatasetImage, LabelSet, Measurement, Reading

PLAIN = "simple_background"


def audit(case: Case) -> list[Measurement]:
    """`dataset.environments`, `.environment_share` and `.environment_captioned_share`."""
    labels = next((one for one in case.label_sets.values() if one.kind == "environment"), None)
    pairs = zip(case.dataset.images, case.references, strict=True)
    in_context = [(image, reading) for image, reading in pairs if image.role == IN_CONTEXT]
    read = [(image, label) for image, reading in in_context if (label := _environment(reading, labels)) is not None]
    shown = [(image, label) for image, label in read if label != PLAIN]
    reason = None
    if not shown:
        reason = _why_none(labels, len(in_context), len(read))
    elif unread := len(in_context) - len(read):
        reason = f"{unread} of {len(in_context)} in-context pictures could not be read"
    return [*_spread(shown, reason), _captioned(shown, labels, reason)]


def _spread(shown: list[tuple[DatasetImage, str]], reason: str | None) -> list[Measurement]:
    """The effective number of environments, exp of the entropy of their shares, and each share."""
    weights: dict[str, float] = {}
    for image, label in shown:
        weights[label] = weights.get(label, 0) + image.repeats
    total = sum(weights.values())
    shares = {label: weight / total for label, weight in sorted(weights.items(), key=lambda item: (-item[1], item[0]))}
    effective = math.exp(-sum(share * math.log(share) for share in shares.values() if share)) if shares else None
    return [
        Measurement(name="dataset.environments", value=effective, unit="environments", n=len(shown), reason=reason),
        *(
            Measurement(
                name="dataset.environment_share", value=share, unit="share", n=len(shown), where={"environment": label}
            )
            for label, share in shares.items()
        ),
    ]


def _captioned(shown: list[tuple[DatasetImage, str]], labels: LabelSet | None, reason: str | None) -> Measurement:
    """Share of in-context pictures whose caption names an environment: any one, as CLIP may misread the picture's."""
    words = [label for label in labels.labels if label != PLAIN] if labels else []
    total = sum(image.repeats for image, _ in shown)
    count = sum(image.repeats for image, _ in shown if named(image.caption, words))
    return Measurement(
        name="dataset.environment_captioned_share",
        value=count / total if total else None,
        unit="share",
        n=len(shown),
        reason=reason,
    )


def _environment(reading: Reading | None, labels: LabelSet | None) -> str | None:
    return None if reading is None else reading.top_label(labels)


def _why_none(labels: LabelSet | None, in_context: int, read: int) -> str:
    if labels is None:
        return "there is no label set of environments"
    if not in_context:
        return "the dataset has no in-context picture"
    return "no in-context picture could be read" if not read else "every in-context picture has a plain background"
