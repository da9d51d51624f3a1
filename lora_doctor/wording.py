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


def caption_text(fix: Mapping[str, Any]) -> str:
    """A fix of captions as text: `Captions: add trigger in the captions of all pictures`."""
    where = f" in the captions of {fix['to']} pictures" if "to" in fix else ""
    tokens, added, corrected = setting_text(fix.get("tokens") or ()), fix.get("add_tokens"), fix.get("correct_tokens")
    if added is not None:
        return f"Captions: add {tokens if fix.get('tokens') else setting_text(added)}{where}"
    if corrected is not None:
        kind = str(corrected).replace("_", " ")
        return f"Captions: name {tokens if fix.get('tokens') else f'the true {kind}'} and no other {kind}{where}"
    return f"Captions: {setting_text(fix)}"
