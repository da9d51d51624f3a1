"""YAML: values are replaced where ruamel.yaml finds them, entries added on a line of their own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from lora_doctor.edits.edit import REMOVED, Keys, edit, shown
from lora_doctor.edits.yaml_aliases import Alias, aliases_in
from lora_doctor.errors import UsageError
from lora_doctor.trainer_yaml import parse_trainer_yaml

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_ANCHOR = re.compile(r"&[^\s,\[\]{}]+[ \t]+")
_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
"""Plain, they would be no texts."""


def edited(text: str, changes: Mapping[Keys, Any]) -> str:
    """The text with these changes, nothing else touched. Raises UsageError for what is no YAML, or no table there.

    A value that aliases say in other places too is changed in its own place alone: an alias gives way to the value, or
    where a table's entry changes to `{<<: *table, entry: value}`; of an anchor, its aliases are written out first.
    """
    try:
        return edit(text, changes, loaded, _step)
    except RecursionError:
        raise UsageError("an alias in the config stands for something that holds it.") from None


def loaded(text: str) -> Any:
    """What the text says to its trainer. Raises UsageError for what is no YAML."""
    try:
        return parse_trainer_yaml(text)
    except Exception as error:  # the parser raises many kinds
        raise UsageError(f"the config is not YAML: {' '.join(str(error).split())[:200]}.") from None


def _step(text: str, keys: Keys, value: Any) -> str:
    """The text with one change; UsageError where a step of it is no YAML any more."""
    from ruamel.yaml.error import YAMLError

    try:
        return _changed(text, keys, value)
    except YAMLError:
        raise UsageError(
            f"{shown(keys)} cannot be changed without changing something else.", advice="Change it by hand."
        ) from None


def _changed(text: str, keys: Keys, value: Any) -> str:
    from ruamel.yaml import YAML

    aliases = aliases_in(text)
    for depth in range(1, len(keys) + 1):
        if (alias := aliases.get(keys[:depth])) is not None:
            return _instead_of(text, alias, keys[depth:], value)
    text = _written_out(text, keys, aliases)
    node: Any = YAML(typ="safe", pure=True).compose(text)
    name = node
    for depth, key in enumerate(keys):
        entry = _entry(node, key)
        if entry is None:
            return _added(text, node, keys[depth:], value)
        if depth == len(keys) - 1 and value is REMOVED:
            return _without(text, *entry)
        name, node = entry
    start, end = _span(text, name, node)
    gap = "" if start < end else " "  # nothing stood there
    return text[:start] + gap + _written(value, text[start:end]) + text[end:]


def _instead_of(text: str, alias: Alias, below: Keys, value: Any) -> str:
    """The text with an alias replaced by the value, or by its table with one entry changed."""
    if value is REMOVED or len(below) > 1 or (below and not isinstance(below[0], str)):
        what = f"`*{alias.name}` stands for a value that other places have too."
        raise UsageError(what, advice="Write it out, or change it by hand.")
    own = f"{{<<: *{alias.name}, {below[0]}: {_written(value)}}}" if below else _written(value)
    return text[: alias.start] + own + text[alias.end :]


def _written_out(text: str, keys: Keys, aliases: Mapping[Keys, Alias]) -> str:
    """The text without the anchor of the value at `keys`, and with that value where its aliases were."""
    from ruamel.yaml import YAML

    name = node = YAML(typ="safe", pure=True).compose(text)
    for key in keys:
        if (entry := _entry(node, key)) is None:
            return text
        name, node = entry
    if node.anchor is None or (node.id != "scalar" and not node.flow_style):
        return text
    start, end = _span(text, name, node)
    anchor = _ANCHOR.match(text, start)
    if anchor is None:
        return text
    bare = text[anchor.end() : end]
    if "&" in bare or "*" in bare:  # written twice, an anchor in it would be another
        return text
    said = [one for one in aliases.values() if one.name == node.anchor and one.start > end]
    for one in sorted(said, key=lambda one: -one.start):
        text = text[: one.start] + bare + text[one.end :]
    return text[:start] + bare + text[end:]


def _span(text: str, name: Any, node: Any) -> tuple[int, int]:
    """From where to where the value stands; of a list with an item a line, from behind its name's colon."""
    if (node.id == "scalar" and node.style not in ("|", ">")) or (node.id != "scalar" and node.flow_style):
        end = _end(text, name, node)
        return min(node.start_mark.index, end), end
    if node.id == "sequence" and name is not node and all(map(_ends_its_line, node.value)):
        start, end = text.index(":", name.end_mark.index) + 1, node.value[-1].end_mark.index
        if "#" not in text[start:end]:
            return start, end
    raise UsageError(f"{name.value if name is not node else 'the value'} is written over several lines.",
                     advice="Change it by hand.")  # fmt: skip


