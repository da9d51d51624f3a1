"""Whether pictures come out as the ones the LoRA was trained on.

A picture's nearest training picture is found by the CLIP embedding of the whole picture. How near is too near, the
dataset says itself: nearer than its own pictures are to their nearest neighbours that are no copies of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

from lora_doctor.metrics.ceiling import FENCE, LEAST_RANGE
from lora_doctor.metrics.estimates import Estimate, join, mean, paired_difference, told
from lora_doctor.metrics.intervals import square_and_add
from lora_doctor.metrics.units import Sample, not_rendered, pick, sample
from lora_doctor.types import Cell, Measurement, Reading, Study

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

REPLAYED, CONTROL = "captions", "recombined"
FEWEST = 10
"""Training pictures without a copy below which their own neighbours tell nothing."""
RARELY = 0.99
"""Share of the dataset's pictures that are farther from their nearest neighbour than what counts as a copy."""


def measure(study: Study) -> list[Measurement]:
    """`copies.share` of the matrix's ship renders and of the replayed captions, and `copies.excess`, what it is beyond;
    `copies.doubled_excess`, the same of pictures that have a copy in the dataset.

    Beyond the base model's at the same seeds; and of captions, beyond `copies.alike`: how often two pictures of one
    caption that was never trained on are that near to each other. Where a caption tells all there is to see, following
    it is no copying.
    """
    rows, line = _known(study), _line(study)
    found, alike = [], _alike(study, line)
    for arm, lora, base in (
        ("matrix", {"weight": "ship"}, {"weight": "0"}),
        (REPLAYED, {"arm": REPLAYED, "weight": "top"}, {"arm": REPLAYED, "weight": "0"}),
    ):
        drawn, plain = pick(study, lora), pick(study, base)
        with_lora, without = (_near(study, rows, line, _units(cells), arm) for cells in (drawn, plain))
        where = {"arm": arm}
        found.append(told(_why_lost(mean(with_lora), study, drawn), "copies.share", where, "share"))
        with_lora, without = with_lora.masked(without), without.masked(with_lora)
        excess = _beyond(with_lora, without, alike) if arm == REPLAYED else paired_difference(with_lora, without)
        excess = _why_lost(excess, study, (*drawn, *plain))
        found.append(told(excess, "copies.excess", where, "share"))
    doubled = told(_doubled(study, rows, line, alike), "copies.doubled_excess", {"arm": REPLAYED}, "share")
    return [*found, doubled, told(mean(alike), "copies.alike", {"arm": CONTROL}, "share")]


def _doubled(study: Study, rows: Array | None, line: float | str, alike: Sample) -> Estimate:
    """The share of replays that are a training picture, of those pictures alone that have a copy in the dataset.

    They are what is learned by heart first, and few: among all captions they would not show. Beyond the base model's
    share, and how alike pictures of the other captions of the control are: a picture that is known by heart comes at
    another place, too. 0 where no picture has a copy.
    """
    doubled = {str(place) for group in study.copies for place in group}
    if not doubled:
        nothing = "no picture of the dataset has a copy"
        return Estimate(value=0.0, interval=(0.0, 0.0), n=len(study.references), reason=nothing)
    arm = {"arm": REPLAYED}
    cells = [[c for c in pick(study, {**arm, "weight": w}) if c.asked in doubled] for w in ("top", "0")]
    if not cells[0]:
        return Estimate(reason="no caption of a picture that has a copy was replayed")
    with_lora, without = (mean(_near(study, rows, line, _units(each), REPLAYED)) for each in cells)
    others = mean(replace(alike, units={name: own for name, own in alike.units.items() if name not in doubled}))
    usual = max(
        (one for one in (without, others) if one.value is not None), key=lambda one: one.value or 0, default=None
    )
    if with_lora.value is None or with_lora.interval is None or usual is None or usual.interval is None:
        return Estimate(
            n=with_lora.n, reason=join(with_lora.reason, without.reason) or "there is nothing to hold it against"
        )
    value = with_lora.value - (usual.value or 0.0)
    ends = square_and_add(with_lora.value, with_lora.interval, usual.value or 0.0, usual.interval)
    (low, high), (least, most) = (one.reach or (one.value or 0.0, one.value or 0.0) for one in (with_lora, usual))
    reach = (low - most, high - least) if with_lora.reach or usual.reach else None
    return Estimate(value=value, interval=ends, n=with_lora.n, environments=with_lora.environments, reach=reach)


def near(study: Study, cells: Sequence[Cell], arm: str) -> Sample:
    """1 where a render of the arm is nearer to a training picture than nearly all of those are to each other, else 0.

    `arm`: of the cells, for what is said where there are none.
    """
    return _near(study, _known(study), _line(study), _units(cells), arm)


