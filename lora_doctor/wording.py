"""Values of settings as text, the same in the terminal, in the report and in a prescription's sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def setting_text(value: Any) -> str:
    """A training setting as text: three significant digits, lists with commas, None is `not set`."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{name.replace('_', ' ')}: {setting_text(part)}" for name, part in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(setting_text, value)) or "none"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)
