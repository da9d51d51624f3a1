"""What was seen as a public file may hold it: words that only the captions know become numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from lora_doctor.types import Diagnosis, LabelSet, Measurement

OURS = frozenset((
    "arm", "attribute", "beyond", "block", "buckets", "delta_e", "end", "environment", "environment_kind", "factor",
    "framing", "height", "kind", "light", "pair", "pixels", "place", "quantile", "role", "state", "variant", "weight",
))  # fmt: skip
"""The keys of slices whose values are our own words, or stand in the matrix's prompts; others may be private."""
PRIVATE = ("pictures", "notes", "plan", "not_shown", "skipped_files")
"""What of a described dataset names its files or holds its captions and pictures."""


def public_facts(facts: Diagnosis, label_sets: Mapping[str, LabelSet]) -> Diagnosis:
    """What a check-up saw without pictures, captions, file names and notes of the dataset; what is public stays."""
    dataset = {key: value for key, value in facts.dataset.items() if key not in PRIVATE}
    return replace(facts, measurements=public(facts.measurements, label_sets), dataset=dataset)


def public(measurements: Iterable[Measurement], label_sets: Mapping[str, LabelSet]) -> tuple[Measurement, ...]:
    """The measurements with every word of the captions that is no label written as `token 1`, `token 2` ...

    The same word has the same number in all of them; labels are public, they stand in the label file.
    """
    known = {_folded(label) for labels in label_sets.values() for label in labels.labels}
    numbers: dict[tuple[str, str], str] = {}
    return tuple(_public(each, known, numbers) for each in measurements)


def _public(m: Measurement, known: set[str], numbers: dict[tuple[str, str], str]) -> Measurement:
    where, reason = dict(m.where), m.reason
    for key, word in m.where.items():
        if key in OURS or _folded(word) in known:
            continue
        told = numbers.setdefault((key, word), f"{key} {sum(kind == key for kind, _ in numbers) + 1}")
        where[key] = told
        reason = None if reason is None else reason.replace(word, told)
    return m if where == m.where else replace(m, where=where, reason=reason)


def _folded(text: str) -> str:
    return " ".join(text.lower().replace("_", " ").split())
