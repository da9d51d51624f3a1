"""A comparison as one self-contained HTML page: it arranges and formats, and judges nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_doctor.album import Album, Image
from lora_doctor.charts import apart, scale
from lora_doctor.comparison_beside import ARM_OF, PICTURES
from lora_doctor.comparison_samples import IN_SCORES, WHOLE
from lora_doctor.comparison_words import difference_text, level_text, place, quantity_name
from lora_doctor.report import draw_page
from lora_doctor.run_folder import image_name

if TYPE_CHECKING:
    from lora_doctor.comparison import ChangedCell, Comparison

TEMPLATE = "comparison.html.j2"
SHOWN = 5
"""Versions whose pictures are shown and whose lines are named: the first, the best, the runner-up, then others."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 54.0, 540.0, 18.0, 300.0
"""The plotting area inside the chart's 720 x 348 units."""
_LINE = 22.0
"""Units between two names beside the chart."""


def render_comparison(comparison: Comparison, *, templates: Path, folders: Mapping[str, Path]) -> str:
    """`comparison` as HTML text that needs no other file and makes no network request.

    `folders` are the run folders by version, whose rendered pictures are shown; no training picture, caption or path
    is. Raises EnvironmentFailure when a template file is missing.
    """
    leading = _leading(comparison)
    albums = {name: Album(folders.get(name)) for name in leading}
    context = {
        "c": comparison, "whole": WHOLE, "leading": leading, "arms": ARM_OF, "scores": IN_SCORES,
        "beside": [quantity for quantity in comparison.effects if quantity in (*PICTURES, *ARM_OF)],
        "quantities": tuple(comparison.effects), "contrasts": _by_run(comparison),
        "strips": [_strip(cell, leading, albums) for cell in comparison.changed],
        "chart": _chart(comparison, leading), "quantity_name": quantity_name, "place": place,
        "difference": difference_text, "level": level_text,
    }  # fmt: skip
    return draw_page(TEMPLATE, context, templates)


def _leading(comparison: Comparison) -> tuple[str, ...]:
    """The versions shown with pictures, in the order they were named."""
    choice, names = comparison.choice, [run.name for run in comparison.runs]
    chosen = [names[0], *(each.run for each in (choice.best, choice.runner_up) if each is not None), *names]
    kept = set(list(dict.fromkeys(chosen))[:SHOWN])
    return tuple(name for name in names if name in kept)


def _by_run(comparison: Comparison) -> dict[tuple[str, str, str], Any]:
    """(version, quantity, weight) -> contrast with the first."""
    return {(c.run, c.quantity, c.weight): c for c in comparison.contrasts}


def _strip(cell: ChangedCell, leading: Sequence[str], albums: Mapping[str, Album]) -> dict[str, Any]:
    """The cell with its picture of the base model and of every leading version."""
    base = f"w0.00_{cell.environment}_{cell.framing}_r{cell.replicate}"
    pictures: list[tuple[str, Image | None, float | None]] = [
        ("base model", _picture(albums[leading[0]], base), None),
        *((name, _picture(albums[name], cell.key), cell.identity.get(name)) for name in leading),
    ]
    return {"cell": cell, "pictures": pictures}


def _picture(album: Album, key: str) -> Image | None:
    return album.get(image_name(key))


def _chart(comparison: Comparison, leading: Sequence[str]) -> Mapping[str, Any] | None:
    """Identity against weight, a line for each version; None when identity was not measured."""
    lines = {run.name: [(float(w), m) for w in comparison.weights
                        if (m := run.level("identity", w)) is not None and m.value is not None]
             for run in comparison.runs}  # fmt: skip
    lines = {name: line for name, line in lines.items() if line}
    if not lines:
        return None
    values = [float(v) for line in lines.values() for _, m in line for v in (m.value or 0.0, *(m.interval or ()))]
    low, high = min(0.0, *values) - 0.02, max(1.0, *values) + 0.02
    weights = [float(w) for w in comparison.weights]
    x, y = scale((weights[0], weights[-1]), (_LEFT + 12, _RIGHT)), scale((low, high), (_BOTTOM, _TOP))
    ends = {name: y(lines[name][-1][1].value or 0.0) for name in leading if name in lines}
    return {
        "lines": {name: line for name, line in lines.items() if name not in ends}
        | {name: lines[name] for name in ends},
        "class": {name: f"v{number}" for number, name in enumerate(ends)},
        "x": x, "y": y, "labels": apart(ends, _LINE, _TOP), "ticks": (0, 0.25, 0.5, 0.75, 1),
        "ship": [float(w) for w in comparison.ship_weights], "right": _RIGHT,
    }  # fmt: skip
