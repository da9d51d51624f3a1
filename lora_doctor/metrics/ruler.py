"""The identity ruler: 0 is what the base model draws anyway (floor), 1 is what the dataset itself reaches (ceiling).

A raw similarity means nothing by itself: it depends on the recogniser, on how many references make the centroid, and on
how far away the face is. The score (similarity - floor) / (ceiling - floor) does not.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lora_doctor.metrics import intervals
from lora_doctor.metrics.estimates import Estimate, mean
from lora_doctor.metrics.likeness import Likeness, to_centroid, to_each
from lora_doctor.metrics.units import Sample, framings_of, pick, sample
from lora_doctor.types import Cell, FaceReading, Reading, Study

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

MIN_REFERENCES = 5
"""Fewer faces than this make neither a centroid nor a leave-one-out ceiling."""
NATIVE_FACE = 112
"""Pixels a side that recognisers take in; a smaller face counts for less in the centroid."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """Where 0 and 1 of the ruler lie, for the whole matrix or for one framing."""

    floor: Estimate
    ceiling: Estimate
    gap: Estimate
    """Ceiling minus floor, similarity."""
    problem: str | None
    """Why nothing can be measured here, or None."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ruler:
    """Turns a face embedding into an identity score."""

    centroid: Array | None
    """(d,): the mean of the leave-one-out centroids. A render is thereby compared with as many references as a
    reference was for the ceiling, so that a perfect likeness scores 1 however few they are. None = the instrument
    compares pairs."""
    likeness: Likeness
    """The similarity of an embedding with the references."""
    whole: Mark
    framings: Mapping[str, Mark]

    def score(self, reading: Reading, framing: str) -> float:
        """The identity score of a render; 0 where no face was found (intention to treat)."""
        if reading.face.embedding is None:
            return 0.0
        floor, gap = self.framings[framing].floor.value or 0.0, self.framings[framing].gap.value or 1.0
        return (self.likeness(reading.face.embedding) - floor) / gap


def build_ruler(study: Study) -> Ruler | str:
    """The ruler of this dataset and base model, or the reason there is none."""
    known = [reading for reading in study.references if reading is not None and reading.face.embedding is not None]
    if len(known) < MIN_REFERENCES:
        of = f"{len(known)} of {len(study.references)} dataset pictures"
        return f"cannot measure identity: a usable face was found in {of}, and {MIN_REFERENCES} are needed"
    if not pick(study, {"weight": "0"}):
        return "cannot measure identity: nothing was rendered at weight 0, so there is no floor"
    centroid: Array | None = None
    if study.similarity is None:
        centroid, similarities = leave_one_out(known)
        likeness = to_centroid(centroid)
    else:
        likeness, similarities = to_each([reading.face.embedding for reading in known], study.similarity)
    floors = _floors(study, likeness)
    if floors is None:
        return "cannot measure identity: no render at weight 0 shows a face, so there is no floor"
    ceilings = _ceilings(study, known, similarities)
    whole = _mark(floors[""], ceilings[""], None)
    framings = {f: _mark(floors[f], ceilings[f], whole.problem) for f in framings_of(study)}
    return Ruler(centroid=centroid, likeness=likeness, whole=whole, framings=framings)


def leave_one_out(references: Sequence[Reading]) -> tuple[Array, list[float]]:
    """The (d,) mean of the leave-one-out centroids, and each reference's cosine with the centroid of the others.

    Centroids are quality-weighted means, normalised; quality = detector score x face size up to the recogniser's own.
    """
    import numpy as np

    rows = np.stack([np.asarray(r.face.embedding, np.float64) for r in references])
    quality = np.array([_quality(r.face) for r in references])
    others = quality @ rows - quality[:, None] * rows
    others /= np.maximum(np.linalg.norm(others, axis=1, keepdims=True), 1e-12)
    return others.mean(axis=0), [float(cosine) for cosine in (rows * others).sum(axis=1)]


def scores(study: Study, ruler: Ruler | str, cells: Sequence[Cell]) -> tuple[Sample, str | None]:
    """The identity scores of some cells, without the framings that cannot be measured, and a caveat naming those."""
    if isinstance(ruler, str):
        return Sample(rate=False, absent=ruler), None

    def value_of(cell: Cell) -> float | None:
        reading = study.renders.get(cell.key)
        return None if reading is None else ruler.score(reading, cell.framing)

    problems = {c.framing: p for c in cells if (p := ruler.framings[c.framing].problem) is not None}
    kept = [cell for cell in cells if cell.framing not in problems]
    if not problems:
        return sample(cells, value_of, rate=False), None
    why = "; ".join(dict.fromkeys(problems.values()))
    if not kept:
        return Sample(rate=False, absent=why), None
    return sample(kept, value_of, rate=False), f"without {', '.join(problems)}: {why}"


