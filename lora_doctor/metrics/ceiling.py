"""The ruler's 1: how alike the dataset's own faces are, each compared with all but its own copies.

A picture that is in the dataset twice is as like itself as can be; compared with its copy, a reference would raise the
ceiling, and counted twice it would pull the centroid its way. So copies are left out together, and weigh as one.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lora_doctor.face_boxes import short_side
from lora_doctor.face_views import NATIVE_FACE
from lora_doctor.metrics.estimates import Estimate, join, moved
from lora_doctor.metrics.jackknife import mean_of, with_one_less
from lora_doctor.metrics.likeness import Likeness, to_centroid, to_each
from lora_doctor.metrics.units import framings_of
from lora_doctor.types import FaceReading, Reading, Study

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

MIN_REFERENCES = 5
"""Fewer faces than this make neither a centroid nor a leave-one-out ceiling."""
MIN_SECOND = 2
"""Fewer faces of a second person cannot be held against each other."""
FENCE = 1.5
"""Interquartile ranges below the lower quartile from which a reference is an outlier (Tukey's fence)."""
STRANGER = 0.5
"""Share of the median similarity below which an outlier is left out: it has less of the person than not. A poor picture
of the person stays: renders have their poor ones too, and a ceiling without them would be one that nothing reaches."""
LEAST_RANGE = 0.02
"""Similarity; a smaller interquartile range is taken for this much: among references that all but agree, the fence
would be rounding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class References:
    """The dataset's faces that renders are compared with, and how alike they are."""

    known: tuple[Reading, ...]
    places: tuple[int, ...]
    """Index into `Study.references` of each."""
    copies: tuple[int, ...]
    """Group number of each: near-duplicates share one."""
    similarities: tuple[float, ...]
    """Of each with the references that are no copies of it."""
    without: Array
    """(n, groups): the same, of each, with one group more left out; NaN for its own."""
    centroid: Array | None
    """(d,): the mean over the groups of the centroids without them. A render is thereby compared with as many
    references as a reference was, so that a perfect likeness scores 1. None = the instrument compares pairs."""
    likeness: Likeness
    """The similarity of an embedding with the references."""
    framings: tuple[str, ...]
    """Framing of each, `""` where it cannot be read."""
    outliers: tuple[int, ...]
    """Indexes into `Study.references` of faces unlike the others of their framing, least alike first."""
    left_out: int
    """How many of these are so unlike that they are no references."""
    spread: float
    """Interquartile range of the similarities about the median of their own framing."""

    @property
    def count(self) -> int:
        """How many references there are, copies counted once."""
        return len(set(self.copies))


def references_of(study: Study) -> References | str:
    """The references without strangers among them, or why there are too few."""
    others = study.others.pictures
    seen = [i for i, one in enumerate(study.references) if one is not None and one.face.embedding is not None]
    places = [place for place in seen if place not in others]
    groups = copy_groups(study, places)
    if len(set(groups)) < MIN_REFERENCES:
        of = f"{len(places)} of {len(study.references)} dataset pictures"
        copies = f" ({len(set(groups))} without copies)" if len(set(groups)) < len(places) else ""
        whose = f", {len(others)} show somebody else" if others else ""
        return (
            f"cannot measure identity: a usable face was found in {of}{copies}{whose}, and {MIN_REFERENCES} are needed"
        )
    every = _compared(study, places)
    off = _about_framing(every)
    quartiles = statistics.quantiles(off, n=4, method="inclusive")
    spread = quartiles[2] - quartiles[0]
    fence = quartiles[0] - FENCE * max(spread, LEAST_RANGE)
    unlike = sorted((value, place) for value, place in zip(off, places, strict=True) if value < fence)
    outliers = tuple(place for _, place in unlike)
    poor = STRANGER * statistics.median(every.similarities)
    strange = {p for p, s in zip(places, every.similarities, strict=True) if p in outliers and s < poor}
    kept = [place for place in places if place not in strange]
    if not strange or len(set(copy_groups(study, kept))) < MIN_REFERENCES:
        return replace(every, spread=spread, outliers=outliers)
    return replace(_compared(study, kept), spread=spread, outliers=outliers, left_out=len(strange))


def second_references_of(study: Study, first: References, places: Sequence[int]) -> References | None:
    """The faces of another person, in the pictures at `places`, and how like them a picture is beyond what everything
    like the character is; None where there are too few.

    Likeness is s2 - k s1, of the similarities with either, with the k at which the character's own pictures are at 0 in
    the mean: of two people who are alike, a picture of the one is something like the other.
    """
    import numpy as np

    places = [i for i in places if (one := study.references[i]) is not None and one.face.embedding is not None]
    if len(set(copy_groups(study, places))) < MIN_SECOND:
        return None
    second = _compared(study, places)
    shared = statistics.fmean(second.likeness(one.face.embedding) for one in first.known)
    slope = shared / statistics.fmean(first.similarities)
    beyond = [
        own - slope * first.likeness(one.face.embedding)
        for own, one in zip(second.similarities, second.known, strict=True)
    ]
    shift = np.array([slope * first.likeness(one.face.embedding) for one in second.known])
    return replace(
        second, similarities=tuple(beyond), without=second.without - shift[:, None],
        likeness=lambda one: second.likeness(one) - slope * first.likeness(one),
    )  # fmt: skip


def same_share(
    references: References, similarity: Callable[[Any, Any], Any] | None, same_from: float
) -> Callable[[Any], float]:
    """An embedding -> the share of references, groups of copies as one, whose similarity with it is that or more."""
    import numpy as np

    rows = np.stack([np.asarray(one.face.embedding) for one in references.known])
    weight = 1 / np.bincount(references.copies)[np.asarray(references.copies)]

    def share(embedding: Any) -> float:
        one = np.asarray(embedding)
        pairs = rows @ one if similarity is None else np.asarray(similarity(one[None], rows))[0]
        return float(weight[pairs >= same_from].sum() / weight.sum())

    return share


def ceilings_of(study: Study, references: References) -> dict[str, Estimate]:
    """Framing -> mean leave-one-out similarity of its references, `""` -> that of all; copies count once.

    A framing with fewer than five references takes the pooled ceiling and says so.
    """
    out = join(
        f"{references.left_out} outlying references left out" if references.left_out else None,
        f"{len(others)} pictures of somebody else left out" if (others := study.others.pictures) else None,
    )
    pooled = _told(references, None)
    ceilings = {"": replace(pooled, reason=out)}
    for framing in framings_of(study):
        own = _told(references, framing)
        few = f"ceiling of all framings: the dataset has {own.n} {framing} faces"
        enough = own.n >= MIN_REFERENCES
        ceilings[framing] = replace(own, reason=out) if enough else replace(pooled, reason=join(few, out))
    return ceilings


def raised_ceilings(study: Study, ceilings: Mapping[str, Estimate]) -> dict[str, Estimate] | None:
    """The ceilings with every dataset picture that could not be read as alike as can be (1); None = all were read.

    Of what framing they are is not known, so each framing's ceiling is raised by all of them. A picture that was read
    and shows no face is taken at its word.
    """
    lost = sum(reading is None for reading in study.references)
    if not lost:
        return None
    shares = {framing: lost / (lost + one.n) for framing, one in ceilings.items()}
    return {f: moved(one, (one.value or 0.0) * (1 - shares[f]) + shares[f]) for f, one in ceilings.items()}


def lowered_ceiling(study: Study, ceiling: Estimate, floor: Estimate) -> float:
    """The ceiling with every dataset picture that could not be read as little alike as the base model's renders are."""
    lost = sum(reading is None for reading in study.references)
    share = lost / (lost + ceiling.n) if lost else 0.0
    return (ceiling.value or 0.0) * (1 - share) + (floor.value or 0.0) * share


def leave_one_out(
    references: Sequence[Reading], copies: Sequence[int] | None = None
) -> tuple[Array, list[float], Array]:
    """The (d,) mean of the leave-one-out centroids, each reference's cosine with the centroid of the others, and (n,
    groups) the same with one group more left out, NaN for its own.

    Centroids are quality-weighted means, normalised; quality = detector score x face size up to the recogniser's own.
    `copies`: the group of each; a group is left out together, weighs as one, and counts once in the mean.
    """
    import numpy as np

    rows = np.stack([np.asarray(r.face.embedding, np.float64) for r in references])
    groups = np.unique(np.arange(len(rows)) if copies is None else np.asarray(copies), return_inverse=True)[1]
    sizes = np.bincount(groups)
    weighed = (np.array([_quality(r.face) for r in references]) / sizes[groups])[:, None] * rows
    own = np.zeros((len(sizes), rows.shape[1]))
    np.add.at(own, groups, weighed)
    others = weighed.sum(axis=0) - own
    others /= np.maximum(np.linalg.norm(others, axis=1, keepdims=True), 1e-12)
    cosines = [float(cosine) for cosine in (rows * others[groups]).sum(axis=1)]
    return others.mean(axis=0), cosines, with_one_less(rows, own, groups)


def _compared(study: Study, places: Sequence[int]) -> References:
    """Some of the dataset's faces, each compared with the others."""
    known = [reading for place in places if (reading := study.references[place]) is not None]
    groups, centroid, labels = copy_groups(study, places), None, study.label_sets.get("framing")
    if study.similarity is None:
        centroid, similarities, without = leave_one_out(known, groups)
        likeness = to_centroid(centroid)
    else:
        rows = [one.face.embedding for one in known]
        likeness, similarities, without = to_each(rows, study.similarity, groups)
    return References(
        known=tuple(known), places=tuple(places), copies=tuple(groups),
        similarities=tuple(similarities), without=without,
        framings=tuple(one.top_label(labels) or "" for one in known), centroid=centroid, likeness=likeness, outliers=(),
        left_out=0, spread=0.0,
    )  # fmt: skip


def copy_groups(study: Study, places: Sequence[int]) -> list[int]:
    """The group of each place: that of its near-duplicates, or its own."""
    first = {place: min(group) for group in study.copies for place in group}
    return [first.get(place, place) for place in places]


def _about_framing(references: References) -> list[float]:
    """Each similarity less the median of its framing: a small face is no outlier among small faces."""
    pairs = list(zip(references.framings, references.similarities, strict=True))
    by: dict[str, list[float]] = {name: [s for each, s in pairs if each == name] for name in set(references.framings)}
    rest = statistics.median(references.similarities)
    middle = {name: statistics.median(own) if len(own) >= MIN_REFERENCES else rest for name, own in by.items()}
    return [similarity - middle[name] for name, similarity in pairs]


def _told(references: References, framing: str | None) -> Estimate:
    """The mean similarity of the references, of one framing or of all, each group of copies once; the jackknife's."""
    import numpy as np

    chosen = np.array([framing is None or own == framing for own in references.framings])
    groups = np.unique(references.copies, return_inverse=True)[1]
    shown = np.unique(groups[chosen])
    if not len(shown):
        return Estimate(n=0)
    # Of each group the mean of its members, whole and with one group less: (shown, 1 + groups).
    table = np.column_stack([np.asarray(references.similarities), references.without])
    rows = np.stack([table[chosen & (groups == group)].mean(axis=0) for group in shown])
    return mean_of(rows[:, 0], rows[:, 1:])


def _quality(face: FaceReading) -> float:
    score = 1.0 if face.score is None else face.score
    return score if face.box is None else max(1e-6, score * min(1.0, short_side(face.box) / NATIVE_FACE))