def _why_lost(estimate: Estimate, study: Study, cells: Sequence[Cell]) -> Estimate:
    """With the commonest reason why pictures of these cells are missing, where any is."""
    reasons = Counter(study.missing[cell.key] for cell in cells if cell.key in study.missing)
    return replace(estimate, reason=join(estimate.reason, reasons.most_common(1)[0][0])) if reasons else estimate


def _beyond(lora: Sample, base: Sample, alike: Sample) -> Estimate:
    """The LoRA's share beyond the usual one. A control that was lost excuses nothing, and proves nothing either."""
    if not alike.planned:
        return paired_difference(lora, base)
    found = paired_difference(lora, _larger(base, alike))
    lost = sum(name not in alike.means() for name in alike.units)
    best = paired_difference(lora, _larger(base, alike.filled(1.0)))
    if not lost or found.interval is None or best.interval is None:
        return found
    reason = join(found.reason, f"the control of {lost} of {len(alike.units)} captions was lost")
    return replace(found, interval=(min(found.interval[0], best.interval[0]), found.interval[1]), reason=reason)


def _larger(base: Sample, alike: Sample) -> Sample:
    """For each caption the larger of the two shares; the base model's where the other was not rendered."""
    one, two = base.means(), alike.means()
    units = {name: {("", 0): max(share, two.get(name, 0.0))} for name, share in one.items()}
    lost = {name: {("", 0): None} for name in base.units if name not in one}
    return Sample(rate=True, units={**units, **lost})


def _alike(study: Study, line: float | str) -> Sample:
    """For each caption of the control the share of its pairs of pictures that are as near to each other."""
    cells = pick(study, {"arm": CONTROL, "weight": "top"})
    if isinstance(line, str) or not cells:
        return Sample(rate=True, absent=line if isinstance(line, str) else not_rendered(CONTROL))
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.asked, []).append(cell)
    units = {name: {("", 0): _pairs_near(study, own, line)} for name, own in groups.items() if len(own) > 1}
    return Sample(rate=True, units=units, absent="" if units else "one picture of a caption makes no pair")


def _pairs_near(study: Study, cells: Sequence[Cell], line: float) -> float | None:
    known = [reading.embedding for cell in cells if (reading := study.renders.get(cell.key)) is not None]
    rows = [row for row in known if row is not None]
    if len(rows) < len(cells):
        return None
    near = [float(one @ other) > line for one, other in combinations(rows, 2)]
    return sum(near) / len(near)


def _known(study: Study) -> Array | None:
    """(n, d): the embeddings of the training pictures."""
    import numpy as np

    known = [reading.embedding for reading in study.references if reading is not None and reading.embedding is not None]
    return np.stack([np.asarray(row, np.float64) for row in known]) if known else None


def _line(study: Study) -> float | str:
    """The similarity from which a picture is nearer than nearly all training pictures are to one another.

    A training picture is held against all but its own copies (`Study.copies`), or copies would make copying look
    usual; pictures that have one are no witness. Nor are two that are far nearer to each other than the others are to
    anything (Tukey's fence): one such pair among a few pictures would hide any copying.
    """
    import numpy as np

    doubled = {place for group in study.copies for place in group}
    single = [
        reading.embedding for place, reading in enumerate(study.references)
        if reading is not None and reading.embedding is not None and place not in doubled
    ]  # fmt: skip
    if len(single) < FEWEST:
        return f"only {len(single)} training pictures have no copy in the dataset: how near is usual cannot be told"
    rows = np.stack([np.asarray(row, np.float64) for row in single])
    similar = rows @ rows.T
    np.fill_diagonal(similar, -1.0)
    nearest = similar.max(axis=1)
    lower, upper = np.quantile(nearest, (0.25, 0.75))
    usual = nearest[nearest <= upper + FENCE * max(upper - lower, LEAST_RANGE)]
    return float(np.quantile(usual, RARELY))


def _units(cells: Sequence[Cell]) -> dict[Cell, Cell]:
    """Unit -> cell: a caption that is replayed is an environment of its own, for its pictures resemble one another."""
    return {replace(cell, environment=cell.asked or cell.environment): cell for cell in cells}


def _near(study: Study, rows: Array | None, line: float | str, units: Mapping[Cell, Cell], arm: str) -> Sample:
    """1 where a render is nearer to a training picture than the line, else 0."""
    if rows is None or isinstance(line, str):
        return Sample(rate=True, absent=line if isinstance(line, str) else "no training picture was read")
    if not units:
        return Sample(rate=True, absent=not_rendered(arm))

    def value_of(cell: Cell) -> float | None:
        reading: Reading | None = study.renders.get(cell.key)
        if reading is None or reading.embedding is None:
            return None
        return float((rows @ reading.embedding).max() > line)

    by_key = {unit.key: value_of(cell) for unit, cell in units.items()}
    return sample(units, lambda unit: by_key[unit.key], rate=True)
