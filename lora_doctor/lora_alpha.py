"""The alpha of a LoRA module, wherever its trainer wrote it. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

MAX_PATTERN = 512
MAX_REPEATS = 4
_SIMPLE = re.compile(r"\^?(?:[\w|-]|\\?\.|\.\*|\\d\+|\[0-9\]\+)*\$?")
"""Names with `.`, `.*` and numbers: what trainers write; with few repeats nothing takes long to match."""


def adapter_fields(metadata: Mapping[str, str]) -> Mapping[str, Any]:
    """diffusers' record in a file's metadata: `<component>.<field of peft's LoraConfig>` -> value; {} without one.

    Raises ValueError when it is there and is not a JSON object.
    """
    return _fields(metadata.get("lora_adapter_metadata", "{}"))


@lru_cache(maxsize=4)
def _fields(text: str) -> Mapping[str, Any]:
    """Cached: it is asked for every module, and a stranger's may be a megabyte long."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise ValueError("its metadata lora_adapter_metadata is not a JSON object")
    return fields


def alpha_and_divisor(
    *, component: str, name: str, layout: str, rank: int, stored: float | None, metadata: Mapping[str, str],
    fields: Mapping[str, Any],
) -> tuple[float, float]:  # fmt: skip
    """(alpha, divisor): the module's scale is their quotient. The first of these that exists decides:

    `stored`, the module's own alpha tensor; `fields`, diffusers' adapter metadata or peft's config (rank-stabilised
    LoRA divides by the root of the rank); `lora_alpha` in the metadata, but not for kohya's layout, which always stores
    alpha per module; else alpha = rank, the convention of every loader. Raises ValueError for an alpha that is 0 or no
    number: loaders disagree on what 0 means.
    """
    if stored is not None:
        return _number(f"the alpha of {name!a}", stored), float(rank)
    if f"{component}.lora_alpha" in fields:
        patterned = by_pattern(fields.get(f"{component}.alpha_pattern"), name, "alpha_pattern")
        alpha = fields[f"{component}.lora_alpha"] if patterned is None else patterned
        divisor = math.sqrt(rank) if fields.get(f"{component}.use_rslora") is True else float(rank)
        return _number("its recorded lora_alpha", alpha), divisor
    if layout != "kohya" and "lora_alpha" in metadata:
        return _number("its metadata lora_alpha", metadata["lora_alpha"]), float(rank)
    return float(rank), float(rank)


def by_pattern(patterns: Any, name: str, field: str) -> Any:
    """What peft's `alpha_pattern` or `rank_pattern` gives the module, None where it gives none.

    The first pattern counts that is the module's name, or the end of it after a dot. `field`: what they are called.
    Raises ValueError for a pattern that is more than a simple regular expression: it comes from a stranger's file.
    """
    for pattern, alpha in patterns.items() if isinstance(patterns, dict) else ():
        repeats = pattern.count("*") + pattern.count("+")
        if len(pattern) > MAX_PATTERN or not _SIMPLE.fullmatch(pattern) or repeats > MAX_REPEATS:
            raise ValueError(f"its {field} holds {ascii(pattern)[:60]}, which is not understood")
        if re.match(rf"(?:.*\.)?(?:{pattern})\Z", name):
            return alpha
    return None


def _number(what: str, value: Any) -> float:
    """`value` as a finite number other than 0; trainers write numbers and strings alike."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or number == 0:
        raise ValueError(f"{what} is {ascii(value)[:40]}, not a number other than 0")
    return number