def _quality(face: FaceReading) -> float:
    score = 1.0 if face.score is None else face.score
    if face.box is None:
        return score
    left, top, right, bottom = face.box
    return max(1e-6, score * min(1.0, min(right - left, bottom - top) / NATIVE_FACE))


def _ceilings(study: Study, known: Sequence[Reading], similarities: Sequence[float]) -> dict[str, Estimate]:
    """Framing -> mean leave-one-out similarity of its references, `""` -> that of all.

    A framing with fewer than five references takes the pooled ceiling and says so.
    """
    labels = study.label_sets.get("framing")
    groups: dict[str, list[float]] = {}
    for reading, similarity in zip(known, similarities, strict=True):
        groups.setdefault(reading.top_label(labels) or "", []).append(similarity)
    pooled = _plain(similarities)
    ceilings = {"": pooled}
    for framing in framings_of(study):
        own = groups.get(framing, [])
        few = f"ceiling of all framings: the dataset has {len(own)} {framing} faces"
        ceilings[framing] = _plain(own) if len(own) >= MIN_REFERENCES else replace(pooled, reason=few)
    return ceilings


def _plain(values: Sequence[float]) -> Estimate:
    """Mean of independent values; to first order this is right for leave-one-out similarities too."""
    return Estimate(value=statistics.fmean(values), interval=intervals.t_interval(values), n=len(values))


def _floors(study: Study, likeness: Likeness) -> dict[str, Estimate] | None:
    """Framing -> mean similarity of the weight-0 renders that show a face, `""` -> that of all; None without any.

    A framing's floor is shrunk toward the mean of the framings by the share of its spread that is chance.
    """
    cells = pick(study, {"weight": "0"})
    faceless = {c.key for c in cells if c.key in study.renders and study.renders[c.key].face.embedding is None}

    def value_of(cell: Cell) -> float | None:
        reading = study.renders.get(cell.key)
        return None if reading is None or reading.face.embedding is None else likeness(reading.face.embedding)

    whole = mean(sample((c for c in cells if c.key not in faceless), value_of, rate=False))
    if whole.value is None:
        return None
    note = f"{len(faceless)} of {len(cells)} weight-0 renders show no face" if faceless else None
    floors = {"": replace(whole, reason=_join(whole.reason, note))}
    own = {f: sample((c for c in cells if c.framing == f and c.key not in faceless), value_of, rate=False)
           for f in framings_of(study)}  # fmt: skip
    numbers = {f: [v for values in one.present().values() for v in values] for f, one in own.items()}
    shrunk = shrink({f: values for f, values in numbers.items() if values})
    for framing, one in own.items():
        none = f"floor of all framings: no weight-0 render shows a face in {framing}"
        floors[framing] = _moved(mean(one), shrunk[framing]) if framing in shrunk else replace(whole, reason=none)
    return floors


def shrink(groups: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Group means drawn toward their common mean, each by the share of its distance that its sampling error explains.

    Between-group variance by the method of moments; groups that differ by chance alone all get the common mean.
    """
    means = {name: statistics.fmean(values) for name, values in groups.items()}
    centre, count = statistics.fmean(means.values()), sum(len(values) for values in groups.values())
    if len(groups) < 2 or count == len(groups):
        return means
    squares = sum((v - means[name]) ** 2 for name, values in groups.items() for v in values)
    errors = {name: squares / (count - len(groups)) / len(values) for name, values in groups.items()}
    between = max(0.0, statistics.variance(means.values()) - statistics.fmean(errors.values()))
    trust = {name: between / (between + error) if between + error > 0 else 0.0 for name, error in errors.items()}
    return {name: centre + trust[name] * (value - centre) for name, value in means.items()}


def _moved(estimate: Estimate, value: float) -> Estimate:
    """The estimate at the shrunk value, with its own width: shrinking is not allowed to look like knowledge."""
    shift = value - (estimate.value or 0.0)
    ends = estimate.interval
    return replace(estimate, value=value, interval=(ends[0] + shift, ends[1] + shift) if ends else None)


def _mark(floor: Estimate, ceiling: Estimate, problem: str | None) -> Mark:
    """Floor, ceiling and their gap; a gap whose interval reaches 0 measures nothing."""
    low, high = floor.value or 0.0, ceiling.value or 0.0
    ends = None
    if floor.interval and ceiling.interval:
        ends = intervals.square_and_add(high, ceiling.interval, low, floor.interval)
    reason = _join(_join(floor.reason, ceiling.reason), None if ends else "no interval: one environment")
    gap = Estimate(value=high - low, interval=ends, n=min(floor.n, ceiling.n), reason=reason)
    if problem is None and (ends[0] if ends else high - low) <= 0:
        problem = f"cannot measure identity: floor {low:.2f} and ceiling {high:.2f} are not clearly apart"
    return Mark(floor=floor, ceiling=ceiling, gap=gap, problem=problem)


def _join(*reasons: str | None) -> str | None:
    return "; ".join(dict.fromkeys(reason for reason in reasons if reason)) or None
