"""The quantities in which versions are compared, as numbers per unit of one run. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lora_doctor import comparison_beside as beside
from lora_doctor.compared_run import ComparedRun, Terms
from lora_doctor.image_states import came_out_empty
from lora_doctor.metrics.ruler import Ruler, build_ruler, scores
from lora_doctor.metrics.units import Sample, sample
from lora_doctor.types import Cell, Dataset, OtherPeople, Reading, Study

IDENTITY, NO_FACE = "identity", "no_face"
WHOLE = (IDENTITY, "body", "outfit", "environment", "framing", NO_FACE)
"""The quantities that every comparison has; the character's attributes come on top, as `attribute:<name>`."""
LOWER_IS_BETTER = (NO_FACE, *beside.LOWER_IS_BETTER)
IN_SCORES = (IDENTITY, *beside.WITH_OTHERS)
SHIP = "ship"


def quantities(terms: Terms) -> tuple[str, ...]:
    """The names of all quantities, in the order they are shown."""
    return *WHOLE, *beside.beside_quantities(terms), *(f"attribute:{name}" for name in terms.spec)


def slices_of(quantity: str, weights: Sequence[str], ship: Sequence[str]) -> tuple[str, ...]:
    """Where the quantity is told: at every weight and over the ship weights of the matrix, or beside it."""
    return (beside.TOP,) if quantity in beside.ARM_OF else (*weights, *((SHIP,) if ship else ()))


def sign(quantity: str) -> int:
    """1 where more is better, -1 where less is."""
    return -1 if quantity in LOWER_IS_BETTER else 1


def unit_of(quantity: str) -> str:
    """`score` for identity and what others have of it, `share` for all else."""
    return "score" if quantity in IN_SCORES else "share"


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """The one ruler that all runs are scored on."""

    study: Study
    ruler: Ruler | str
    says: str


def common_scale(runs: Sequence[ComparedRun], terms: Terms) -> Scale:
    """The first run's ruler where all have one dataset, else that of the datasets' pictures together.

    Where some of the datasets show other people too and some do not, of those that do not. The floor is in either case
    that of the first run's weight-0 renders of the shared cells: the same prompts and seeds on the same base model.
    """
    first = runs[0]
    # A dataset that shows one person says who is meant where another shows two.
    used = runs[:1] if terms.same_dataset else [run for run in runs if not run.others] or runs
    together: dict[str, Reading] = {}
    for run in used:
        together = {**run.references, **together}
    place = {name: index for index, name in enumerate(together)}
    copies = _united([{place[name] for name in group} for run in used for group in run.copies])
    others = OtherPeople(groups=_united([{place[name] for name in group} for run in used for group in run.others]))
    study = Study(
        cells=tuple(cell for key, cell in first.cells.items() if key in terms.shared), renders=first.renders,
        missing=first.missing, dataset=Dataset(path=Path(), images=()), references=tuple(together.values()),
        label_sets=first.label_sets, spec=terms.spec, ship_weights=first.ship_weights, asked=(),
        copies=copies, others=others, least_face=first.least_face, similarity=first.similarity,
    )  # fmt: skip
    together_of = "all datasets together" if len(used) == len(runs) else "the datasets that show one person"
    whose = "of the dataset" if terms.same_dataset else f"of {together_of}"
    says = f"one ruler for all runs, made of {len(together)} pictures {whose} and the weight-0 renders of {first.name}"
    return Scale(study=study, ruler=build_ruler(study), says=says)


def _united(groups: Sequence[set[int]]) -> tuple[tuple[int, ...], ...]:
    """The groups, those that share a member as one."""
    found: list[set[int]] = []
    for group in groups:
        touching = [each for each in found if each & group]
        found = [each for each in found if not each & group] + [group.union(*touching)]
    return tuple(sorted(tuple(sorted(each)) for each in found))


def sample_of(run: ComparedRun, quantity: str, cells: Sequence[Cell], scale: Scale, terms: Terms) -> Sample:
    """One number per unit of the run's `cells`; None where it has no reading."""
    if quantity == IDENTITY:
        return scores(replace(scale.study, renders=run.renders, missing=run.missing), scale.ruler, cells)[0]
    if quantity in beside.PICTURES or quantity in beside.ARM_OF:
        return beside.beside_sample(run, quantity, cells, scale.study, scale.ruler)
    value_of, readable, absent = _reader(run, quantity, scale, terms)
    if absent:
        return Sample(rate=True, absent=absent)
    kept = [cell for cell in cells if readable(cell)]
    return replace(sample(kept, value_of, rate=True), absent="no cell shows it")


_Reads = tuple[Callable[[Cell], float | None], Callable[[Cell], bool], str]


def _reader(run: ComparedRun, quantity: str, scale: Scale, terms: Terms) -> _Reads:
    """How a cell is read, in which cells it can be, and why it cannot at all."""
    if quantity == NO_FACE:
        why = scale.ruler if isinstance(scale.ruler, str) else ""
        return lambda cell: _faceless(run, cell), lambda cell: True, why
    if quantity in ("environment", "framing"):
        labels = run.label_sets.get(quantity)
        known = () if labels is None else labels.labels
        shown = _shown_in(run, [quantity])[quantity]
        return (
            lambda cell: _share(run, cell, {quantity: getattr(cell, quantity)}),
            lambda cell: getattr(cell, quantity) in known and cell.framing in shown,
            "" if known else f"there is no label set of {quantity}s",
        )
    kind, _, attribute = quantity.partition(":")
    names = [attribute] if attribute else [n for n in terms.spec if n in run.label_sets and
                                           run.label_sets[n].kind == kind]  # fmt: skip
    visible = {name: shown - terms.unreadable.get(name, frozenset()) for name, shown in _shown_in(run, names).items()}
    wanted = {name: terms.spec[name] for name in names}
    if names and any(terms.unreadable.get(name) for name in names) and not any(visible.values()):
        return lambda cell: None, lambda cell: False, "not measurable by CLIP on the dataset of one of the runs"
    return (
        lambda cell: _share(run, cell, {n: label for n, label in wanted.items() if cell.framing in visible[n]}),
        lambda cell: any(cell.framing in visible[name] for name in names),
        "" if names else f"the spec names no {kind} attribute",
    )


def _faceless(run: ComparedRun, cell: Cell) -> float | None:
    reading = run.renders.get(cell.key)
    if reading is None:
        return 1.0 if came_out_empty(cell, run.missing.get(cell.key)) else None
    return float(not reading.face.faces)


def _share(run: ComparedRun, cell: Cell, wanted: Mapping[str, str]) -> float | None:
    """The share of some attributes that a render is read to show as wanted; None without a reading of one of them."""
    seen = run.labels.get(cell.key, {})
    known = [float(seen[name] == label) for name, label in wanted.items() if name in seen]
    return sum(known) / len(known) if known and len(known) == len(wanted) else None


def _shown_in(run: ComparedRun, names: Collection[str]) -> dict[str, frozenset[str]]:
    """Attribute -> the framings in which the run's instruments read it."""
    return {
        name: frozenset(run.cells[key].framing for key, seen in run.labels.items() if name in seen and key in run.cells)
        for name in names
    }
