"""Settings of a config, each with the type it must have: a wrong one is refused with the place where it stands."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from lora_doctor.errors import UsageError
from lora_doctor.layouts.config_text import shown

MAX_TEXT = 1000
"""Characters of a prefix, a default caption or a path."""
MAX_SIDE = 2**16
"""Pixels."""
MAX_SUBSETS = 1000
"""Folders of one config."""
_UNKNOWN_SHOWN = 6
_YES, _NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off")

Layer = tuple[str, Mapping[str, Any]]
"""Where a table stands in the config, for example `datasets[0].subsets[1]`, and the table."""


@dataclass(frozen=True, slots=True)
class Section:
    """Settings of one subset: its own first, then those of the tables around it."""

    path: Path
    layers: tuple[Layer, ...]
    lenient: bool = False
    """Whether numbers, true and false may be written as text, as command lines and some programs do."""

    @property
    def place(self) -> str:
        """Where the innermost table stands."""
        return self.layers[0][0]

    def found(self, key: str) -> tuple[str, Any] | None:
        """(place, value) where the key is first given; None where nowhere, or only as null."""
        return next(((place, table[key]) for place, table in self.layers if table.get(key) is not None), None)

    def text(self, key: str) -> str | None:
        """A text of at most `MAX_TEXT` characters."""
        found = self.found(key)
        if found is None:
            return None
        place, value = found
        if not isinstance(value, str) or "\0" in value:
            self.refuse(place, key, "a text", value)
        if len(value) > MAX_TEXT:
            self.refuse(place, key, f"a text of at most {MAX_TEXT} characters", value)
        return value

    def flag(self, key: str) -> bool | None:
        """True or false."""
        found = self.found(key)
        if found is None:
            return None
        place, value = found
        if self.lenient and isinstance(value, (str, int)) and str(value).strip().lower() in (*_YES, *_NO):
            return str(value).strip().lower() in _YES
        if not isinstance(value, bool):
            self.refuse(place, key, "true or false", value)
        return value

    def real(self, key: str, least: float = 0.0, most: float = 1e9) -> float | None:
        """A finite number from `least` to `most`."""
        found = self.found(key)
        if found is None:
            return None
        place, value = found
        number = self._number(value)
        if number is None or not least <= number <= most:
            self.refuse(place, key, f"a number from {least:g} to {most:g}", value)
        return number

    def whole(self, key: str, least: int = 0, most: int = 10**9) -> int | None:
        """A whole number from `least` to `most`."""
        found = self.found(key)
        if found is None:
            return None
        place, value = found
        number = self._number(value)
        if number is None or not number.is_integer() or not least <= number <= most:
            self.refuse(place, key, f"a whole number from {least} to {most}", value)
        return int(number)

    def share(self, key: str) -> float | None:
        """A number from 0 to 1."""
        return self.real(key, 0.0, 1.0)

    def size(self, key: str) -> tuple[int, int] | None:
        """Width and height: one whole number for both, a list of two, or a text such as `512` or `512,768`."""
        found = self.found(key)
        if found is None:
            return None
        place, value = found
        given = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
        sides = [_whole_side(side) for side in given]
        if len(sides) not in (1, 2) or None in sides:
            self.refuse(place, key, "one or two whole numbers of pixels", value)
        return sides[0] or 0, sides[-1] or 0

    def tables(self, key: str) -> list[Layer]:
        """The tables listed under `key` of the innermost table, with their places; none where it is not given."""
        place, table = self.layers[0]
        value = table.get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self.refuse(place, key, "a list of tables", value)
        if len(value) > MAX_SUBSETS:
            self.refuse(place, key, f"a list of at most {MAX_SUBSETS} tables", value)
        return [(f"{place}.{key}[{i}]" if place else f"{key}[{i}]", one) for i, one in enumerate(value)]

    def table(self, key: str) -> Mapping[str, Any]:
        """The table called `key`; empty where it is not given."""
        found = self.found(key)
        if found is None:
            return {}
        place, value = found
        if not isinstance(value, dict):
            self.refuse(place, key, "a table", value)
        return value

    def over(self, *layers: Layer) -> Section:
        """The same with other tables inside it."""
        return Section(self.path, (*layers, *self.layers), self.lenient)

    def refuse(self, place: str, key: str, wanted: str, value: object) -> NoReturn:
        """Raises UsageError: `key` in the table at `place` must be something else."""
        raise UsageError(f"{in_place(place, key)} must be {wanted}, not {shown(value)}.", path=self.path,
                         advice="Mend the config.")  # fmt: skip

    def _number(self, value: Any) -> float | None:
        if self.lenient and isinstance(value, str):
            try:
                value = float(value.strip()[:40])
            except ValueError:
                return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        try:
            return float(value) if math.isfinite(value) else None
        except OverflowError:  # a whole number that no float holds
            return None


def in_place(place: str, key: str) -> str:
    """`datasets[0].num_repeats`, or the key alone at the top."""
    return f"{place}.{key}" if place else key


def unknown_keys(trainer: str, layers: Iterable[tuple[Layer, Collection[str]]], does: str) -> list[str]:
    """A note on the keys that `trainer` does not know, if there are any; `does` says what it does then.

    `layers`: each table with the keys it may have.
    """
    unknown = [in_place(place, shown(key, 30)) for (place, table), known in layers for key in table if key not in known]
    if not unknown:
        return []
    more = f" and {len(unknown) - _UNKNOWN_SHOWN} more" if len(unknown) > _UNKNOWN_SHOWN else ""
    return [f"{trainer} does not know {', '.join(unknown[:_UNKNOWN_SHOWN])}{more}: {does}."]


def largest(sizes: Sequence[tuple[int, int] | None]) -> tuple[int, int] | None:
    """The size with the largest area; None where none is said."""
    return max((size for size in sizes if size is not None), key=lambda size: size[0] * size[1], default=None)


def _whole_side(value: Any) -> int | None:
    if isinstance(value, str):
        value = value.strip()
        value = int(value) if value.isdecimal() and len(value) <= 6 else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 1 <= value <= MAX_SIDE else None
