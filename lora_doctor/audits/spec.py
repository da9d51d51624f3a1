"""What the spec covers: a rule about the outfit does not apply to a character whose spec names none."""

from __future__ import annotations

from lora_doctor.types import Case, Measurement

KINDS = ("identity", "body", "outfit")


def audit(case: Case) -> list[Measurement]:
    """`spec.attributes`: how many spec attributes each kind has, and for each attribute 1 or 0. Exact counts."""
    kinds: list[str] = [case.label_sets[name].kind for name in case.spec if name in case.label_sets]
    by_kind = [_count({"kind": kind}, kinds.count(kind)) for kind in KINDS]
    return by_kind + [_count({"attribute": name}, int(name in case.spec)) for name in case.label_sets]


def _count(where: dict[str, str], value: int) -> Measurement:
    return Measurement(name="spec.attributes", value=float(value), unit="count", n=value, where=where)
