"""What is known of the present training: its config first, then what was measured. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from lora_doctor.types import LabelSet, TrainingSettings

INTEGERS = ("rank", "steps", "batch_size", "seed", "resolution")
"""`TrainingSettings` fields that only take whole numbers."""
PRODUCTS = ("lora", "dora", "tucker", "glora")
"""Kinds whose trained rank is that of the update."""
SOURCES = ("training", "dataset", "spectrum")
"""Where a present value is looked up, as `<source>.<field>`, when the training config does not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Patient:
    """What is known of the present training."""

    settings: TrainingSettings
    measured: Mapping[tuple[str, tuple[tuple[str, str], ...]], float]
    spec: Mapping[str, str] = field(default_factory=dict)
    label_sets: Mapping[str, LabelSet] = field(default_factory=dict)
    counted: Mapping[str, int] = field(default_factory=dict)
    """Role -> how many new pictures of it bring the identity ratio to the source's, where an audit has counted them."""

    def number(self, name: str, **where: str) -> float | None:
        """A measured value, None when there is none."""
        return self.measured.get((name, tuple(sorted(where.items()))))

    def along(self, name: str, dimension: str) -> dict[float, float]:
        """The values measured at each number of one dimension, and of no other: `identity.score` by weight."""
        found = dict[float, float]()
        for (measured, where), value in self.measured.items():
            if measured == name and [key for key, _ in where] == [dimension]:
                with suppress(ValueError):
                    found[float(where[0][1])] = value
        return found

    def present(self, name: str) -> Any:
        """The present value of a setting: the config's, else the measured one, else None."""
        if (value := getattr(self.settings, name)) is not None:
            return value
        found = next((v for source in SOURCES if (v := self.number(f"{source}.{name}")) is not None), None)
        return int(found) if found is not None and name in INTEGERS else found

    @property
    def counts_epochs(self) -> bool:
        """Whether the config gives the length in epochs alone; its steps are then reckoned from them."""
        return self.settings.steps is None and self.settings.epochs is not None

    def lacks(self, name: str) -> bool:
        """Whether the adapter has no setting that is the rank of its update, or no rank and so no alpha over it."""
        if self.settings.kind is None or self.settings.kind in PRODUCTS:
            return False
        return name == "rank" or (name == "alpha" and self.settings.rank is None)

    def off_spec(self, attributes: Iterable[str]) -> list[str]:
        """Every label of these attributes that the character must not show."""
        known = [self.label_sets[a] for a in attributes if a in self.label_sets and a in self.spec]
        return [label for labels in known for label in labels.labels if label != self.spec[labels.attribute]]
