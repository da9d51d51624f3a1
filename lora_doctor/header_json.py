"""The JSON of a safetensors header, token by token. Pure; only the two levels that the format knows are ever built.

A general parser would first build whatever a hostile header nests or repeats; this one stops where it becomes odd.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

MAX_HEADER = 6 * 2**20
"""Bytes. A LoRA's header has some 100 bytes a tensor; the library would spend 8 seconds on one of 93 MB."""
MAX_TENSORS = 20_000
MAX_METADATA = 10_000
"""Metadata values; kohya's trainer, which leaves the most, leaves some 90."""
MAX_METADATA_VALUE = 2**20
"""Bytes of one metadata value; the tag counts of a character's dataset have some 10 KB."""
MAX_METADATA_DEPTH = 32
"""Of JSON inside a metadata value: trainers nest a few deep, and Python's parser gives up at about 1000."""
MAX_NAME = 512
"""Bytes of the name of a tensor or a metadata value."""

_MAX_ENTRY = 4096
"""Characters of one tensor's entry: three fields, five dimensions and two offsets have about 250."""
_SPACE = re.compile(r"[ \t\n\r]*")
_COLON = re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
_NEXT = re.compile(r"[ \t\n\r]*([,}])[ \t\n\r]*")
_ENTRY = re.compile(r"\{[^{}]*\}")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SQUARE = bytes.maketrans(b"{}", b"[]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a header may ask for; a file that asks for more is refused before it costs time or memory."""

    header: int = MAX_HEADER
    """Bytes."""
    tensors: int = MAX_TENSORS
    metadata_value: int = MAX_METADATA_VALUE
    """Bytes of one value."""


class Unsound(ValueError):
    """What is wrong with a header, in a few words."""


def split_header(raw: bytes | memoryview, limits: Limits) -> tuple[dict[str, str], dict[str, str]]:
    """(metadata, entries) of a header's JSON, which begins with {: its metadata, and each tensor's entry, as JSON.

    Raises Unsound, for what is not JSON in UTF-8, a name that comes twice, odd names, and what is above the limits.
    """
    text = _decoded(raw)
    metadata: dict[str, str] | None = None
    entries: dict[str, str] = {}
    at, more = _members(text, 0)
    while more:
        name, at = _name(text, at)
        if name in entries or (name == "__metadata__" and metadata is not None):
            raise Unsound(f"{shown(name)} is in its header twice")
        if name == "__metadata__":
            metadata, at = _metadata(text, at, limits)
        else:
            entries[_check_name(name)], at = _entry(text, at, name)
        if len(entries) > limits.tensors:
            raise Unsound(f"it lists more than the {limits.tensors} tensors allowed")
        at, more = _next_member(text, at)
    if at != len(text):
        raise _not_json(at)
    if not entries:
        raise Unsound("it holds no tensors")
    return metadata or {}, entries


def entry_fields(name: str, text: str) -> tuple[Any, Any, Any]:
    """(dtype, shape, data_offsets) of tensor `name` from its entry's JSON, each of whatever type it is there.

    Raises Unsound when there are other fields, fewer, one twice, or a minus: Python takes -0 for a whole number, which
    the library refuses.
    """
    if "-" in text:
        raise Unsound(f"the entry of tensor {shown(name)} has a negative number")
    try:
        entry = _JSON.decode(text)
    except Unsound:
        raise
    except (ValueError, RecursionError):
        raise _not_an_entry(name) from None
    if set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _not_an_entry(name)
    return entry["dtype"], entry["shape"], entry["data_offsets"]


def nests_deeper(text: str, most: int) -> bool:
    """Whether the brackets of JSON `text`, those in strings apart, nest more than `most` deep; unclosed ones count."""
    if text.count("[") + text.count("{") <= most:
        return False
    unescaped = text.encode().replace(b"\\\\", b"").replace(b'\\"', b"")
    outside_strings = b"".join(unescaped.split(b'"')[::2])
    brackets = outside_strings.translate(_SQUARE, _NOT_BRACKETS)
    for _ in range(most):
        brackets = brackets.replace(b"[]", b"")
    return b"[]" in brackets or brackets.count(b"[") > most


def shown(name: str) -> str:
    """`name` quoted for a message: control and non-ASCII characters escaped, at most 80 characters."""
    text = ascii(name[:80])
    return text if len(text) <= 80 else f"{text[:76]}...{text[0]}"


def _decoded(raw: bytes | memoryview) -> str:
    try:
        return str(raw, "utf-8")
    except UnicodeDecodeError as error:
        raise Unsound(f"its header is not UTF-8 at byte {error.start}") from None


def _metadata(text: str, at: int, limits: Limits) -> tuple[dict[str, str], int]:
    """The metadata object at `at`, and where it ends."""
    if not text.startswith("{", at):
        raise Unsound("its __metadata__ is not an object")
    result: dict[str, str] = {}
    at, more = _members(text, at)
    while more:
        key, at = _name(text, at)
        if key in result:
            raise Unsound(f"metadata {shown(key)} is in its header twice")
        if not text.startswith('"', at):
            raise Unsound(f"metadata {shown(key)} is not a string")
        result[key], at = _string(text, at)
        _check_metadata(key, result[key], limits)
        if len(result) > MAX_METADATA:
            raise Unsound(f"it has more than the {MAX_METADATA} metadata values allowed")
        at, more = _next_member(text, at)
    return result, at


def _members(text: str, at: int) -> tuple[int, bool]:
    """Where the first member of the object at `at` starts, and whether there is one; without, where the object ends."""
    at = _space(text, at + 1)
    return (_space(text, at + 1), False) if text.startswith("}", at) else (at, True)


def _next_member(text: str, at: int) -> tuple[int, bool]:
    """The same after a member that ended at `at`."""
    found = _NEXT.match(text, at)
    if not found:
        raise _not_json(at)
    return found.end(), found.group(1) == ","


def _name(text: str, at: int) -> tuple[str, int]:
    """The name at `at`, and where its value starts."""
    name, at = _string(text, at)
    found = _COLON.match(text, at)
    if not found:
        raise _not_json(at)
    return name, found.end()


def _string(text: str, at: int) -> tuple[str, int]:
    if not text.startswith('"', at):
        raise _not_json(at)
    try:
        value, at = _JSON.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise _not_json(error.pos) from None
    return value, at


def _entry(text: str, at: int, name: str) -> tuple[str, int]:
    found = _ENTRY.match(text, at)
    if not found:
        raise _not_an_entry(name)
    if found.end() - at > _MAX_ENTRY:
        raise Unsound(f"the entry of tensor {shown(name)} is longer than {_MAX_ENTRY} characters")
    return found.group(), found.end()


def _space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _not_json(at: int) -> Unsound:
    return Unsound(f"its header is not JSON at character {at}")


def _not_an_entry(name: str) -> Unsound:
    return Unsound(f"the entry of tensor {shown(name)} is not {{dtype, shape, data_offsets}}")


def _check_metadata(key: str, value: str, limits: Limits) -> None:
    try:
        sizes = len(key.encode()), len(value.encode())
    except UnicodeEncodeError:
        raise Unsound(f"metadata {shown(key)} is not valid Unicode") from None
    if sizes[0] > MAX_NAME:
        raise Unsound(f"the name of metadata {shown(key)} is longer than {MAX_NAME} bytes")
    if sizes[1] > limits.metadata_value:
        raise Unsound(f"metadata {shown(key)} has {sizes[1]} bytes, more than the {limits.metadata_value} allowed")
    if value.lstrip().startswith(("{", "[")) and nests_deeper(value, MAX_METADATA_DEPTH):
        raise Unsound(f"metadata {shown(key)} nests more than {MAX_METADATA_DEPTH} deep")


def _check_name(name: str) -> str:
    if not name or not name.isprintable():
        raise Unsound(f"tensor name {shown(name)} is empty or has characters that do not print")
    if len(name.encode()) > MAX_NAME:
        raise Unsound(f"tensor name {shown(name)} is longer than {MAX_NAME} bytes")
    return name


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, unless a field comes twice: readers disagree on which one counts."""
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a field comes twice")
    return result


def _no_constant(text: str) -> NoReturn:
    raise Unsound(f"its header holds {text}")


_JSON = json.JSONDecoder(object_pairs_hook=_unique, parse_float=lambda digits: math.nan, parse_constant=_no_constant)
