"""A LabelSet from words."""

from __future__ import annotations

from typing import Any

from lora_doctor.types import FRAMINGS, LabelSet


def label_set(attribute: str, kind: Any, labels: str, framings: tuple[str, ...] = FRAMINGS) -> LabelSet:
    """Labels separated by spaces, each its own prompt, read on the whole picture."""
    names = tuple(labels.split())
    prompts = tuple((name,) for name in names)
    return LabelSet(attribute=attribute, labels=names, prompts=prompts, kind=kind, crop="whole", framings=framings)
