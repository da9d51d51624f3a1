"""JSON: values are replaced where they stand, entries added in the manner of their neighbours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lora_doctor.edits.edit import REMOVED, Keys, edit
from lora_doctor.errors import UsageError

_DECODER = json.JSONDecoder()
_SPACE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of an object or a list: where its key (or its value, in a list) and its value begin and end."""

    key: str | int
    start: int
    value: int
    end: int


def edited(text: str, changes: Mapping[Keys, Any]) -> str:
    """The text with these changes, nothing else touched. Raises UsageError for what is no JSON, or no table there."""
    return edit(text, changes, _load, _step)


def _load(text: str) -> Any:
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the config is not JSON: {error}.") from None


def _step(text: str, keys: Keys, value: Any) -> str:
    start, end = _skip(text, 1 if text.startswith("\ufeff") else 0), len(text)
    for depth, key in enumerate(keys):
        found = [entry for entry in _entries(text, start) if entry.key == key]
        if not found:
            return _added(text, start, key, _nested(keys[depth + 1 :], value))
        if depth == len(keys) - 1 and value is REMOVED:
            return _without(text, start, found[-1])
        start, end = found[-1].value, found[-1].end  # of several entries of one name the last counts
    return text[:start] + _written(value, text[start:end]) + text[end:]


def _entries(text: str, start: int) -> Iterator[_Entry]:
    """Of the object or list that begins at `start`; none of anything else."""
    if text[start] not in "{[":
        return
    closing, at, position = "}" if text[start] == "{" else "]", _skip(text, start + 1), 0
    while text[at] != closing:
        key: str | int = position
        value = at
        if closing == "}":
            key, end = _DECODER.raw_decode(text, at)
            value = _skip(text, _skip(text, end) + 1)
        _, end = _DECODER.raw_decode(text, value)
        yield _Entry(key, at, value, end)
        position, at = position + 1, _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)


def _added(text: str, start: int, key: str | int, value: Any) -> str:
    entries = list(_entries(text, start))
    if value is REMOVED:
        return text
    name = f"{json.dumps(key, ensure_ascii=False)}: " if isinstance(key, str) else ""
    if not entries:
        return f"{text[: start + 1]}{name}{_written(value)}{text[start + 1 :]}"
    last = entries[-1]
    before = entries[-2].end if len(entries) > 1 else start
    between = text[before : last.start].lstrip(",{[") if len(entries) > 1 else text[start + 1 : last.start] or " "
    return f"{text[: last.end]},{between or ' '}{name}{_written(value)}{text[last.end :]}"


def _without(text: str, start: int, gone: _Entry) -> str:
    entries = list(_entries(text, start))
    at = entries.index(gone)
    if at + 1 < len(entries):
        return text[: gone.start] + text[entries[at + 1].start :]
    return text[: entries[at - 1].end if at else gone.start] + text[gone.end :]


def _nested(keys: Keys, value: Any) -> Any:
    for key in reversed(keys):
        if value is not REMOVED:
            value = {key: value} if isinstance(key, str) else [value]
    return value


def _written(value: Any, present: str = "") -> str:
    """The value as JSON; a whole number stays one with a decimal point where the present one has it."""
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, int) and not isinstance(value, bool) and "." in present and not present.startswith(("{", '"')):
        value = float(value)
    return json.dumps(value, ensure_ascii=False)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at