def _end(text: str, name: Any, node: Any) -> int:
    """Where the value ends; where there is none (`lr:`), behind the colon: its marks are those of what comes next."""
    empty = node.id == "scalar" and node.start_mark.index == node.end_mark.index
    at = text.find(":", name.end_mark.index) if empty and name is not node else -1
    return node.end_mark.index if at < 0 else at + 1


def _entry(node: Any, key: str | int) -> tuple[Any, Any] | None:
    """Key and value nodes of the entry; in a list the value twice. None where there is none."""
    if node is None or node.id == "scalar":
        return None
    if node.id == "sequence":
        return (node.value[key], node.value[key]) if isinstance(key, int) and key < len(node.value) else None
    found = [(name, one) for name, one in node.value if name.value == key]
    return found[-1] if found else None


def _added(text: str, node: Any, keys: Keys, value: Any) -> str:
    if value is REMOVED:
        return text
    if node is None or node.id != "mapping" or not node.value:
        raise UsageError(f"{keys[0]} has no table to stand in.", advice="Add it by hand.")
    for key in reversed(keys[1:]):
        value = {key: value} if isinstance(key, str) else [value]
    first = node.value[0][0]
    entry = f"{keys[0]}: {_written(value)}"
    if node.flow_style:
        at = _end(text, *node.value[-1])
        return f"{text[:at]}, {entry}{text[at:]}"
    indent, ends = " " * first.start_mark.column, "\r\n" if "\r\n" in text else "\n"
    one_line = [pair for pair in node.value if _ends_its_line(pair[1])]
    if not one_line:
        at = first.start_mark.index
        return f"{text[:at]}{entry}{ends}{indent}{text[at:]}"
    end = text.find("\n", _end(text, *one_line[-1]))
    if end < 0:
        return f"{text}{ends}{indent}{entry}"
    return f"{text[: end + 1]}{indent}{entry}{ends}{text[end + 1 :]}"


def _ends_its_line(node: Any) -> bool:
    """Whether whatever follows on the line of the node's end is no part of it."""
    return bool(node.flow_style) if node.id != "scalar" else node.style not in ("|", ">")


def _without(text: str, key: Any, value: Any) -> str:
    """Without the lines of the entry, where it has them for itself."""
    begin = text.rfind("\n", 0, key.start_mark.index) + 1
    if text[begin : key.start_mark.index].strip() or not _ends_its_line(value):
        raise UsageError(f"{key.value} does not stand on lines of its own.", advice="Take it out by hand.")
    end = text.find("\n", _end(text, key, value))
    return text[:begin] + (text[end + 1 :] if end >= 0 else "")


def _written(value: Any, present: str = "") -> str:
    """The value in one line, in the quotes of the present one; numbers without an exponent, which YAML 1.1 has not."""
    if "\n" in present and present.lstrip().startswith("-"):
        return f" {_written(value)}"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _decimal(value)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_written(one)}' for key, one in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_written, value))}]"
    text = str(value)
    if present.startswith("'") and "\n" not in text:
        return f"""'{text.replace("'", "''")}'"""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS and not present.startswith('"')
    return text if plain else json.dumps(text, ensure_ascii=False)


def _decimal(value: float) -> str:
    """`0.0001`, not `1e-04`: YAML 1.1 reads the latter as a text."""
    text = repr(value)
    if "e" not in text:
        return text
    from decimal import Decimal

    plain = format(Decimal(text), "f")
    return plain if "." in plain else f"{plain}.0"
