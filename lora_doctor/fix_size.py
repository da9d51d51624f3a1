"""How large the change of a fix is, by how far the finding is beyond its rule's threshold. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lora_doctor.wording import digits

SIZE_KEYS = ("from", "to", "at")
ROUNDED_TO = "multiple_of"
SMALL = 0.1
"""Numbers below it have two digits instead of two decimals: a learning rate is not 0."""
LARGEST = 1e12


def is_size(amount: Any) -> bool:
    """Whether an amount is a range to be sized in, `{from: 0.33, to: 0.25, at: 0.5}`, and not a value."""
    return isinstance(amount, Mapping) and "from" in amount


def sized(amount: Mapping[str, float], strength: float) -> float:
    """`from` where the finding is just beyond its threshold, `to` where its strength is `at` or more, straight between.

    `strength`: `Finding.strength`, 0 or more. To two decimals, small numbers to two digits, or to the nearest
    `multiple_of` that is not beyond either end.
    """
    share = min(1.0, max(0.0, strength) / amount["at"])
    value = amount["from"] + (amount["to"] - amount["from"]) * share
    if (step := amount.get(ROUNDED_TO)) is not None:
        return round(value / step) * step
    return float(f"{value:.2g}") if abs(value) < SMALL else round(value, 2)


def sized_because(amount: Mapping[str, float], strength: float) -> str:
    """Where the size comes from: `0.47 beyond its threshold, where 0.25 is for 0.50 or more ...`."""
    far = f"{digits(amount['to'])} is for {digits(amount['at'])} or more and {digits(amount['from'])} for next to none"
    return f"{digits(strength)} beyond its threshold, where {far}"


def size_complaints(amount: Mapping[str, Any], at: str) -> Iterator[str]:
    """What is wrong with a range of sizes in a rule file, at this place in it."""
    numbers = {key for key, value in amount.items() if is_number(value)}
    if not set(SIZE_KEYS) <= numbers or not set(amount) <= {*SIZE_KEYS, ROUNDED_TO} or len(numbers) < len(amount):
        wanted = f"{{{', '.join(SIZE_KEYS)}}} (and {ROUNDED_TO})"
        yield f"{at}: a number or {wanted}, all numbers, is wanted, not {amount!r}"
    elif min(amount.values()) <= 0:
        yield f"{at}: every number in it must be above 0"
    elif (step := amount.get(ROUNDED_TO)) is not None and any(amount[end] % step for end in ("from", "to")):
        yield f"{at}: `from` and `to` must be multiples of `{ROUNDED_TO}`, {step:g}"


def is_number(value: Any) -> bool:
    """Whether it is a number that a setting can be: finite, and neither yes nor no."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST


def amount_complaints(operation: str, amount: Any, at: str) -> Iterator[str]:
    """What is wrong with what a fix asks of a setting, at this place in the file."""
    measured = amount.get("measured") if isinstance(amount, Mapping) and set(amount) == {"measured"} else None
    if measured is not None and operation != "times":
        if not isinstance(measured, str) or not measured.strip():
            yield f"{at}: the name of a measurement is wanted, not {measured!r}"
    elif operation == "set":
        if isinstance(amount, Mapping) and set(amount) != {"off_spec"}:
            yield f"{at}: a value, {{off_spec: <attribute>}} or {{measured: <name>}} is wanted"
        elif isinstance(amount, float) and not is_number(amount):
            yield f"{at}: {amount!r} is no value of a setting"
    elif isinstance(amount, Mapping):
        yield from size_complaints(amount, at)
    elif not is_number(amount) or (operation == "times" and amount <= 0):
        yield f"{at}: a number{' above 0' if operation == 'times' else ''} is wanted, not {amount!r}"
