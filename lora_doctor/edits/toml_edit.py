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
        at[last] = _written(value, at.get(last) if isinstance(at, dict) else at[last])
    return mark + _ended_alike(text, tomlkit.dumps(document))


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
