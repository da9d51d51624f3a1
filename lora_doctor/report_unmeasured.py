"""What has no value, as a report lists it: a row for each reason. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from lora_doctor.types import Measurement


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """What has no value for one reason."""

    reason: str
    names: tuple[str, ...]
    places: tuple[Mapping[str, str], ...]
    """The slices that are named, each once."""


def unmeasured(measurements: Iterable[Measurement]) -> list[Unmeasured]:
    """Everything that has no value: a row for each reason within a family, which is what a name begins with.

    A reason that only strings others of the family together, as an average over two framings has it, adds no row.
    """
    grouped: dict[tuple[str, str], list[Measurement]] = {}
    for m in measurements:
        if m.value is None:
            grouped.setdefault((m.name.partition(".")[0], m.reason or "no reason given"), []).append(m)
    for (family, reason), found in list(grouped.items()):
        parts = [(family, part) for part in reason.split("; ")]
        if len(parts) > 1 and all(part in grouped for part in parts):
            del grouped[family, reason]
            for part in parts:  # the slices are named in the rows of their own
                grouped[part] += [replace(m, where={}) for m in found]
    return [
        Unmeasured(reason, tuple(dict.fromkeys(m.name for m in found)), _slices(found))
        for (_, reason), found in grouped.items()
    ]


def _slices(measurements: Iterable[Measurement]) -> tuple[Mapping[str, str], ...]:
    return tuple({tuple(m.where.items()): m.where for m in measurements if m.where}.values())
