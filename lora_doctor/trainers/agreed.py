"""Values that stand in several tables of a config -> the one that they agree on, of the type that the setting has."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any


def agreed(values: Iterable[Any]) -> Any:
    """The value that all of them are; None where there is none, or where they differ."""
    found = list(values)
    return found[0] if found and all(value == found[0] for value in found) else None


def or_default(value: Any, read: Callable[[Any], Any], default: Any) -> Any:
    """The trainer's default where nothing is given; what is given as it can be read, None where it cannot be."""
    return default if value is None else read(value)


def number(value: Any) -> float | None:
    """A finite number, also one that is written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(str(value).strip()[:40])
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def whole(value: Any) -> int | None:
    """A whole number, also 16.0 and "16"; None for anything else."""
    found = number(value)
    return int(found) if found is not None and found.is_integer() else None


def flag(value: Any) -> bool | None:
    """True or false, also as text; None for anything else."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None


def word(value: Any) -> str | None:
    """A text that says something; None for anything else."""
    return value.strip() if isinstance(value, str) and value.strip() else None


def side(value: Any) -> int | None:
    """Pixels of the longer side: 1024, "1024", "1024,768" or [1024, 768]; None for anything else."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    sides = [whole(part) for part in parts]
    known = [one for one in sides if one is not None]
    return max(known) if known and len(known) == len(sides) else None
