"""How a measurement, and the limit that a rule sets it, are called in words; read from `reports/measurements.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from lora_doctor.errors import EnvironmentFailure

FILE = "measurements.toml"
OPERATORS = {
    "above": "above", "below": "below", "at_least": "at least", "at_most": "at most", "equals": "exactly",
}  # fmt: skip


@lru_cache(maxsize=4)
def words_in(folder: Path) -> Mapping[str, str]:
    """Name of a measurement -> words, with `{attribute}` for that of its slice. Raises EnvironmentFailure without."""
    try:
        return {name: str(text) for name, text in tomllib.loads((folder / FILE).read_text("utf-8")).items()}
    except (OSError, ValueError):
        raise EnvironmentFailure("report template missing.", path=folder / FILE, advice="Install it again.") from None


def name_text(name: str, words: Mapping[str, str], attribute: str = "attribute") -> str:
    """`Hair colour flips to another label`; a name without words is told as it is."""
    text = words.get(name, name).replace("{attribute}", attribute.replace("_", " "))
    return text if name not in words else f"{text[:1].upper()}{text[1:]}"


def limit_text(limit: Mapping[str, float]) -> str:
    """`above 0.15`: where the rule begins to speak; empty where it asks for no number."""
    return " and ".join(f"{OPERATORS[how]} {number:g}" for how, number in limit.items())
