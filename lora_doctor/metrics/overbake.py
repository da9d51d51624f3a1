"""Whether the pictures burn: each weight against the base model at the same seeds.

Ratios and differences are paired by environment. What the character itself brings (a white dress, a dark room) is told
from burning by the dataset's own range: a picture is beyond it
when it goes further than nineteen in twenty of the training pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from lora_doctor.image_states import NO_LIMITS, State, came_out_empty, state_of
from lora_doctor.metrics.above_chance import undrawn
from lora_doctor.metrics.estimates import Estimate, mean, paired_difference, ratio, reach_of_difference, told
from lora_doctor.metrics.units import Sample, alike, pick, sample, ship_caveat, weights_of
from lora_doctor.types import Cell, LabelSet, Measurement, PixelFacts, Study

FULL_SCALE = {"chroma": 130.0, "lightness_spread": 50.0, "detail": 1.0, "clipped": 1.0}
"""The largest value of each, so that numbers lie between 0 and 1, where a missing picture is bounded."""
ARM = "strong"
WRECKS: tuple[State, ...] = ("no face", "several people", "broken")
"""States of a render that are artefacts where the base model draws a person at the same seed."""
ASKED = ("environment", "framing")
"""Kinds of label sets of what a prompt of the matrix asks for."""
RANGE = 0.95
"""The share of the dataset's pictures that make its range."""


def measure(study: Study) -> list[Measurement]:
    """`overbake.*` by weight (each of the matrix, `ship`, and that of the arm `strong`)."""
    slices = {weight: pick(study, {"weight": weight}) for weight in (*weights_of(study), "ship") if weight != "0"}
    slices |= {f"{cells[0].weight:g}": cells for cells in [study.arms.get(ARM, ())] if cells}
    return [one for weight, cells in slices.items() for one in _at(study, weight, cells)]


def _at(study: Study, weight: str, cells: Sequence[Cell]) -> Iterator[Measurement]:
    """Ratios LoRA over base, differences, and shares of pictures beyond every training picture."""
    where, caveat = {"weight": weight}, ship_caveat(study, {"weight": weight})
    base = alike(pick(study, {"weight": "0"}), cells)
    for fact in ("chroma", "lightness_spread", "detail"):
        lora, without = (_sample(study, one, _scaled(fact)) for one in (cells, base))
        yield told(ratio(lora.masked(without), without.masked(lora)), f"overbake.{fact}", where, "ratio", caveat)
    lora, without = (_sample(study, one, _scaled("clipped"), rate=True) for one in (cells, base))
    burnt = paired_difference(lora.masked(without), without.masked(lora))
    yield told(burnt, "overbake.clipped", where, "share", caveat)
    for fact in FULL_SCALE:
        highest = _highest(study, fact)
        beyond = _UNREAD if highest is None else _sample(study, cells, _above(fact, highest), rate=True)
        yield told(mean(beyond), f"overbake.{fact}_beyond", where, "share", caveat)
    right, asked = (_adherence(study, one, ASKED) for one in (cells, base))
    lost = _undrawn(study, base) or paired_difference(asked.masked(right), right.masked(asked))
    reach = reach_of_difference(asked, right)
    yield told(lost, "overbake.adherence_loss", where, "share", caveat, reach=reach)
    wrecks, without = (_wrecks(study, one) for one in (cells, base))
    more = paired_difference(wrecks.masked(without), without.masked(wrecks))
    yield told(more, "overbake.artefacts", where, "share", caveat)


def burnt(study: Study, cells: Sequence[Cell]) -> Sample:
    """1 where a render goes beyond the dataset's range in chroma, contrast, detail or clipping, else 0."""
    highest = {fact: limit for fact in FULL_SCALE if (limit := _highest(study, fact)) is not None}
    if not highest:
        return _UNREAD
    return _sample(study, cells, lambda pixels: float(any(_above(f, v)(pixels) for f, v in highest.items())), rate=True)


_UNREAD = Sample(rate=True, absent="the pixels of no training picture were read")


def _scaled(fact: str) -> Callable[[PixelFacts], float]:
    return lambda pixels: float(getattr(pixels, fact)) / FULL_SCALE[fact]


def _above(fact: str, highest: float) -> Callable[[PixelFacts], float]:
    return lambda pixels: float(getattr(pixels, fact) > highest)


def _highest(study: Study, fact: str) -> float | None:
    """What nineteen in twenty of the dataset's pictures stay below: a few odd ones must not hide a LoRA that burns."""
    known = sorted(float(getattr(r.pixels, fact)) for r in study.references if r is not None and r.pixels is not None)
    return known[math.ceil(RANGE * len(known)) - 1] if known else None


def _sample(
    study: Study, cells: Sequence[Cell], value_of: Callable[[PixelFacts], float], *, rate: bool = False
) -> Sample:
    def of(cell: Cell) -> float | None:
        reading = study.renders.get(cell.key)
        return None if reading is None or reading.pixels is None else value_of(reading.pixels)

    return sample(cells, of, rate=rate)


def _undrawn(study: Study, base: Sequence[Cell]) -> Estimate | None:
    """No value, with the reason, where the base model draws no environments, or no framings, that it is asked for."""
    for kind, labels in _asked_sets(study, ASKED).items():
        found = undrawn(_adherence(study, base, (kind,)), [labels], f"{kind}s")
        if found is not None:
            return found
    return None


def _asked_sets(study: Study, kinds: Sequence[str]) -> dict[str, LabelSet]:
    return {labels.kind: labels for labels in study.label_sets.values() if labels.kind in kinds}


def _adherence(study: Study, cells: Sequence[Cell], kinds: Sequence[str]) -> Sample:
    """1 where all that the prompt asked for of these kinds comes, as CLIP reads it, else 0.

    Not the share of it: a place that is lost is not made up for by the framing, nor the other way round.
    """
    sets = _asked_sets(study, kinds)
    if not sets:
        return Sample(rate=True, absent="there is no label set of environments or framings")

    def wanted(cell: Cell) -> list[tuple[LabelSet, str]]:
        asked = {"environment": cell.environment, "framing": cell.framing}
        return [(labels, asked[kind]) for kind, labels in sets.items() if asked[kind] in labels.labels]

    def of(cell: Cell) -> float | None:
        reading = study.renders.get(cell.key)
        if reading is None:
            return None
        return float(all(reading.top_label(labels) == label for labels, label in wanted(cell)))

    return sample([cell for cell in cells if wanted(cell)], of, rate=True)


def _wrecks(study: Study, cells: Sequence[Cell]) -> Sample:
    """Pictures that no prompt asks for: nobody's face, two people where one was asked for, nothing at all."""

    def of(cell: Cell) -> float | None:
        reading, reason = study.renders.get(cell.key), study.missing.get(cell.key)
        if reading is None and not came_out_empty(cell, reason):
            return None
        return float(state_of(reading, reason, cell.weight, None, NO_LIMITS, None) in WRECKS)

    return sample(cells, of, rate=True)
