"""The identity ruler: 0 is what the base model draws anyway (floor), 1 is what the dataset itself reaches (ceiling).

A raw similarity means nothing by itself: it depends on the recogniser, on how many references make the centroid, and on
how far away the face is. The score (similarity - floor) / (ceiling - floor) does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lora_doctor.image_states import NO_LIMITS, Limits, came_out_empty, limits_of, unscorable
from lora_doctor.metrics import intervals
from lora_doctor.metrics.ceiling import (
    References,
    ceilings_of,
    lowered_ceiling,
    raised_ceilings,
    references_of,
    same_share,
)
from lora_doctor.metrics.estimates import Estimate, join
from lora_doctor.metrics.floor import floors_of, raised_floors
from lora_doctor.metrics.units import Sample, framings_of, pick, sample
from lora_doctor.types import Cell, Reading, Study

VERIFIED = 0.5
"""Share of the references that must be the same person for a face to be verified: a median, which single poor
references do not move."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """Where 0 and 1 of the ruler lie, for the whole matrix or for one framing."""

    floor: Estimate
    ceiling: Estimate
    gap: Estimate
    """Ceiling minus floor, similarity; its reach, of the whole matrix, is how small and how large pictures that are
    missing may make it."""
    problem: str | None
    """Why nothing can be measured here, or None."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ruler:
    """Turns a face embedding into an identity score."""

    references: References
    """What renders are compared with."""
    whole: Mark
    framings: Mapping[str, Mark]
    limits: Limits
    """The faces that can be scored."""
    same: Callable[[Any], float] | None = None
    """An embedding -> the share of references that the instrument's makers call the same person; None = no mark."""
    at_worst: Ruler | None = None
    """The same with every render that is missing at weight 0 taken for a picture of the person, one without a face for
    as alike as the dataset's own pictures are, and every picture of the dataset that could not be read for as alike as
    can be: floor and ceiling lie higher, and every score lower. None = nothing is missing."""

    def score(self, reading: Reading, framing: str) -> float:
        """The identity score of a render; 0 where no face was found (intention to treat).

        A face too small or turned too far counts as it is read: that takes likeness away, so it only counts against.
        """
        if reading.face.embedding is None:
            return 0.0
        floor, gap = self.framings[framing].floor.value or 0.0, self.framings[framing].gap.value or 1.0
        return (self.references.likeness(reading.face.embedding) - floor) / gap

    def verified(self, reading: Reading) -> bool | None:
        """Whether at least half of the references are the same person by the instrument's own mark; None = no mark."""
        if self.same is None or reading.face.embedding is None:
            return None
        return self.same(reading.face.embedding) >= VERIFIED

    def score_if_framed(self, reading: Reading, framing: str) -> float | None:
        """The identity score of a render, or None in a framing the matrix has not: an arm may have its own."""
        return self.score(reading, framing) if framing in self.framings else None


def build_ruler(study: Study) -> Ruler | str:
    """The ruler of this dataset and base model, or the reason there is none."""
    references = references_of(study)
    return references if isinstance(references, str) else ruler_of(study, references)


def ruler_of(study: Study, references: References) -> Ruler | str:
    """The ruler that these references make with the base model, or the reason there is none."""
    if not pick(study, {"weight": "0"}):
        return "cannot measure identity: nothing was rendered at weight 0, so there is no floor"
    floors = floors_of(study, references.likeness)
    if floors is None:
        return "cannot measure identity: no render at weight 0 shows a face, so there is no floor"
    ceilings = ceilings_of(study, references)
    whole_picture = study.least_face <= 0  # an instrument that does not look at faces has no limits for them
    limits = NO_LIMITS if whole_picture else limits_of((one.face for one in references.known), study.least_face)

    def ruled(lows: Mapping[str, Estimate], highs: Mapping[str, Estimate], at_worst: Ruler | None) -> Ruler:
        whole = _mark(lows[""], highs[""], None)
        marks = {f: _mark(lows[f], highs[f], whole.problem) for f in framings_of(study)}
        same = None if study.same_from is None else same_share(references, study.similarity, study.same_from)
        return Ruler(references=references, whole=whole, framings=marks, limits=limits, same=same, at_worst=at_worst)

    floor, ceiling = raised_floors(study, floors, ceilings), raised_ceilings(study, ceilings)
    if floor is None and ceiling is None:
        return ruled(floors, ceilings, None)
    known = ruled(floors, ceilings, ruled(floor or floors, ceiling or ceilings, None))
    gap, high = known.whole.gap, (floor or floors)[""].value or 0.0
    least = lowered_ceiling(study, ceilings[""], floors[""]) - high
    reach = least, max(gap.value or 0.0, ((ceiling or ceilings)[""].value or 0.0) - (floors[""].value or 0.0))
    return replace(known, whole=replace(known.whole, gap=replace(gap, reach=reach)))


def scores(study: Study, ruler: Ruler | str, cells: Sequence[Cell]) -> tuple[Sample, str | None]:
    """The identity scores of some cells, without the framings that cannot be measured, and a caveat naming those.

    A picture that the LoRA made empty scores 0, as one without a face does; one that was lost has no score.
    """
    if isinstance(ruler, str):
        return Sample(rate=False, absent=ruler), None

    def value_of(cell: Cell) -> float | None:
        reading = study.renders.get(cell.key)
        if reading is None:
            return 0.0 if came_out_empty(cell, study.missing.get(cell.key)) else None
        return ruler.score(reading, cell.framing)

    problems = {c.framing: p for c in cells if (p := ruler.framings[c.framing].problem) is not None}
    kept = [cell for cell in cells if cell.framing not in problems]
    why = "; ".join(dict.fromkeys(problems.values()))
    if problems and not kept:
        return Sample(rate=False, absent=why), None
    caveat = f"without {', '.join(problems)}: {why}" if problems else None
    return sample(kept, value_of, rate=False), join(caveat, _poorly_read(study, ruler, kept))


def _poorly_read(study: Study, ruler: Ruler, cells: Sequence[Cell]) -> str | None:
    """How many renders show a face that cannot be told by design; None without any."""
    seen = [study.renders[cell.key] for cell in cells if cell.weight > 0 and cell.key in study.renders]
    counts = Counter(why for one in seen if (why := unscorable(one, ruler.limits)) not in (None, "no face"))
    words = ", ".join(f"{count} {why}" for why, count in counts.items())
    return f"of {len(seen)} renders {words}: they count as they are read, which is too low" if words else None


def _mark(floor: Estimate, ceiling: Estimate, problem: str | None) -> Mark:
    """Floor, ceiling and their gap; a gap whose interval reaches 0 measures nothing."""
    low, high = floor.value or 0.0, ceiling.value or 0.0
    ends = None
    if floor.interval and ceiling.interval:
        ends = intervals.square_and_add(high, ceiling.interval, low, floor.interval)
    reason = join(join(floor.reason, ceiling.reason), None if ends else "no interval: one environment")
    gap = Estimate(value=high - low, interval=ends, n=min(floor.n, ceiling.n), reason=reason)
    if problem is None and (ends[0] if ends else high - low) <= 0:
        problem = f"cannot measure identity: floor {low:.2f} and ceiling {high:.2f} are not clearly apart"
    return Mark(floor=floor, ceiling=ceiling, gap=gap, problem=problem)
