"""Pictures of the dataset that show another trait than the character's."""

from __future__ import annotations

from lora_doctor.types import LabelSet, Reading

CERTAIN = 0.95
"""Probability from which a picture read as another label shows something else (another outfit, dyed hair): that is news
of the dataset, and no failure of the instrument."""


def shown_instead(reading: Reading | None, labels: LabelSet, framings: LabelSet | None, wanted: str) -> str | None:
    """The label the picture certainly shows instead of `wanted`.

    None where it shows `wanted`, where its framing hides the attribute, and where the instrument is not certain.
    """
    label = None if reading is None else reading.top_label(labels)
    if reading is None or label is None or label == wanted:
        return None
    framing = reading.top_label(framings)
    hidden = framing is not None and framing not in labels.framings
    certain = float(reading.probabilities[labels.attribute].max()) > CERTAIN
    return label if certain and not hidden else None
