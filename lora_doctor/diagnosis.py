"""Diagnosis <-> `diagnosis.json`, which every report, gate and export is made from; AuditRecord -> `audit.json`."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lora_doctor.errors import InputRefused, UsageError
from lora_doctor.types import AuditRecord, Diagnosis

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT_VERSION = 1
"""The `format_version` this program writes, and the only one it reads."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def to_json(diagnosis: Diagnosis | AuditRecord) -> str:
    """`diagnosis`, or an audit, as JSON text: indented by one, in the order of the fields, ending in a newline.

    Fit for UTF-8.
    Sequences inside the free-form mappings (`lora`, `matrix`, ...) become lists; undecodable bytes of a file name are
    written as `\\xNN`. Raises ValueError for NaN or infinity and TypeError for a value JSON has no form for.
    """
    if isinstance(diagnosis, Diagnosis):
        plain = _adapter().dump_python(diagnosis, warnings=False)
    else:
        plain = _audit_adapter().dump_python(diagnosis, warnings=False)
    text = json.dumps(plain, allow_nan=False, default=_number, ensure_ascii=False, indent=1)
    return _LONE_SURROGATE.sub(lambda found: f"\\\\x{ord(found.group()) & 0xFF:02x}", text) + "\n"


def from_json(text: str) -> Diagnosis:
    """The Diagnosis that `to_json` wrote, equal field for field.

    Raises UsageError for a `format_version` this program does not read, InputRefused for anything else that is not a
    diagnosis.
    """
    from pydantic import ValidationError

    version = _version(text)
    if version != FORMAT_VERSION:
        raise UsageError(
            f"diagnosis has format_version {version!r}, this lora-doctor reads {FORMAT_VERSION}.",
            advice="Run `lora-doctor check` again, or use the version that wrote it.",
        )
    try:
        diagnosis = _adapter().validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputRefused(f"not a diagnosis: {where}: {first['msg']}.", advice=_AGAIN) from error
    changes = tuple(
        replace(c, before=_setting(c.before), after=_setting(c.after)) for c in diagnosis.prescription.changes
    )
    return replace(diagnosis, prescription=replace(diagnosis.prescription, changes=changes))


_AGAIN = "Run `lora-doctor check` again to write it anew."


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Diagnosis]:
    """pydantic's reader and writer of Diagnosis, built once (about 20 ms)."""
    from pydantic import TypeAdapter

    return TypeAdapter(Diagnosis)


@lru_cache(maxsize=1)
def _audit_adapter() -> TypeAdapter[AuditRecord]:
    from pydantic import TypeAdapter

    return TypeAdapter(AuditRecord)


def _version(text: str) -> Any:
    """`format_version` of the text, None when it names none; InputRefused when the text is not sound JSON."""
    try:
        raw = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise InputRefused(f"not a diagnosis: {error or 'nested too deep'}.", advice=_AGAIN) from error
    if not isinstance(raw, dict):
        raise InputRefused("not a diagnosis: not a JSON object.", advice=_AGAIN)
    version = raw.get("format_version")
    return version if type(version) is int else None


def _setting(value: Any) -> Any:
    """A value of a TrainingSettings field: its sequences are tuples, which JSON cannot say."""
    return tuple(value) if isinstance(value, list) else value


def _refuse_constant(name: str) -> float:
    """JSON has no NaN and no infinity, though Python's reader would let them in."""
    raise ValueError(f"{name} is not a number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits} is too large")
    return value


def _number(value: Any) -> Any:
    """A numpy number as Python's own; anything else has no place in a diagnosis."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    raise TypeError(f"{type(value).__name__} has no form in JSON")
