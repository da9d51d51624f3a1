"""Values as trainers write them -> numbers, flags, texts and structures; everything else is Unreadable. Pure.

Trainers write numbers as numbers and as text (`"0.0001"`), and Python's own words (`"None"`, `"True"`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

MAX_TEXT = 2**20
"""Characters of one structured value; the tag counts of a character's dataset have some 10 KB."""
MAX_DEPTH = 32
"""Of nested structures; trainers nest five deep."""
_MAX_NUMBER = 64
"""Characters of a number; Python needs time that grows with the square of the digits."""
_MAX_WHOLE = 2**53
_FLAGS = {"true": True, "false": False}


class Unreadable(ValueError):
    """Why a value cannot be used, in a few words."""


class NoSingleValue(Unreadable):
    """Why what is there, though sound, does not come down to one value."""


def shown(value: object) -> str:
    """`value` as ASCII on one line, at most 40 characters."""
    if not isinstance(value, (str, int, float, bool, type(None))):
        return f"a {type(value).__name__}"
    if isinstance(value, int) and abs(value) > _MAX_WHOLE:
        return "a huge number"
    # Cut before it is escaped: the escape of a megabyte is several.
    text = ascii(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 40 else f"{text[:36]}...{text[0]}"


def is_none(value: object) -> bool:
    """Whether a trainer wrote down that there is no value: None, `None`, `null` or nothing."""
    return value is None or (isinstance(value, str) and value.strip() in ("", "None", "null"))


def real(least: float = -math.inf, most: float = math.inf) -> Callable[[Any], float]:
    """A reader of finite numbers in [least, most]. It raises Unreadable."""

    def read(value: Any) -> float:
        if (isinstance(value, str) and len(value) <= _MAX_NUMBER) or type(value) in (int, float):
            try:
                number = float(value)
            except (ValueError, OverflowError):
                raise Unreadable(f"{shown(value)} is no number") from None
            if not math.isfinite(number) or not least <= number <= most:
                raise Unreadable(f"{shown(value)} is out of range")
            return number
        raise Unreadable(f"{shown(value)} is no number")

    return read


def whole(least: int = 0, most: int = _MAX_WHOLE) -> Callable[[Any], int]:
    """A reader of whole numbers in [least, most], also where they are written `8.0`. It raises Unreadable."""

    def read(value: Any) -> int:
        number = real(least, most)(value)
        if not number.is_integer():
            raise Unreadable(f"{shown(value)} is no whole number")
        return int(number)

    return read


share = real(0, 1)
rate = real(0, 1e6)


def flag(value: Any) -> bool:
    """True or False, as themselves or in words. Raises Unreadable."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and (found := _FLAGS.get(value.strip().lower())) is not None:
        return found
    raise Unreadable(f"{shown(value)} is neither true nor false")


def words(value: Any) -> str:
    """A text of 1 to 1000 characters, stripped. Raises Unreadable."""
    if not isinstance(value, str) or not value.strip() or len(value) > 1000:
        raise Unreadable(f"{shown(value)} is not a short text")
    return value.strip()


def structure(text: Any) -> Any:
    """The JSON in `text`, at most MAX_TEXT characters and MAX_DEPTH levels. Raises Unreadable."""
    if not isinstance(text, str):
        raise Unreadable(f"{shown(text)} is no JSON text")
    if len(text) > MAX_TEXT:
        raise Unreadable(f"it has {len(text)} characters, more than the {MAX_TEXT} allowed")
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except Unreadable:
        raise
    except RecursionError:
        raise Unreadable(f"it is nested more than {MAX_DEPTH} deep") from None
    except ValueError as error:
        raise Unreadable("it is no JSON" if isinstance(error, json.JSONDecodeError) else "a number is huge") from None
    level = [found]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return found
    raise Unreadable(f"it is nested more than {MAX_DEPTH} deep")


def _no_constant(name: str) -> NoReturn:
    raise Unreadable(f"it holds {name}")


def _inside(value: Any) -> Iterator[Any]:
    """What a structure directly holds of further structures."""
    if isinstance(value, (dict, list)):
        held = value.values() if isinstance(value, dict) else value
        yield from (inner for inner in held if isinstance(inner, (dict, list)))


def mapping(text: Any) -> dict[str, Any]:
    """The JSON object in `text`. Raises Unreadable."""
    found = structure(text)
    if not isinstance(found, dict):
        raise Unreadable(f"it is {shown(found)}, no JSON object")
    return found


def as_dict(value: Any) -> dict[str, Any]:
    """`value` if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_dicts(value: Any) -> list[dict[str, Any]]:
    """The mappings of a list; [] for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def optional(value: Any, reader: Callable[[Any], Any]) -> Any:
    """What `reader` makes of the value; None for what it cannot read."""
    try:
        return None if is_none(value) else reader(value)
    except Unreadable:
        return None


def agreed(values: Iterable[Any], of: str) -> Any:
    """The value that all of `values` have. Raises NoSingleValue when they differ, naming `of` what, or are none."""
    different = list(dict.fromkeys(values))
    if not different:
        raise NoSingleValue(f"there are no {of}")
    if len(different) > 1:
        raise NoSingleValue(f"it differs between the {of}: {', '.join(shown(value) for value in different[:4])}")
    return different[0]


_SIDES = re.compile(r"[\[(]?\s*(\d{1,7})\s*(?:[,x]\s*(\d{1,7})\s*)?[\])]?")


def side(value: Any) -> int:
    """The side in pixels of square pictures: from 512, `512`, `(512, 512)`, `512x512` or [512, 512].

    Raises NoSingleValue for pictures that are not square, Unreadable for anything else.
    """
    if isinstance(value, list) and 1 <= len(value) <= 2:
        sides = [whole(1, 10**7)(part) for part in value]
    elif isinstance(value, str) and (found := _SIDES.fullmatch(value.strip())):
        sides = [int(part) for part in found.groups() if part is not None]
    else:
        sides = [whole(1, 10**7)(value)]
    if 0 in sides:
        raise Unreadable(f"{shown(value)} is no size")
    if sides[0] != sides[-1]:
        raise NoSingleValue(f"{sides[0]} x {sides[-1]} is not square")
    return sides[0]
