"""Pictures that show the character with another trait than its own: what captions alone cannot put right."""

from __future__ import annotations

from lora_doctor.off_spec import shown_instead
from lora_doctor.types import Case, Measurement

KINDS = ("identity", "body")
"""Clothes may change from picture to picture; face, hair and figure may not."""


def audit(case: Case) -> list[Measurement]:
    """`dataset.off_spec_share` for every trait of face, hair and figure that the spec names.

    Out of the pictures whose framing shows the trait, weighted by repeats, the share that certainly shows another label
    than the spec's. No value where half of them or more do: then the spec or the instrument is in doubt.
    """
    known = {name: labels for name, labels in case.label_sets.items() if name in case.spec and labels.kind in KINDS}
    return [_share(case, name) for name in known]


def _share(case: Case, attribute: str) -> Measurement:
    labels, wanted, framings = case.label_sets[attribute], case.spec[attribute], case.label_sets.get("framing")
    pairs = [
        (image.repeats, shown_instead(reading, labels, framings, wanted) is not None)
        for image, reading in zip(case.dataset.images, case.references, strict=True)
        if reading is not None and reading.top_label(labels) is not None
        if (framing := reading.top_label(framings)) is None or framing in labels.framings
    ]
    total = sum(repeats for repeats, _ in pairs)
    value = sum(repeats for repeats, other in pairs if other) / total if total else None
    reason = None if total else f"no picture that shows {attribute} could be read"
    if value is not None and value >= 0.5:
        reason, value = f"most pictures show another {attribute} than {wanted}: the spec is in doubt", None
    return Measurement(
        name="dataset.off_spec_share", value=value, unit="share", n=len(pairs), where={"attribute": attribute},
        reason=reason,
    )  # fmt: skip
