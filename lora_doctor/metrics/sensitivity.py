"""How well the instrument reads an attribute off this dataset: what a share of matching renders is divided by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lora_doctor.captions import named
from lora_doctor.metrics.calibration import Calibration, jeffreys, pooled
from lora_doctor.metrics.intervals import wilson
from lora_doctor.off_spec import shown_instead
from lora_doctor.types import Cell, LabelSet, Reading, Study

MIN_REFERENCES = 5
"""Pictures that show an attribute before a share of them is taken for the instrument's sensitivity."""
MEASURABLE = 0.8
"""Below this sensitivity the instrument cannot tell the attribute; a limit of the instrument, not a judgement."""
CONFIDENT = 0.5
"""A label more probable than all others together: from here a reading is called confident."""

WITNESSED = ("hair_colour", "eye_colour")
"""Attributes that something beside CLIP reads too (pixels, a tagger), and that so have a second opinion."""

Seen = Callable[[Reading, bool], float | None]
"""A number made of a picture's reading and of whether it is confidently read as another label."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sensitivity:
    """Of the dataset's pictures in one framing, which share the instrument reads as the spec says."""

    share: float | None
    """What to divide by; None = the attribute cannot be measured here."""
    note: str | None
    """The caveat, or why there is no share."""


def shown(study: Study, labels: LabelSet, *, others_too: bool = False) -> Iterator[tuple[str, Reading]]:
    """(framing, reading) of each of the dataset's pictures that shows the attribute; readable framings only.

    Pictures whose caption names another label are left out. So are those that certainly show another, as long as most
    pictures show the spec's: where they do not, it is the instrument, or the spec, that cannot be trusted. With
    `others_too` they stay: CLIP can be certain and wrong, and nothing else has looked.
    """
    framings, spec = study.label_sets.get("framing"), study.spec[labels.attribute]
    seen = []
    for image, reading in zip(study.dataset.images, study.references, strict=True):
        framing = None if reading is None else reading.top_label(framings)
        if reading is None or framing not in labels.framings or reading.top_label(labels) is None:
            continue
        if not _names_another(image.caption, labels, spec):
            seen.append((framing, reading, reading.top_label(labels) == spec))
    most = 2 * sum(right for _, _, right in seen) > len(seen)
    for framing, reading, right in seen:
        if right or others_too or not (most and shown_instead(reading, labels, framings, spec) is not None):
            yield framing, reading


def pictures(study: Study, labels: LabelSet, *, others_too: bool = False) -> dict[str, tuple[int, int]]:
    """Framing -> (pictures that show the attribute, of these read as the spec says); readable framings only."""
    spec, counts = study.spec[labels.attribute], dict.fromkeys(labels.framings, (0, 0))
    for framing, reading in shown(study, labels, others_too=others_too):
        known, good = counts[framing]
        counts[framing] = known + 1, good + (reading.top_label(labels) == spec)
    return counts


def false_flips(
    study: Study, labels: LabelSet, seen: Seen | None = None, *, others_too: bool = False
) -> tuple[int, int]:
    """(pictures that show the attribute as the spec says, of these confidently read as another label).

    With `seen`, those alone in which it makes 1 of the reading and of whether it is such a flip.
    """
    spec = study.spec[labels.attribute]
    readings = [reading for _, reading in shown(study, labels, others_too=others_too)]
    flipped = [reading for reading in readings if is_flip(reading, labels, spec)]
    return len(readings), sum(seen is None or seen(reading, True) == 1.0 for reading in flipped)


def is_flip(reading: Reading, labels: LabelSet, spec: str) -> bool | None:
    """Whether a picture is confidently read as another label; None where the attribute was not read."""
    label = reading.top_label(labels)
    if label is None:
        return None
    return label != spec and float(reading.probabilities[labels.attribute].max()) > CONFIDENT


def _names_another(caption: str | None, labels: LabelSet, spec: str) -> bool:
    said = named(caption, labels.labels)
    return bool(said) and spec not in said


def sensitivity(study: Study, labels: LabelSet, framing: str) -> Sensitivity:
    """The sensitivity for renders of one framing.

    From the references of that framing when there are five; else from those of every framing that shows the attribute
    when there are five; else 1 with a caveat: a dataset of faces must not hide a wrong body from measurement. None
    where fewer than 80 % of the five or more are read as the spec says, or so few of the one to four that chance does
    not explain it (Wilson's upper end below 80 %).
    """
    counts = pictures(study, labels)
    own, _ = counts.get(framing, (0, 0))
    borrowed_from, count, right = _behind(counts, framing)
    few = count < MIN_REFERENCES
    if count and (wilson(right, count)[1] if few else right / count) < MEASURABLE:
        seen = f"{right} of {count} pictures that show it are read as {study.spec[labels.attribute]}"
        way_out = f"without `{labels.attribute}` in [character.spec] it is not asked for"
        return Sensitivity(share=None, note=f"not measurable by CLIP on this dataset: {seen}; {way_out}")
    if few:
        few_of = "only one picture shows it" if count == 1 else f"only {count} pictures show it"
        there = few_of if count else "no picture shows it"
        return Sensitivity(share=1.0, note=f"sensitivity of CLIP taken as 1: {there} in this dataset")
    there = "one picture is" if own == 1 else f"{own or 'no'} pictures are"
    borrowed = f"sensitivity of CLIP from all framings: {there} {framing}"
    return Sensitivity(share=right / count, note=borrowed if borrowed_from else None)


def calibration(study: Study, labels: LabelSet, cells: Sequence[Cell]) -> Calibration:
    """How uncertain the sensitivity is that a share of these cells was divided by; known, where it was taken as 1.

    Framings that borrow theirs from all pictures share its error; the others are independent. Without a second opinion
    it may be as low as it is with the pictures that CLIP is certain show another label.
    """
    counts, weights = pictures(study, labels), Counter[tuple[str, int, int, float]]()
    everything = counts if labels.attribute in WITNESSED else pictures(study, labels, others_too=True)
    for cell in cells:
        if cell.framing in labels.framings:
            borrowed_from, count, right = _behind(counts, cell.framing)
            _, shown_at_all, good = _behind(everything, cell.framing)
            least = good / shown_at_all if shown_at_all else 1.0
            weights[borrowed_from or cell.framing, count, right, least] += 1
    parts = []
    for (_, count, right, least), weight in weights.items():
        if count < MIN_REFERENCES or right / count < MEASURABLE:
            parts.append((float(weight), Calibration()))
        else:
            low, high = jeffreys(right, count)
            parts.append((float(weight), Calibration(low=min(low, least) * count / right, high=high * count / right)))
    return pooled(parts)


def _behind(counts: dict[str, tuple[int, int]], framing: str) -> tuple[str, int, int]:
    """(`all framings` or "", pictures, of these read right) that a framing's sensitivity comes from."""
    own, right = counts.get(framing, (0, 0))
    if own >= MIN_REFERENCES:
        return "", own, right
    return "all framings", sum(n for n, _ in counts.values()), sum(k for _, k in counts.values())
