"""Where the picture plays: whether the prompt's environment is rendered, and whether the dataset's intrude."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from lora_doctor.metrics.above_chance import undrawn
from lora_doctor.metrics.estimates import Estimate, mean, paired_difference, told
from lora_doctor.metrics.units import Sample, pick, sample, ship_caveat, weights_of
from lora_doctor.types import Cell, LabelSet, Measurement, Study

PLAIN = "simple_background"
"""No environment: the backdrop of identity-emphasis pictures."""
SEEN_AT_LEAST = 2
"""References read as an environment before it counts as one of the dataset's: a single reading may be a slip."""


def measure(study: Study) -> list[Measurement]:
    """`environment.planned`, `.match`, `.adherence_loss` and `.intrusion`."""
    labels = labels_of_places(study)
    slices = [{"weight": weight} for weight in (*weights_of(study), "ship")]
    slices += [{"weight": "ship", "environment_kind": kind} for kind in ("trained", "novel")]
    found = []
    for where in slices:
        one, caveat = drawn_as_asked(study, labels, pick(study, where))
        found.append(told(mean(one), "environment.match", where, "share", caveat, ship_caveat(study, where)))
    for kind in ("trained", "novel"):
        (base, caveat), (ship, _) = (
            drawn_as_asked(study, labels, pick(study, {"weight": weight, "environment_kind": kind}))
            for weight in ("0", "ship")
        )
        sets, where = [] if labels is None else [labels], {"environment_kind": kind}
        loss = undrawn(base, sets, f"{kind} environments") or paired_difference(base.masked(ship), ship.masked(base))
        found.append(told(loss, "environment.adherence_loss", where, "share", caveat, ship_caveat(study)))
    return [*_planned(study), *found, _intrusion(study, labels)]


def _planned(study: Study) -> Iterator[Measurement]:
    """How many environments of either kind the matrix has: a dataset without places leaves nothing to compare with."""
    for kind, trained in (("trained", True), ("novel", False)):
        count = len({cell.environment for cell in study.cells if cell.trained == trained})
        yield told(Estimate(value=float(count), n=count), "environment.planned", {"environment_kind": kind}, "count")


def _intrusion(study: Study, labels: LabelSet | None) -> Measurement:
    """Share of novel-environment renders read as one of the dataset's environments, ship weights minus weight 0."""
    trained = trained_environments(study, labels)
    base, ship = (
        _sample(study, labels, pick(study, {"weight": weight, "environment_kind": "novel"}), lambda _, x: x in trained)
        for weight in ("0", "ship")
    )
    estimate = paired_difference(ship.masked(base), base.masked(ship))
    return told(estimate, "environment.intrusion", {}, "share", ship_caveat(study))


def trained_environments(study: Study, labels: LabelSet | None) -> frozenset[str]:
    """The environments the dataset shows: those planned as trained, and those that two references or more are read as.

    Never one that is planned as novel, nor the plain backdrop.
    """
    read = Counter(reading.top_label(labels) for reading in study.references if reading is not None)
    seen = {label for label, count in read.items() if label is not None and count >= SEEN_AT_LEAST}
    planned = {cell.environment for cell in study.cells if cell.trained}
    novel = {cell.environment for cell in study.cells if not cell.trained}
    return frozenset((planned | seen) - novel - {PLAIN})


def labels_of_places(study: Study) -> LabelSet | None:
    """The label set of environments, if there is one."""
    return next((one for one in study.label_sets.values() if one.kind == "environment"), None)


def drawn_as_asked(study: Study, labels: LabelSet | None, cells: Sequence[Cell]) -> tuple[Sample, str | None]:
    """1 where a render is read as the environment asked for, else 0; environments the labels lack are left out.

    And the caveat that names those.
    """
    known = [cell for cell in cells if labels is None or cell.environment in labels.labels]
    unknown = ", ".join(dict.fromkeys(cell.environment for cell in cells if cell not in known))
    caveat = f"the label set has no word for {unknown}" if unknown else None
    if unknown and not known:
        return Sample(rate=True, absent=caveat or ""), None
    return _sample(study, labels, known, lambda cell, label: label == cell.environment), caveat


def _sample(study: Study, labels: LabelSet | None, cells: Sequence[Cell], holds: Callable[[Cell, str], bool]) -> Sample:
    def value_of(cell: Cell) -> float | None:
        reading = study.renders.get(cell.key)
        label = None if reading is None else reading.top_label(labels)
        return None if label is None else float(holds(cell, label))

    if labels is None:
        return Sample(rate=True, absent="there is no label set of environments")
    readable = [cell for cell in cells if cell.framing in labels.framings]
    return sample(readable, value_of, rate=True)
