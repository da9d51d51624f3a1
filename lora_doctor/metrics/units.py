"""Cells of the matrix -> numbers per unit.

The unit is the (environment, framing, replicate): the weights share its seed, so they are averaged inside it first. A
unit that was not rendered stays in its sample as None, so that nobody can forget it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lora_doctor.types import Cell, Study, Where

Key = tuple[str, int]
"""(framing, replicate): a unit's name within its environment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One number per unit, nominally 0 to 1; None where a cell of the unit has no reading."""

    rate: bool
    """True for shares: intervals stay within 0 and 1, and Wilson's answers for few environments."""
    units: Mapping[str, Mapping[Key, float | None]] = field(default_factory=dict)
    """Environment -> (framing, replicate) -> number."""
    absent: str = ""
    """Why there are no units at all, where more is known than that none was planned."""

    @property
    def planned(self) -> int:
        """How many units were planned."""
        return sum(len(units) for units in self.units.values())

    @property
    def n(self) -> int:
        """How many units have a number."""
        return sum(len(values) for values in self.present().values())

    def present(self) -> dict[str, list[float]]:
        """Environment -> its numbers; environments without any are left out."""
        kept = {e: [v for v in units.values() if v is not None] for e, units in self.units.items()}
        return {environment: values for environment, values in kept.items() if values}

    def means(self) -> dict[str, float]:
        """Environment -> the mean of its numbers."""
        return {environment: statistics.fmean(values) for environment, values in self.present().items()}

    def filled(self, value: float) -> Sample:
        """The sample with `value` in place of every missing number."""
        return self._map(lambda _, __, number: value if number is None else number)

    def masked(self, other: Sample) -> Sample:
        """The sample with every unit made missing that is missing in `other`."""
        return self._map(lambda e, key, number: None if other.units.get(e, {}).get(key) is None else number)

    def beyond(self, other: Sample) -> Sample:
        """By how much each number lies above the other sample's, 0 where it does not; None where either is missing."""

        def of(environment: str, key: Key, number: float | None) -> float | None:
            beside = other.units.get(environment, {}).get(key)
            return None if number is None or beside is None else max(0.0, number - beside)

        return self._map(of)

    def constant(self, value: float) -> Sample:
        """A sample of the same units, each with this number."""
        return self._map(lambda _, __, ___: value)

    def _map(self, change: Callable[[str, Key, float | None], float | None]) -> Sample:
        return replace(self, units={e: {k: change(e, k, v) for k, v in u.items()} for e, u in self.units.items()})


def averaged(samples: Sequence[Sample]) -> Sample:
    """The mean of samples over the same units, unit by unit; a unit that one of them lacks is None."""

    def of(environment: str, key: Key) -> float | None:
        return _complete_mean([one.units[environment][key] for one in samples])

    first = samples[0]
    return replace(first, units={e: {k: of(e, k) for k in units} for e, units in first.units.items()})


def weights_of(study: Study) -> tuple[str, ...]:
    """The planned weights, ascending, as they are written in a slice: `0`, `0.4`, `1`."""
    return tuple(f"{weight:g}" for weight in sorted({cell.weight for cell in study.cells}))


def framings_of(study: Study) -> tuple[str, ...]:
    """The planned framings, in the order of the plan."""
    return tuple(dict.fromkeys(cell.framing for cell in study.cells))


def ship_caveat(study: Study, where: Where | None = None) -> str | None:
    """What to say of a ship slice when not every ship weight is in the plan; None for a slice at another weight."""
    if where is not None and where.get("weight") != "ship":
        return None
    absent = [w for w in (f"{weight:g}" for weight in study.ship_weights) if w not in weights_of(study)]
    return f"ship weight {', '.join(absent)} was not planned" if absent else None


def pick(study: Study, where: Where) -> tuple[Cell, ...]:
    """The planned cells of a slice. Axes: weight (`0.7`, `ship`, `top`), framing, environment, environment_kind, arm.

    `top` is the highest ship weight, at which arms are rendered; without `arm` the cells are the matrix's. Keys that
    are no axis, such as `attribute`, do not narrow the slice.
    """
    ship, wanted = {f"{weight:g}" for weight in study.ship_weights}, where.get("weight")
    if wanted == "top":
        wanted = f"{max(study.ship_weights):g}"

    def belongs(cell: Cell) -> bool:
        weight = f"{cell.weight:g}"
        if wanted is not None and not (weight in ship if wanted == "ship" else weight == wanted):
            return False
        kind = "trained" if cell.trained else "novel"
        axes = {"framing": cell.framing, "environment": cell.environment, "environment_kind": kind}
        return all(where.get(axis, own) == own for axis, own in axes.items())

    cells = study.arms.get(where["arm"], ()) if "arm" in where else study.cells
    return tuple(cell for cell in cells if belongs(cell))


def alike(cells: Iterable[Cell], others: Iterable[Cell]) -> tuple[Cell, ...]:
    """The cells that have their like (environment, framing, replicate) among the others."""
    places = {(cell.environment, cell.framing, cell.replicate) for cell in others}
    return tuple(cell for cell in cells if (cell.environment, cell.framing, cell.replicate) in places)


def not_rendered(arm: str) -> str:
    """Why an arm's numbers are missing."""
    return f"the arm `{arm}` was not rendered, or has nothing to ask here"


def arm_cells(study: Study, arm: str) -> tuple[Cell, ...]:
    """The cells of an arm beside the matrix; none where it was not rendered."""
    return tuple(study.arms.get(arm, ()))


def sample(cells: Iterable[Cell], value_of: Callable[[Cell], float | None], *, rate: bool) -> Sample:
    """Averages `value_of` inside each unit; a unit with any cell at None is None: half a unit would tilt the mean."""
    units: dict[str, dict[Key, list[float | None]]] = {}
    for cell in cells:
        units.setdefault(cell.environment, {}).setdefault((cell.framing, cell.replicate), []).append(value_of(cell))
    return Sample(rate=rate, units={e: {k: _complete_mean(v) for k, v in u.items()} for e, u in units.items()})


def _complete_mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if len(known) == len(values) else None
