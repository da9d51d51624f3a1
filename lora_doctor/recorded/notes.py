"""Notes on one training while it is read: what is known and from where, what is not and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from lora_doctor.recorded.values import NoSingleValue, Unreadable, agreed, is_none, mapping
from lora_doctor.types import TrainingRecord, TrainingSettings

FIELDS = tuple(field.name for field in fields(TrainingSettings))
_MAX_TRIGGERS = 50
_MAX_TRIGGER = 200
"""Characters."""


class Notes:
    """Values and reasons gathered for the fields of `TrainingSettings`; `finish` makes the record of them."""

    def __init__(self, trainer: str | None, source: str) -> None:
        """`source` is where the trainer's name was read."""
        self.trainer = trainer
        self.values: dict[str, Any] = {"trainer": trainer}
        self.sources: dict[str, str] = {"trainer": source}
        self.unreadable: dict[str, str] = {}
        self.triggers: list[str] = []

    def know(self, field: str, value: Any, source: str) -> None:
        """Writes down a value, over any before it."""
        self.values[field], self.sources[field] = value, source

    def miss(self, field: str, reason: str) -> None:
        """Writes down why there is no value, unless there is one."""
        if field not in self.values:
            self.sources[field] = reason

    def read(
        self,
        field: str,
        held: Mapping[str, Any],
        key: str,
        reader: Callable[[Any], Any],
        *,
        where: str = "metadata",
        none: Any = None,
        caveat: str = "",
    ) -> None:
        """`held[key]` as `field`; `none` is what the trainer means where it wrote down that there is no value.

        `caveat` follows the source of a value, in brackets. Never raises: what cannot be read becomes the reason.
        """
        if key not in held:
            self.miss(field, f"{where} has no {key}")
        elif is_none(held[key]):
            if none is None:
                self.miss(field, f"{where} {key} says None")
            else:
                self.know(field, none, f"{where} {key} says None: off")
        else:
            self.compute(field, lambda: reader(held[key]), f"{where} {key}", caveat)

    def compute(self, field: str, work: Callable[[], Any], source: str, caveat: str = "") -> None:
        """What `work` returns as `field`; the Unreadable it raises becomes the reason."""
        try:
            value = work()
        except NoSingleValue as error:
            self.miss(field, f"{source}: {error}")
        except Unreadable as error:
            self.miss(field, f"{source} is unreadable: {error}")
        else:
            self.know(field, value, f"{source} ({caveat})" if caveat else source)

    def agree(
        self, field: str, held: Sequence[Mapping[str, Any]], key: str, reader: Callable[[Any], Any], of: str, where: str
    ) -> None:
        """What every one of `held` has under `key`; `of` says what they are. Never raises."""
        source = f"{where} {key}"
        if not held:
            self.miss(field, f"{where} lists no {of}")
        elif any(key not in item for item in held):
            self.miss(field, f"{source} is missing in some of the {of}")
        else:
            self.compute(field, lambda: agreed((reader(item[key]) for item in held), of), source)

    def json_object(self, metadata: Mapping[str, str], key: str) -> dict[str, Any]:
        """The JSON object under `key`; {} when there is none, or when it cannot be read, which is written down."""
        return self.optional(metadata, key, mapping) or {}

    def optional(self, held: Mapping[str, Any], key: str, reader: Callable[[Any], Any]) -> Any:
        """The value under `key` of something that is no setting; None without one, or if unreadable (written down)."""
        if is_none(held.get(key)):
            return None
        try:
            return reader(held[key])
        except Unreadable as error:
            self.unreadable[key] = f"unreadable: {error}"
            return None

    def trigger(self, *candidates: Any) -> None:
        """Adds candidates for the trigger, likeliest first; what is no short text, or there already, is passed over."""
        for candidate in candidates:
            text = candidate.strip() if isinstance(candidate, str) else ""
            if text and len(text) <= _MAX_TRIGGER and text not in self.triggers:
                self.triggers.append(text)

    def finish(self, reasons: Mapping[str, str], otherwise: str, **about: Any) -> TrainingRecord:
        """The record. Fields without value or reason get theirs from `reasons`, else `otherwise`."""
        sources = {name: self.sources.get(name) or reasons.get(name, otherwise) for name in FIELDS}
        return TrainingRecord(
            trainer=self.trainer,
            settings=TrainingSettings(**self.values),
            sources=sources,
            triggers=tuple(self.triggers[:_MAX_TRIGGERS]),
            unreadable=self.unreadable,
            **about,
        )


def read_table(
    notes: Notes,
    held: Mapping[str, Any],
    table: Iterable[tuple[str, str, Callable[[Any], Any]]],
    *,
    where: str = "metadata",
) -> None:
    """Reads every (field, key, reader) of a table."""
    for field, key, reader in table:
        notes.read(field, held, key, reader, where=where)
