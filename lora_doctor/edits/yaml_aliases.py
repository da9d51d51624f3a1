"""Where aliases stand in YAML: a composed document no longer tells `*lr` from what it stands for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lora_doctor.edits.edit import Keys


@dataclass(frozen=True, slots=True)
class Alias:
    """`*name`, from where to where."""

    name: str
    start: int
    end: int


def aliases_in(text: str) -> dict[Keys, Alias]:
    """Place -> the alias that is the value there; of an entry that is written twice, the last. For sound YAML."""
    from ruamel.yaml import YAML

    if "*" not in text:
        return {}
    events = YAML(typ="safe", pure=True).parse(text)
    return dict(_within(events, next(_values(events)), ()))


def _values(events: Iterator[Any]) -> Iterator[Any]:
    """The events that begin a value, or end a table or list."""
    from ruamel.yaml import events as kinds

    apart = (kinds.StreamStartEvent, kinds.StreamEndEvent, kinds.DocumentStartEvent, kinds.DocumentEndEvent)
    yield from (event for event in events if not isinstance(event, apart))


def _within(events: Iterator[Any], event: Any, keys: Keys) -> Iterator[tuple[Keys, Alias]]:
    from ruamel.yaml import events as kinds

    if isinstance(event, kinds.AliasEvent):
        yield keys, Alias(name=event.anchor, start=event.start_mark.index, end=event.end_mark.index)
    elif isinstance(event, kinds.SequenceStartEvent):
        number = 0
        while not isinstance(item := next(events), kinds.SequenceEndEvent):
            yield from _within(events, item, (*keys, number))
            number += 1
    elif isinstance(event, kinds.MappingStartEvent):
        while not isinstance(key := next(events), kinds.MappingEndEvent):
            if isinstance(key, kinds.ScalarEvent):
                yield from _within(events, next(events), (*keys, str(key.value)))
            else:  # a table, a list or an alias as a key names no entry
                list(_within(events, key, ()))
                list(_within(events, next(events), ()))
