"""What every language of configs shares: keys, values, and the proof that an edit did what it should and no more."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import count, pairwise
from typing import Any, Final

from lora_doctor.errors import UsageError

Keys = tuple[str | int, ...]
"""Names of tables' entries and positions in lists, from the outside in."""


class _Removed:
    """Its one value is `REMOVED`."""

    def __repr__(self) -> str:
        return "REMOVED"


REMOVED: Final = _Removed()
"""Instead of a value: the entry goes."""

MOST_VALUES = 100_000
"""Aliases can make ten lines say a thousand million things."""


def shown(keys: Keys) -> str:
    """`process[0].train.lr`."""
    parts = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return "".join(parts).lstrip(".")


def value_at(value: Any, keys: Keys) -> Any:
    """What stands at `keys`; REMOVED where nothing does."""
    for key in keys:
        held = isinstance(key, str) and isinstance(value, dict) and key in value
        if not held and not (isinstance(key, int) and isinstance(value, list) and 0 <= key < len(value)):
            return REMOVED
        value = value[key]
    return value


def same(one: Any, other: Any) -> bool:
    """Whether two values say the same in a config: numbers by size, `1e-4` as 0.0001; true is not 1."""
    if one is REMOVED or other is REMOVED or isinstance(one, bool) or isinstance(other, bool):
        return one is other or (one == other and type(one) is type(other))
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def edit(
    text: str, changes: Mapping[Keys, Any], parse: Callable[[str], Any], step: Callable[[str, Keys, Any], str]
) -> str:
    """`text` after `step(text, keys, value)` for every change that changes something; the same text where none does.

    Raises UsageError where the result does not say exactly what was asked, whatever `step` did: text that cannot be
    changed in one place without another (an alias, a table written twice) is left to its owner.
    """
    for keys, value in changes.items():
        before = parse(text)
        if same(value_at(before, keys), value):
            continue
        wanted = _changed(before, keys, value)
        after = step(text, keys, value)
        if not same(_parsed(after, parse), wanted):
            raise UsageError(
                f"{shown(keys)} cannot be changed without changing something else.", advice="Change it by hand."
            )
        text = after
    return text


def _unshared(value: Any, counted: Iterator[int]) -> Any:
    """A copy in which what an alias repeats is there as often as it is said."""
    if next(counted) > MOST_VALUES:
        raise UsageError(f"the config says more than {MOST_VALUES} things.", advice="Change it by hand.")
    if isinstance(value, dict):
        return {key: _unshared(one, counted) for key, one in value.items()}
    return [_unshared(one, counted) for one in value] if isinstance(value, list) else value


def _parsed(text: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(text)
    except Exception:  # whatever a parser raises: the edit went wrong
        return REMOVED


def _changed(value: Any, keys: Keys, new: Any) -> Any:
    """A copy of the parsed value with the change."""
    changed = _unshared(value, count())
    at: Any = changed
    for key, following in pairwise(keys):
        if isinstance(key, str) and isinstance(at, dict):
            at = at.setdefault(key, [] if isinstance(following, int) else {})
        else:
            at = value_at(at, (key,))
    if at is REMOVED or not isinstance(at, dict if isinstance(keys[-1], str) else list):
        raise UsageError(f"{shown(keys)} cannot be set: {shown(keys[:-1])} is no table.", advice="Mend it by hand.")
    last: Any = keys[-1]
    if new is REMOVED:
        del at[last]
    elif isinstance(at, list) and last == len(at):
        at.append(new)
    else:
        at[last] = new
    return changed
