"""Measurements as the cells of a benchmark's table."""

from __future__ import annotations

from lora_doctor.types import Diagnosis


def number(diagnosis: Diagnosis, name: str, **where: str) -> str:
    """The measurement of exactly this slice as `0.33 [0.01, 0.66]`; `-` where there is none."""
    found = [m for m in diagnosis.measurements if m.name == name and dict(m.where) == where]
    if not found or found[0].value is None:
        return "-"
    ends = found[0].interval
    return f"{found[0].value:.2f}" + (f" [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else "")
