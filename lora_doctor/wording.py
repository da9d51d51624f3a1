"""Values of settings, and doubts about causes, as text: in terminal, report and prescription the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lora_doctor.types import Finding


def too_close(finding: Finding, most: int = 3) -> str | None:
    """What to say where the first causes are too close to tell which comes first, and what would tell; else None."""
    if finding.close < 2:
        return None
    unknown = list(dict.fromkeys(line for cause in finding.causes[: finding.close] for line in cause.unknown))
    would = f" Not known, and would tell: {'; '.join(unknown[:most])}." if unknown else ""
    return f"Which of the first {finding.close} causes comes first is too close to tell.{would}"


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
