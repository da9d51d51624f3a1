"""Pictures that show the character with another trait than its own: what captions alone cannot put right."""

from __future__ import annotations

from lora_doctor.off_spec import shown_instead
from lora_doctor.types import Case, Measurement
from lora_doctor.visible import look

LOOKS = True
"""It asks what the instruments read."""

KINDS = ("identity", "body")
"""Clothes may change from picture to picture; face, hair and figure may not."""


def audit(case: Case) -> list[Measurement]:
    """`dataset.off_spec_share` for every trait of face, hair and figure that the spec names.

    Out of the pictures that can show the trait (by their framing; a colour, by having any), weighted by repeats, the
    share that certainly shows another label than the spec's; the interval runs from there to what CLIP's uncertain
    readings leave possible. No value where half of them or more do: then the spec or the instrument is in doubt.
    """
    known = {name: labels for name, labels in case.label_sets.items() if name in case.spec and labels.kind in KINDS}
    return [_share(case, name) for name in known]


def _share(case: Case, attribute: str) -> Measurement:
    labels, wanted, framings = case.label_sets[attribute], case.spec[attribute], case.label_sets.get("framing")
    images, where = case.dataset.images, {"attribute": attribute}
    visible = look(images, case.references, case.label_sets, labels)
    own = visible.share(wanted)
    if own is None:
        why = f"no picture that shows {attribute} could be read"
        return Measurement(name="dataset.off_spec_share", value=None, unit="share", where=where, reason=why)
    certainty = {
        index: float(reading.probabilities[attribute].max())
        for index in visible.pictures
        if (reading := case.references[index]) is not None
        and shown_instead(reading, labels, framings, wanted) is not None
    }
    value = sum(images[index].repeats for index in certainty) / float(visible.repeats.sum())
    if value >= 0.5:
        why = f"most pictures show another {attribute} than {wanted}: the spec is in doubt"
        return Measurement(
            name="dataset.off_spec_share", value=None, unit="share", n=len(visible), where=where, reason=why
        )
    low, high = min(value, 1 - own.high), max(value, 1 - own.low)
    return Measurement(
        name="dataset.off_spec_share", value=value, unit="share", n=len(visible), interval=(low, high), where=where,
        pictures=tuple(sorted(certainty, key=lambda index: -certainty[index])),
    )  # fmt: skip
