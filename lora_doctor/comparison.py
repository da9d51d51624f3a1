"""Finished runs of several versions of one character -> what got better, what got worse, and which one to ship. Pure.

Every contrast is paired: the same prompts and seeds, unit by unit, with Student's t on the environments' means. Each
version is held against the first, and the best against the runner-up: 2 n contrasts, not n squared.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, reduce
from typing import Literal

from lora_doctor.compared_run import ComparedRun, Terms, agree_on_terms
from lora_doctor.comparison_beside import TOP, beside_cells
from lora_doctor.comparison_choice import Candidate, Choice, ParetoRow, choose, pareto
from lora_doctor.comparison_samples import (
    IDENTITY,
    SHIP,
    WHOLE,
    common_scale,
    quantities,
    sample_of,
    sign,
    slices_of,
    unit_of,
)
from lora_doctor.metrics.estimates import mean, paired_difference, told
from lora_doctor.metrics.units import Sample
from lora_doctor.smallest_effects import SmallestEffects
from lora_doctor.types import Cell, Measurement

FORMAT_VERSION = 1
State = Literal["better", "worse", "alike", "open", "not measured"]
"""`better` and `worse`: the whole interval beyond the smallest effect that matters; `alike`: all of it within;
`open`: neither is shown."""
CELLS_SHOWN, PER_ENVIRONMENT = 6, 2
"""Of the cells that changed most; no more than two of one environment, so that one scene does not stand for all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """One version minus another, in one quantity and slice."""

    quantity: str
    """`identity`, `body`, `outfit`, `environment`, `framing`, `no_face`, one of `comparison_beside`, or
    `attribute:<name>`."""
    weight: str
    """`0.7`, or `ship` = the mean over the shared ship weights; two of them (`1 and 0.7`) where they differ; `top` =
    what is rendered beside the matrix, at the highest ship weight."""
    run: str
    against: str
    difference: Measurement
    """In identity scores or shares; of some less is better (`comparison_samples.sign`)."""
    state: State

    @property
    def whole(self) -> bool:
        """Whether it sums up its quantity, and is of no single weight."""
        return self.weight in (SHIP, TOP)


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """One version by itself: its verdict, and its levels over the shared cells."""

    name: str
    sha256: str
    outcome: str
    sentence: str
    levels: tuple[Measurement, ...]
    """`compare.<quantity>` at every shared weight and over the ship weights."""

    def level(self, quantity: str, weight: str) -> Measurement | None:
        """The level in one quantity and slice."""
        wanted = f"compare.{quantity}"
        return next((m for m in self.levels if m.name == wanted and m.where["weight"] == weight), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangedCell:
    """A cell in which identity differs most between versions."""

    key: str
    weight: float
    environment: str
    framing: str
    replicate: int
    identity: Mapping[str, float]
    """Version -> identity score of its picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Everything a comparison found; `comparison.json` is this, and both pages are drawn from it and pictures."""

    format_version: int
    trigger: str
    policy: str
    threshold: float | None
    """The policy's identity score, drawn in the chart."""
    shared_cells: int
    environments: tuple[str, ...]
    weights: tuple[str, ...]
    """The shared ones above 0."""
    ship_weights: tuple[str, ...]
    ruler: str
    effects: Mapping[str, float]
    """Quantity -> smallest effect that matters."""
    notes: tuple[str, ...]
    runs: tuple[Standing, ...]
    contrasts: tuple[Contrast, ...]
    """Each version against the first."""
    choice: Choice
    rivals: tuple[Contrast, ...]
    """The best against the runner-up, each at its own weight."""
    pareto: tuple[ParetoRow, ...]
    changed: tuple[ChangedCell, ...]


def compare(runs: Sequence[ComparedRun], effects: SmallestEffects) -> Comparison:
    """Holds every run against the first; raises what `agree_on_terms` raises."""
    terms = agree_on_terms(runs)
    book = _Book(runs, terms)
    first, names = runs[0], quantities(terms)
    slices = {quantity: slices_of(quantity, book.weights, book.ship) for quantity in names}
    standings = tuple(_standing(run, book, slices) for run in runs)
    contrasts = tuple(
        book.contrast(run, first, quantity, weight, weight, effects)
        for run in runs[1:] for quantity in names for weight in slices[quantity]
    )  # fmt: skip
    candidates = [
        Candidate(run=run.name, weight=weight, outcome=run.diagnosis.verdict.outcome, levels=_levels(standing, weight))
        for run, standing in zip(runs, standings, strict=True) for weight in book.claimed(run)
    ]  # fmt: skip
    by_name = {run.name: run for run in runs}

    def rivalry(one: Candidate, other: Candidate, quantity: str) -> Contrast:
        sides = by_name[one.run], by_name[other.run]
        weights = (one.weight, other.weight) if book.weights[0] in slices[quantity] else (TOP, TOP)
        return book.contrast(*sides, quantity, *weights, effects)

    choice = choose(candidates, lambda one, other: rivalry(one, other, IDENTITY).difference, effects.identity)
    rivals: tuple[Contrast, ...] = ()
    if choice.best is not None and choice.runner_up is not None:
        rivals = tuple(rivalry(choice.best, choice.runner_up, quantity) for quantity in names)
    threshold = first.diagnosis.matrix.get("threshold")
    shown = list(dict.fromkeys(each.run for each in (choice.best, choice.runner_up) if each is not None))
    return Comparison(
        format_version=FORMAT_VERSION,
        trigger=str(first.diagnosis.character.get("trigger") or ""),
        policy=str(first.diagnosis.matrix.get("policy") or ""),
        threshold=float(threshold) if isinstance(threshold, (int, float)) else None,
        shared_cells=len(terms.shared),
        environments=tuple(dict.fromkeys(cell.environment for cell in book.cells(first))),
        weights=book.weights,
        ship_weights=book.ship,
        ruler=book.scale.ruler if isinstance(book.scale.ruler, str) else book.scale.says,
        effects={quantity: effects.of(quantity) for quantity in names},
        notes=terms.notes,
        runs=standings,
        contrasts=contrasts,
        choice=choice,
        rivals=rivals,
        pareto=pareto(book.alike(candidates), {q: effects.of(q) for q in WHOLE}, sign),
        changed=_changed(runs, book, {first.name, *shown}),
    )


class _Book:
    """The shared cells of all runs, and the samples made of them, each once."""

    def __init__(self, runs: Sequence[ComparedRun], terms: Terms) -> None:
        self.terms, self.scale = terms, common_scale(runs, terms)
        self._runs = {run.name: run for run in runs}
        self._cells = {run.name: [c for key, c in run.cells.items() if key in terms.shared] for run in runs}
        weights = sorted({cell.weight for cell in self.cells(runs[0]) if cell.weight > 0})
        self.weights = tuple(f"{weight:g}" for weight in weights)
        common = set.intersection(*({f"{weight:g}" for weight in run.ship_weights} for run in runs))
        self.ship = tuple(weight for weight in self.weights if weight in common)
        self._sample_of = cache(self._sample)

    def cells(self, run: ComparedRun) -> list[Cell]:
        """The run's shared cells."""
        return self._cells[run.name]

    def claimed(self, run: ComparedRun) -> tuple[str, ...]:
        """The weights at which the run's verdict lets it ship: those of all runs, or its own where they share none."""
        own = {f"{weight:g}" for weight in run.ship_weights}
        return self.ship or tuple(weight for weight in self.weights if weight in own)

    def of(self, run: ComparedRun, quantity: str, weight: str) -> Sample:
        """The run's sample of one quantity and weight."""
        return self._sample_of(run.name, quantity, weight)

    def _sample(self, name: str, quantity: str, weight: str) -> Sample:
        if weight == TOP:
            run = self._runs[name]
            return sample_of(run, quantity, beside_cells(run, quantity, self.terms), self.scale, self.terms)
        wanted = self.ship if weight == SHIP else (weight,)
        cells = [cell for cell in self._cells[name] if f"{cell.weight:g}" in wanted]
        return sample_of(self._runs[name], quantity, cells, self.scale, self.terms)

    def alike(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates with levels over the units that every one of them has, as the differences are taken."""
        levels: list[dict[str, Measurement]] = [{} for _ in candidates]
        for quantity in WHOLE:
            samples = [self._sample_of(each.run, quantity, each.weight) for each in candidates]
            for each, own, one in zip(candidates, levels, samples, strict=True):
                shared = reduce(Sample.masked, samples, one)
                own[quantity] = told(mean(shared), f"compare.{quantity}", {"weight": each.weight}, unit_of(quantity))
        return [replace(each, levels=own) for each, own in zip(candidates, levels, strict=True)]

    def contrast(
        self, run: ComparedRun, against: ComparedRun, quantity: str, weight: str, other: str, effects: SmallestEffects
    ) -> Contrast:
        """`run` at `weight` minus `against` at `other`, of the units that both have."""
        mine, theirs = self.of(run, quantity, weight), self.of(against, quantity, other)
        found = paired_difference(mine.masked(theirs), theirs.masked(mine))
        place = weight if weight == other else f"{weight} and {other}"
        difference = told(found, f"compare.{quantity}", {"weight": place}, unit_of(quantity))
        state = state_of(difference, effects.of(quantity), sign(quantity))
        return Contrast(
            quantity=quantity, weight=place, run=run.name, against=against.name, difference=difference, state=state
        )


def to_json(comparison: Comparison) -> str:
    """`comparison` as JSON text, indented by one, ending in a newline."""
    return json.dumps(asdict(comparison), allow_nan=False, ensure_ascii=False, indent=1) + "\n"


def state_of(difference: Measurement, effect: float, direction: int) -> State:
    """What a difference shows; `direction` is 1 where more is better, -1 where less is."""
    if difference.value is None:
        return "not measured"
    if difference.interval is None:
        return "open"
    low, high = sorted(direction * end for end in difference.interval)
    if low > effect:
        return "better"
    if high < -effect:
        return "worse"
    return "alike" if low >= -effect and high <= effect else "open"


def _standing(run: ComparedRun, book: _Book, slices: Mapping[str, Iterable[str]]) -> Standing:
    levels = tuple(
        told(mean(book.of(run, quantity, weight)), f"compare.{quantity}", {"weight": weight}, unit_of(quantity))
        for quantity, weights in slices.items() for weight in weights
    )  # fmt: skip
    verdict = run.diagnosis.verdict
    sha256 = str(run.fingerprint.get("lora") or "")
    return Standing(name=run.name, sha256=sha256, outcome=verdict.outcome, sentence=verdict.sentence, levels=levels)


def _levels(standing: Standing, weight: str) -> dict[str, Measurement]:
    found = {quantity: standing.level(quantity, weight) for quantity in WHOLE}
    return {quantity: level for quantity, level in found.items() if level is not None}


def _changed(runs: Sequence[ComparedRun], book: _Book, shown: set[str]) -> tuple[ChangedCell, ...]:
    """The shared cells at ship weights in which identity is furthest apart among the runs `shown`."""
    ruler = book.scale.ruler
    if isinstance(ruler, str):
        return ()
    found = []
    for cell in (c for c in book.cells(runs[0]) if f"{c.weight:g}" in (book.ship or book.weights)):
        known = {run.name: round(ruler.score(run.renders[cell.key], cell.framing), 3)
                 for run in runs if cell.key in run.renders}  # fmt: skip
        values = [value for name, value in known.items() if name in shown]
        if len(values) > 1:
            found.append((max(values) - min(values), cell, known))
    kept: list[ChangedCell] = []
    for _, cell, known in sorted(found, key=lambda each: (-each[0], each[1].key)):
        place = cell.environment, cell.framing, cell.replicate
        if sum(each.environment == cell.environment for each in kept) < PER_ENVIRONMENT and all(
            place != (each.environment, each.framing, each.replicate) for each in kept
        ):
            kept.append(
                ChangedCell(key=cell.key, weight=cell.weight, environment=cell.environment, framing=cell.framing,
                            replicate=cell.replicate, identity=known)
            )  # fmt: skip
    return tuple(kept[:CELLS_SHOWN])
