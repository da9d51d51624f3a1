"""The arms beside the matrix as a report shows them: a few pictures with the LoRA, beside weight 0 at the same seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lora_doctor.album import Album, Image
from lora_doctor.types import Diagnosis, Finding, Measurement

PAIRS = 4
"""Pairs of pictures that an arm shows, each from another environment where there are so many."""
WITHHELD = frozenset({"captions", "recombined"})
"""The arms that render captions of the training set: their pictures may be training pictures, and no public page has
them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmPair:
    """One prompt of an arm without and with the LoRA."""

    arm: str
    environment: str
    framing: str
    weight: float
    asked: tuple[str, ...]
    """What was asked for here; empty = the same everywhere in the arm."""
    base: Image | None
    shown: Image | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmView:
    """One arm: its name, its pictures, and what was measured in it."""

    name: str
    pairs: tuple[ArmPair, ...]
    measurements: tuple[Measurement, ...]


def arm_views(
    diagnosis: Diagnosis, shown: Mapping[str, Sequence[tuple[str, Mapping[str, str]]]], album: Album
) -> tuple[ArmView, ...]:
    """The arms of `shown` that were rendered, in its order; it maps an arm to (measurement, slice)."""
    views = []
    for name, wanted in shown.items():
        cells = [cell for cell in diagnosis.arms if cell["arm"] == name]
        found = (
            next((m for m in diagnosis.measurements if m.name == n and dict(m.where) == w), None) for n, w in wanted
        )
        if cells:
            told = tuple(m for m in found if m is not None)
            views.append(ArmView(name=name, pairs=_pairs(cells, album), measurements=told))
    return tuple(views)


def _pairs(cells: Sequence[Mapping[str, Any]], album: Album) -> tuple[ArmPair, ...]:
    """The first cell of each environment at the highest weight, framings in turn, each with its twin at weight 0."""
    top = max(float(cell["weight"]) for cell in cells)
    bases = {_place(cell): cell for cell in cells if float(cell["weight"]) == 0}
    framings = list(dict.fromkeys(cell["framing"] for cell in cells))
    pairs: list[ArmPair] = []
    for turn, place in enumerate(dict.fromkeys(cell["environment"] for cell in cells)):
        drawn = [c for c in cells if float(c["weight"]) == top and c["environment"] == place and _place(c) in bases]
        drawn.sort(key=lambda c: (framings.index(c["framing"]) != turn % len(framings), c["replicate"]))
        for cell in drawn[:1]:
            base = album.get(bases[_place(cell)].get("image"))
            pairs.append(ArmPair(
                arm=cell["arm"], environment=place, framing=cell["framing"], weight=top, base=base,
                shown=album.get(cell.get("image")),
                asked=tuple(part for part in str(cell.get("asked") or "").split("+") if part),
            ))  # fmt: skip
    return tuple(pairs[:PAIRS])


def evidence_in_arms(finding: Finding, diagnosis: Diagnosis, album: Album, *, private: bool) -> tuple[ArmPair, ...]:
    """The pictures beside the matrix that a finding points at, each with its like at weight 0; empty without any.

    Those of the arms `WITHHELD` only when `private`.
    """
    bases = {(cell["arm"], _place(cell)): cell for cell in diagnosis.arms if float(cell["weight"]) == 0}
    matrix = {_spot(cell): cell for cell in diagnosis.cells if float(cell["weight"]) == 0}
    known = {cell["key"]: cell for cell in diagnosis.arms}
    return tuple(
        ArmPair(
            arm=cell["arm"], environment=cell["environment"], framing=cell["framing"], weight=float(cell["weight"]),
            asked=tuple(part for part in str(cell.get("asked") or "").split("+") if part),
            base=album.get((bases.get((cell["arm"], _place(cell))) or matrix.get(_spot(cell)) or {}).get("image")),
            shown=album.get(cell.get("image")),
        )
        for cell in (known[key] for key in finding.cells if key in known)
        if private or cell["arm"] not in WITHHELD
    )[:PAIRS]  # fmt: skip


def is_withheld(finding: Finding, diagnosis: Diagnosis) -> bool:
    """Whether the finding points at pictures that a public page does not show."""
    shown = frozenset(finding.cells)
    return any(cell["key"] in shown and cell["arm"] in WITHHELD for cell in diagnosis.arms)


def _spot(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    return cell["environment"], cell["framing"], cell["replicate"]


def _place(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    return cell["environment"], cell["framing"], cell["replicate"], cell.get("asked")
