"""How sure a condition of a rule is, given measurements; what is absent leaves it between two levels. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from lora_doctor.types import Condition, Measurement, Where

Index = Mapping[tuple[str, tuple[tuple[str, str], ...]], Measurement]
"""Measurements by name and slice."""

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "above": lambda value, threshold: value > threshold,
    "below": lambda value, threshold: value < threshold,
    "at_least": lambda value, threshold: value >= threshold,
    "at_most": lambda value, threshold: value <= threshold,
    "equals": lambda value, threshold: value == threshold,
}

# Signed, so that `all` is the minimum, `any` the maximum and `none` the negated maximum.
CONFIRMED, SUSPECTED, DOUBTED, NO = 2, 1, -1, -2


@dataclass(frozen=True, slots=True)
class Outcome:
    """Between which two levels a condition lies; they differ only where a measurement or pictures of it are absent."""

    low: int
    high: int
    strength: float = 0.0
    seen: tuple[Measurement, ...] = ()
    """The measurements that make it hold, the leading one first."""
    missing: tuple[str, ...] = ()
    worst: float = 0.0
    """As `strength`, of whatever holds or, being absent, might: taking a measurement away never lowers it."""
    least: int = CONFIRMED
    """The level it may fall to if the pictures that are missing speak against it, where that is below `low`."""

    @property
    def lowest(self) -> int:
        """The level that is certain."""
        return min(self.low, self.least)

    @property
    def undecided(self) -> bool:
        """Whether an absent measurement could change what is concluded."""
        return self.low != self.high and self.high > 0


def judge_condition(condition: Condition, index: Index) -> Outcome:
    """Interval-valued Kleene logic: taking a measurement away only ever widens [low, high]."""
    parts = [_compare(condition, index)] if condition.measurement is not None else []
    parts += [judge_condition(part, index) for part in condition.all]
    if condition.any:
        parts.append(_strongest([judge_condition(part, index) for part in condition.any]))
    if condition.none:
        worst = _strongest([judge_condition(part, index) for part in condition.none])
        parts.append(Outcome(-worst.high, -worst.lowest, missing=worst.missing, worst=1.0))
    low, least = min(part.low for part in parts), min(part.lowest for part in parts)
    seen = _seen(parts) if low > 0 else ()
    # The leading measurement is the first one in the file: whoever writes the rule puts the symptom before its guards.
    strength = next((part.strength for part in parts if part.seen), 0.0)
    high = min(part.high for part in parts)
    return Outcome(low, high, strength, seen, _missing(parts), parts[0].worst, least)


def _strongest(parts: Sequence[Outcome]) -> Outcome:
    """`any`."""
    holding = sorted((part for part in parts if part.low > 0), key=lambda part: (-part.low, -part.strength))
    low, high = max(part.low for part in parts), max(part.high for part in parts)
    worst, least = max(part.worst for part in parts), max(part.lowest for part in parts)
    return Outcome(low, high, holding[0].strength if holding else 0.0, _seen(holding), _missing(parts), worst, least)


def _compare(condition: Condition, index: Index) -> Outcome:
    """One measurement against its thresholds."""
    name = cast(str, condition.measurement)
    found = index.get(slot(name, condition.where))
    value = found.value if found is not None and found.value is not None and math.isfinite(found.value) else None
    if condition.absent is not None:
        level = CONFIRMED if (value is None) == condition.absent else NO
        seen = (found,) if found is not None and level > 0 else ()
        return Outcome(level, level, seen=seen, worst=1.0 if level > 0 else 0.0)
    if found is None or value is None:
        reason = (found.reason if found is not None else None) or "not measured"
        return Outcome(NO, CONFIRMED, missing=(f"{named(name, condition.where)}: {reason}",), worst=1.0)
    asked = [(op, float(t)) for op in OPERATORS if (t := getattr(condition, op)) is not None]
    reach = found.reach or (value, value)
    most = [(op, t, _reached(op, t, reach)) for op, t in asked]
    level, *ends = (min(_level(op, t, replace(found, value=v)) for op, t in asked) for v in (value, *reach))
    least, high = min(level, *ends), max(level, min(_level(op, t, replace(found, value=v)) for op, t, v in most))
    if high < 0:
        return Outcome(level, high, least=least)
    strength, worst = (
        max(_strength(v, op, t, found.unit) for op, t, v in each) for each in ([(*one, value) for one in asked], most)
    )
    measurable = condition.equals is None and all(_room(op, t, found.unit) is not None for op, t in asked)
    could = ", ".join(dict.fromkeys(f"{v:.2f}" for *_, v in most))
    text = f"{named(name, condition.where)}: with the pictures that are missing it could be {could}"
    return Outcome(
        level, high, strength if level > 0 else 0.0, (found,) if level > 0 else (), (text,) if least < high else (),
        worst=max(worst, strength) if measurable else 1.0, least=least,
    )  # fmt: skip


def _reached(operator: str, threshold: float, reach: tuple[float, float]) -> float:
    """The value that speaks most for the comparison, of all that it may be whatever the missing pictures show."""
    low, high = reach
    if operator == "equals":
        return min(max(threshold, low), high)
    return high if operator in ("above", "at_least") else low


BOUNDED = ("share", "score", "ratio")
"""Units whose values run from 0 to 1; a ratio may run beyond."""


def _strength(value: float, operator: str, threshold: float, unit: str) -> float:
    """How far `value` is beyond its threshold: as a share of how far it could be, or else in units of the threshold.

    So a rate of 0.35 where 0.05 is borne (0.32) does not outrank an identity of 0.2 where 0.6 is wanted (0.67).
    """
    beyond, room = abs(value - threshold), _room(operator, threshold, unit)
    if room is None:
        return beyond / (abs(threshold) or 1.0)
    return min(1.0, beyond / room) if room > 0 else 1.0


def _room(operator: str, threshold: float, unit: str) -> float | None:
    """How far beyond its threshold a value can be at worst; None where there is no worst."""
    if unit not in BOUNDED:
        return None
    room = threshold if operator in ("below", "at_most") else 1.0 - threshold
    return None if unit == "ratio" and room <= 0 else room


def _level(operator: str, threshold: float, measurement: Measurement) -> int:
    """How sure `measurement operator threshold` is: certain only when the whole interval says what the point says."""
    holds = OPERATORS[operator]
    point = holds(cast(float, measurement.value), threshold)
    low, high = _bounds(measurement)
    certain = holds(low, threshold) == point == holds(high, threshold)
    if operator == "equals":
        certain = low == high or not low <= threshold <= high
    return (CONFIRMED if certain else SUSPECTED) if point else (NO if certain else DOUBTED)


def _bounds(measurement: Measurement) -> tuple[float, float]:
    """The interval; an exact number has none, and one that only lacks its interval says so in its reason."""
    value = cast(float, measurement.value)
    if measurement.interval is None:
        return (value, value) if measurement.reason is None else (-math.inf, math.inf)
    low, high = measurement.interval
    return (-math.inf if math.isnan(low) else low), (math.inf if math.isnan(high) else high)


def slot(name: str, where: Where) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(where.items()))


def _seen(parts: Sequence[Outcome]) -> tuple[Measurement, ...]:
    """Every measurement once, in order."""
    return tuple({slot(m.name, m.where): m for part in parts for m in part.seen}.values())


def _missing(parts: Sequence[Outcome]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for part in parts for text in part.missing))


def asked(condition: Condition) -> Iterator[tuple[str, Where]]:
    """Name and slice of every measurement a condition asks for."""
    if condition.measurement is not None:
        yield condition.measurement, condition.where
    for part in (*condition.all, *condition.any, *condition.none):
        yield from asked(part)


def comparisons(condition: Condition) -> Iterator[Condition]:
    """The conditions on one measurement each that speak for this one: not those under `none`."""
    if condition.measurement is not None:
        yield condition
    for part in (*condition.all, *condition.any):
        yield from comparisons(part)


def named(name: str, where: Where) -> str:
    return f"{name} {{{', '.join(f'{k}: {v}' for k, v in where.items())}}}" if where else name
