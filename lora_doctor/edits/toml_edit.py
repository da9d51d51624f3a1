"""TOML: by tomlkit, which keeps comments, order and style; lines end as they did."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from lora_doctor.edits.edit import REMOVED, Keys, edit
from lora_doctor.errors import UsageError


def edited(text: str, changes: Mapping[Keys, Any]) -> str:
    """The text with these changes, nothing else touched. Raises UsageError for what is no TOML, or no table there."""
    return edit(text, changes, _load, _step)


def _load(text: str) -> Any:
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"the config is not TOML: {error}.") from None


def _step(text: str, keys: Keys, value: Any) -> str:
    import tomlkit

    mark = "\ufeff" if text.startswith("\ufeff") else ""
    document = tomlkit.parse(text.removeprefix("\ufeff"))
    at: Any = document
    for key in keys[:-1]:
        if isinstance(key, str) and key not in at:
            at[key] = tomlkit.table()
        at = at[key]
    if value is REMOVED:
        del at[keys[-1]]
    else:
        last: Any = keys[-1]
        if last in at or not _added(at, last, value):
            at[last] = _written(value, at.get(last) if isinstance(at, dict) else at[last])
    return mark + _ended_alike(text, tomlkit.dumps(document))


def _added(table: Any, key: Any, value: Any) -> bool:
    """Write a new entry below the last value of a table, as that is set in; False where there is none to stand below.

    tomlkit would write it below the comments that follow, which are often the heading of the next table.
    """
    import tomlkit
    from tomlkit.container import Container
    from tomlkit.items import AoT, Table

    body = table.body if isinstance(table, Container) else table.value.body if isinstance(table, Table) else ()
    values = [item for name, item in body if name is not None and not isinstance(item, (Table, AoT))]
    if not values or isinstance(value, dict):
        return False
    beside = values[-1].trivia
    ends = beside.trail or "\n"
    entry = f"{beside.indent}{tomlkit.key(key).as_string()} = {tomlkit.item(_written(value, None)).as_string()}"
    beside.trail = f"{ends}{entry}{beside.trail}"
    return True


def _written(value: Any, present: Any) -> Any:
    """As TOML has it; a whole number has a decimal point where the present one has one, and none where it has none."""
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, float) and isinstance(present, int) and not isinstance(present, bool) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and isinstance(present, float):
        return float(value)
    return value


def _ended_alike(before: str, after: str) -> str:
    """tomlkit ends the lines it adds with \\n; a file that has only \\r\\n keeps to that."""
    windows = "\r\n" in before and before.count("\r\n") == before.count("\n")
    return re.sub("(?<!\r)\n", "\r\n", after) if windows else after
