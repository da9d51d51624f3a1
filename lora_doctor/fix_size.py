"""How large the change of a fix is, by how far the finding is beyond its rule's threshold. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lora_doctor.wording import digits

SIZE_KEYS = ("from", "to", "at")
ROUNDED_TO = "multiple_of"


def is_size(amount: Any) -> bool:
    """Whether an amount is a range to be sized in, `{from: 0.33, to: 0.25, at: 0.5}`, and not a value."""
    return isinstance(amount, Mapping) and "from" in amount


def sized(amount: Mapping[str, float], strength: float) -> float:
    """`from` where the finding is just beyond its threshold, `to` where its strength is `at` or more, straight between.

    `strength`: `Finding.strength`, 0 or more. To two decimals, or to the nearest `multiple_of`.
    """
    share = min(1.0, max(0.0, strength) / amount["at"])
    value = amount["from"] + (amount["to"] - amount["from"]) * share
    if (step := amount.get(ROUNDED_TO)) is not None:
        return round(value / step) * step
    return round(value, 2)


def sized_because(amount: Mapping[str, float], strength: float) -> str:
    """Where the size comes from: `0.47 beyond its threshold, where 0.25 is for 0.50 or more ...`."""
    far = f"{digits(amount['to'])} is for {digits(amount['at'])} or more and {digits(amount['from'])} for next to none"
    return f"{digits(strength)} beyond its threshold, where {far}"


def size_complaints(amount: Mapping[str, Any], at: str) -> Iterator[str]:
    """What is wrong with a range of sizes in a rule file, at this place in it."""
    numbers = {key for key, value in amount.items() if isinstance(value, (int, float)) and not isinstance(value, bool)}
    if not set(SIZE_KEYS) <= numbers or not set(amount) <= {*SIZE_KEYS, ROUNDED_TO} or len(numbers) < len(amount):
        wanted = f"{{{', '.join(SIZE_KEYS)}}} (and {ROUNDED_TO})"
        yield f"{at}: a number or {wanted}, all numbers, is wanted, not {amount!r}"
    elif amount["at"] <= 0 or amount.get(ROUNDED_TO, 1) <= 0:
        yield f"{at}: `at` and `{ROUNDED_TO}` must be above 0"
