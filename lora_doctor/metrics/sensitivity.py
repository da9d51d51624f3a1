"""How well the instrument reads an attribute off this dataset: what a share of matching renders is divided by."""

from __future__ import annotations

from dataclasses import dataclass

from lora_doctor.captions import named
from lora_doctor.metrics.intervals import wilson
from lora_doctor.off_spec import shown_instead
from lora_doctor.types import LabelSet, Study

MIN_REFERENCES = 5
"""Pictures that show an attribute before a share of them is taken for the instrument's sensitivity."""
MEASURABLE = 0.8
"""Below this sensitivity the instrument cannot tell the attribute; a limit of the instrument, not a judgement."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sensitivity:
    """Of the dataset's pictures in one framing, which share the instrument reads as the spec says."""

    share: float | None
    """What to divide by; None = the attribute cannot be measured here."""
    note: str | None
    """The caveat, or why there is no share."""


def pictures(study: Study, labels: LabelSet) -> dict[str, tuple[int, int]]:
    """Framing -> (pictures that show the attribute, of these read as the spec says); readable framings only.

    Pictures whose caption names another label are left out. So are those that certainly show another, as long as most
    pictures show the spec's: where they do not, it is the instrument, or the spec, that cannot be trusted.
    """
    framings, spec = study.label_sets.get("framing"), study.spec[labels.attribute]
    seen = []
    for image, reading in zip(study.dataset.images, study.references, strict=True):
        if _names_another(image.caption, labels, spec):
            continue
        label = None if reading is None else reading.top_label(labels)
        framing = None if reading is None else reading.top_label(framings)
        if reading is not None and label is not None and framing in labels.framings:
            certain = shown_instead(reading, labels, framings, spec) is not None
            seen.append((framing, label == spec, certain))
    most = 2 * sum(right for _, right, _ in seen) > len(seen)
    counts = dict.fromkeys(labels.framings, (0, 0))
    for framing, right, certain in seen:
        if right or not (certain and most):
            shown, good = counts[framing]
            counts[framing] = shown + 1, good + right
    return counts


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
    own, own_right = counts.get(framing, (0, 0))
    enough = own >= MIN_REFERENCES
    everywhere = sum(n for n, _ in counts.values()), sum(k for _, k in counts.values())
    shown, right = (own, own_right) if enough else everywhere
    few = shown < MIN_REFERENCES
    if shown and (wilson(right, shown)[1] if few else right / shown) < MEASURABLE:
        seen = f"{right} of {shown} pictures that show it are read as {study.spec[labels.attribute]}"
        return Sensitivity(share=None, note=f"not measurable by CLIP on this dataset: {seen}")
    if few:
        few_of = "only one picture shows it" if shown == 1 else f"only {shown} pictures show it"
        there = few_of if shown else "no picture shows it"
        return Sensitivity(share=1.0, note=f"sensitivity of CLIP taken as 1: {there} in this dataset")
    there = "one picture is" if own == 1 else f"{own or 'no'} pictures are"
    borrowed = f"sensitivity of CLIP from all framings: {there} {framing}"
    return Sensitivity(share=right / shown, note=None if enough else borrowed)
