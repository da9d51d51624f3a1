"""What the character must look like: what the user says, and for the rest what most of the dataset shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lora_doctor.captions import named
from lora_doctor.errors import UsageError, nearest
from lora_doctor.grey_pictures import hides
from lora_doctor.types import Dataset, DatasetImage, LabelSet, Reading

KINDS = ("identity", "body", "outfit")
"""The kinds of attribute that belong to a character; where it stands and what it does are free."""
AGREEMENT = 0.6
"""Share of the pictures that show an attribute and are read alike, from which their label is the character's. A rule of
reading, not of judging: lower would make a varied outfit part of the spec, higher would lose traits to misreadings."""
MIN_PICTURES = 2
"""One picture says nothing about what stays the same."""


def induce_spec(
    dataset: Dataset,
    references: Sequence[Reading | None],
    label_sets: Mapping[str, LabelSet],
    given: Mapping[str, str],
) -> dict[str, str]:
    """Attribute -> label, in the order of `label_sets`; what is `given` stands.

    An attribute is read only off pictures that can show it, by their framing and, where it is a colour, by having
    colours; each counts as often as the trainer shows it. One without agreement, or with fewer than two such pictures,
    is left out: it is not part of the spec. Raises UsageError for a given attribute or label that the label sets do not
    have.
    """
    known = [
        (image, reading)
        for image, reading in zip(dataset.images, references, strict=True) if reading is not None and image.repeats > 0
    ]  # fmt: skip
    for attribute, label in given.items():
        _check(attribute, label, label_sets)
    framings = label_sets.get("framing")
    induced = {name: _agreed(known, labels, framings) for name, labels in label_sets.items() if labels.kind in KINDS}
    spec = {name: given.get(name) or induced.get(name) for name in label_sets}
    return {name: label for name, label in spec.items() if label is not None}


def asked_by_name(
    spec: Mapping[str, str],
    dataset: Dataset,
    references: Sequence[Reading | None],
    label_sets: Mapping[str, LabelSet],
) -> tuple[str, ...]:
    """The outfit attributes of the spec that the captions name where a picture shows them, in the order of the spec.

    Whatever captions name stays free, and a prompt has to name it; whatever they leave out is learned with the trigger
    (Danbooru tagging practice). Face, hair and body are the character's whatever the captions say: they are never
    asked for.
    """
    framings = label_sets.get("framing")
    pictures = [
        (image.caption, reading, image.repeats)
        for image, reading in zip(dataset.images, references, strict=True)
        if image.caption is not None and reading is not None
    ]

    def free(labels: LabelSet) -> bool:
        showing = [(caption, repeats) for caption, reading, repeats in pictures if _shows(reading, labels, framings)]
        naming = sum(repeats for caption, repeats in showing if named(caption, labels.labels))
        return bool(showing) and naming >= AGREEMENT * sum(repeats for _, repeats in showing)

    return tuple(name for name in spec if label_sets[name].kind == "outfit" and free(label_sets[name]))


def _agreed(
    pictures: Sequence[tuple[DatasetImage, Reading]], labels: LabelSet, framings: LabelSet | None
) -> str | None:
    """The label that enough of the pictures that show the attribute are read as, by repeats, or None."""
    shown = [
        (reading.top_label(labels), image.repeats)
        for image, reading in pictures if _shows(reading, labels, framings) and not hides(image, labels)
    ]  # fmt: skip
    votes: dict[str, float] = {}
    for label, times in shown:
        if label is not None:
            votes[label] = votes.get(label, 0.0) + times
    if sum(label is not None for label, _ in shown) < MIN_PICTURES:
        return None
    most = max(votes, key=lambda label: votes[label])
    return most if votes[most] >= AGREEMENT * sum(votes.values()) else None


def _shows(reading: Reading, labels: LabelSet, framings: LabelSet | None) -> bool:
    """Whether the picture's framing shows the attribute; yes where the framing is not known."""
    framing = None if framings is None else reading.top_label(framings)
    return framing is None or framing in labels.framings


def _check(attribute: str, label: str, label_sets: Mapping[str, LabelSet]) -> None:
    known = [name for name, labels in label_sets.items() if labels.kind in KINDS]
    if attribute not in label_sets:
        raise UsageError(f"the spec names an unknown attribute {attribute!r}.", advice=nearest(attribute, known))
    if attribute not in known:
        raise UsageError(
            f"the spec's {attribute!r} is not part of a character.", advice=f"Give one of {', '.join(known)}."
        )
    labels = label_sets[attribute].labels
    if label not in labels:
        raise UsageError(f"the spec's {attribute} has no label {label!r}.", advice=nearest(label, labels))
