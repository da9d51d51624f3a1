"""What versions do besides drawing the character: burn, copy, obey, leave others and empty places alone. Pure.

Read as the metrics of a single version read it, from the same pictures, and compared on the prompts and seeds that all
versions have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lora_doctor.compared_run import ComparedRun, Terms
from lora_doctor.metrics import control, copies, drift, environment, overbake
from lora_doctor.metrics.ruler import Ruler, scores
from lora_doctor.metrics.units import Sample, not_rendered
from lora_doctor.types import Cell, LabelSet, Study

BURNT, COPIES, REPLAYS = "burnt", "copies", "replays"
PICTURES = (BURNT, COPIES)
"""Told of the pictures of the matrix."""
KINDS = {"outfits": "outfit", "poses": "pose", "expressions": "expression", "others": "trait"}
"""What is asked for -> its name among `control`'s kinds."""
ARM_OF: Mapping[str, str] = {
    REPLAYS: copies.REPLAYED, **{name: control.ARMS[kind] for name, kind in KINDS.items()},
    "places": drift.ARM, "intruders": drift.ARM, "bleed": "other_people", "leak": "no_trigger",
}  # fmt: skip
"""Quantity -> the arm beside the matrix that shows it, at the highest ship weight."""
WITH_OTHERS = ("bleed", "leak")
"""Compared only where every version is declared to be for pictures of other people too."""
TOP = "top"
"""The slice of what is rendered beside the matrix: the highest ship weight."""
LOWER_IS_BETTER = (*PICTURES, REPLAYS, "intruders", *WITH_OTHERS)


def beside_quantities(terms: Terms) -> tuple[str, ...]:
    """The names of the quantities, in the order they are shown."""
    return tuple(name for name in (*PICTURES, *ARM_OF) if name not in WITH_OTHERS or terms.with_others)


def beside_cells(run: ComparedRun, quantity: str, terms: Terms) -> list[Cell]:
    """The run's cells of the quantity's arm that every version has, at the highest ship weight, with the LoRA whole."""
    arm, top = ARM_OF[quantity], max(run.ship_weights)
    return [
        cell for key, cell in run.arms.items()
        if key in terms.beside and cell.arm == arm and cell.weight == top and not cell.variant
    ]  # fmt: skip


def beside_sample(
    run: ComparedRun, quantity: str, cells: Sequence[Cell], shared: Study, ruler: Ruler | str
) -> Sample:  # fmt: skip
    """One number per unit of the run's `cells`, all of the matrix or all of the quantity's arm; None where unread.

    `shared`: the study that the ruler was made of, whose training pictures are those of all versions.
    """
    if not cells:
        return Sample(rate=True, absent=not_rendered(ARM_OF.get(quantity, "matrix")))
    study = _seen_by(run, shared)
    if quantity == BURNT:
        return overbake.burnt(study, cells)
    if quantity in (COPIES, REPLAYS):
        return copies.near(study, cells, cells[0].arm)
    if quantity in KINDS:
        return control.asked_for(study, KINDS[quantity], cells)
    if quantity == "places":
        return environment.drawn_as_asked(study, environment.labels_of_places(study), cells)[0]
    return drift.with_faces(study, cells) if quantity == "intruders" else scores(study, ruler, cells)[0]


def _seen_by(run: ComparedRun, shared: Study) -> Study:
    """The run's renders beside the shared training pictures."""
    return replace(
        shared, renders=run.renders, missing=run.missing, label_sets=_as_shown(run), ship_weights=run.ship_weights
    )


def _as_shown(run: ComparedRun) -> dict[str, LabelSet]:
    """The run's label sets, each with the framings in which it was read."""
    every = {**run.cells, **run.arms}
    shown: dict[str, set[str]] = {name: set() for name in run.label_sets}
    for key, seen in run.labels.items():
        for name in seen.keys() & shown.keys():
            shown[name].add(every[key].framing)
    return {name: replace(one, framings=tuple(sorted(shown[name]))) for name, one in run.label_sets.items()}
