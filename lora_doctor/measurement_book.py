"""Measurements looked up by name and slice, and a number as text. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from lora_doctor.types import Measurement

JUDGED = {"hair_colour": "attribute", "eye_colour": "attribute", "body": "kind", "outfit": "kind"}
"""What rules judge by the character's spec -> whether it is one attribute or a kind of several."""


class Book:
    """Measurements by name and slice."""

    def __init__(self, measurements: Iterable[Measurement]) -> None:
        self._by_slot = {(m.name, tuple(sorted(m.where.items()))): m for m in measurements}

    def get(self, name: str, **where: str) -> Measurement | None:
        """The measurement of exactly this slice."""
        return self._by_slot.get((name, tuple(sorted(where.items()))))

    def named(self, name: str) -> list[Measurement]:
        """The measurements of all slices of this name."""
        return [m for (own, _), m in self._by_slot.items() if own == name]

    def environments(self, weight: str = "ship") -> dict[str, Measurement]:
        """Environment -> identity score at a weight, or over the ship weights."""
        keys = {"weight", "environment"}
        scores = [m for m in self._by_slot.values() if m.name == "identity.score" and set(m.where) == keys]
        return {m.where["environment"]: m for m in scores if m.where["weight"] == weight}

    def weights(self) -> dict[float, Measurement]:
        """Weight -> identity score there, ascending; weight 0 is the base model and is left out."""
        scores = [m for m in self._by_slot.values() if m.name == "identity.score" and set(m.where) == {"weight"}]
        known = {float(m.where["weight"]): m for m in scores if m.where["weight"].replace(".", "", 1).isdigit()}
        return {weight: known[weight] for weight in sorted(known) if weight > 0}

    def unspecified(self) -> list[str]:
        """What rules judge by the character's spec and the spec does not say."""
        counts = {name: self.get("spec.attributes", **{axis: name}) for name, axis in JUDGED.items()}
        return [name.replace("_", " ") for name, m in counts.items() if m is not None and m.value == 0]

    def strongest(self) -> float:
        """The highest weight that anything but a probe was measured at, by an arm for one; 0 where nothing was."""
        return max(self._measured_at(lambda name: not name.startswith("probe.")), default=0.0)

    def probed(self) -> list[float]:
        """The weights at which a probe measured identity, ascending."""
        return sorted(self._measured_at(lambda name: name == "probe.identity"))

    def _measured_at(self, wanted: Callable[[str], bool]) -> Iterator[float]:
        for m in self._by_slot.values():
            weight = m.where.get("weight", "")
            if wanted(m.name) and m.value is not None and weight.replace(".", "", 1).isdigit():
                yield float(weight)


def number_text(measurement: Measurement) -> str:
    """`0.62 [0.50, 0.74]`."""
    value = "not measured" if measurement.value is None else f"{measurement.value:.2f}"
    return (
        value
        if measurement.interval is None
        else f"{value} [{measurement.interval[0]:.2f}, {measurement.interval[1]:.2f}]"
    )
