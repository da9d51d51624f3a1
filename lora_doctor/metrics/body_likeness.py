"""The person below the head: how like the references it is, between floor and ceiling, in the unit of `identity.score`.

An embedding of the body with the head blanked (`Reading.body`) is the weakest of the instruments: nobody has agreed on
one for bodies, and any of them sees clothes as much as the figure. So a framing is measured only where it can be: by
itself (half a body and a whole one are no likes), with five references in the spec's outfit, and with floor
and ceiling clearly apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lora_doctor.metrics import intervals
from lora_doctor.metrics.ceiling import copy_groups
from lora_doctor.metrics.estimates import Estimate, fixed, mean, told
from lora_doctor.metrics.jackknife import mean_of, with_one_less
from lora_doctor.metrics.units import Sample, framings_of, pick, sample, ship_caveat, weights_of
from lora_doctor.off_spec import shown_instead
from lora_doctor.types import Cell, LabelSet, Measurement, Reading, Study

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

MIN_REFERENCES = 5
"""Fewer bodies than this make neither a centroid nor a leave-one-out ceiling."""
MOSTLY = 0.5
"""A framing shows bodies when more than this share of the base model's renders do; a trait is agreed on when more than
this share of the references show it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BodyRuler:
    """Where 0 and 1 of the body's score lie in one framing."""

    centroid: Array
    """(d,): the mean of the leave-one-out centroids, so that a render meets as many references as a reference did."""
    floor: Estimate
    ceiling: Estimate
    gap: Estimate
    caveat: str | None
    """What the references do not agree on."""

    def score(self, reading: Reading) -> float:
        """0 is the base model, 1 as alike as the references are; 0 where no body is to be seen (intention to treat)."""
        if reading.body is None:
            return 0.0
        return (float(reading.body @ self.centroid) - (self.floor.value or 0.0)) / (self.gap.value or 1.0)


def measure(study: Study) -> list[Measurement]:
    """`body.floor`, `.ceiling`, `.gap` by framing; `body.score` by weight, framing and environment."""
    rulers = {framing: build_body_ruler(study, framing) for framing in _readable(study)}
    return [*_marks(rulers), *_scores(study, rulers)]


def build_body_ruler(study: Study, framing: str) -> BodyRuler | str:
    """The ruler of one framing, or the reason there is none."""
    cannot = f"cannot measure the body in {framing}"
    cells = [c for c in pick(study, {"weight": "0", "framing": framing}) if c.key in study.renders]
    shown = [cell for cell in cells if study.renders[cell.key].body is not None]
    if not cells:
        return f"{cannot}: nothing was rendered at weight 0, so there is no floor"
    places = _references(study, framing)
    references = [reading for place in places if (reading := study.references[place]) is not None]
    groups = copy_groups(study, places)
    if (count := len(set(groups))) < MIN_REFERENCES:
        shows = "1 dataset picture of that framing shows" if count == 1 else None
        seen = shows or f"{count} dataset pictures of that framing{' without copies' * (count < len(places))} show"
        return f"{cannot}: {seen} one, and {MIN_REFERENCES} are needed"
    if len(shown) <= MOSTLY * len(cells):
        return f"{cannot}: it is to be seen in {len(shown)} of {len(cells)} renders at weight 0"
    centroid, ceiling = _leave_one_out([reading.body for reading in references], groups)

    def similarity(cell: Cell) -> float | None:
        reading = study.renders[cell.key]
        return None if reading.body is None else float(reading.body @ centroid)

    floor = mean(sample(shown, similarity, rate=False))
    gap = _gap(floor, ceiling)
    if gap.value is None or (gap.interval[0] if gap.interval else gap.value) <= 0:
        return f"{cannot}: floor {floor.value:.2f} and ceiling {ceiling.value:.2f} are not clearly apart"
    caveat = _disagreement(study, framing, references)
    return BodyRuler(centroid=centroid, floor=floor, ceiling=ceiling, gap=gap, caveat=caveat)


def _marks(rulers: Mapping[str, BodyRuler | str]) -> Iterator[Measurement]:
    for framing, ruler in rulers.items():
        for part in ("floor", "ceiling", "gap"):
            estimate = Estimate(reason=ruler) if isinstance(ruler, str) else getattr(ruler, part)
            yield told(estimate, f"body.{part}", {"framing": framing}, "similarity")


def _scores(study: Study, rulers: Mapping[str, BodyRuler | str]) -> Iterator[Measurement]:
    environments = tuple(dict.fromkeys(cell.environment for cell in study.cells))
    for weight in (*weights_of(study), "ship"):
        everywhere, _ = _sample(study, rulers, {"weight": weight})
        slices: list[dict[str, str]] = [{}, *({"framing": framing} for framing in rulers)]
        for extra in (*slices, *({"environment": environment} for environment in environments)):
            where = {"weight": weight, **extra}
            one, caveat = _sample(study, rulers, where)
            estimate = fixed(one, everywhere, study.bound) if "environment" in extra else mean(one)
            yield told(estimate, "body.score", where, "score", caveat, ship_caveat(study, where))


def _sample(study: Study, rulers: Mapping[str, BodyRuler | str], where: Mapping[str, str]) -> tuple[Sample, str | None]:
    """The scores of a slice in the framings that can be measured, and the caveats on it."""
    problems = {f: r for f, r in rulers.items() if isinstance(r, str) and where.get("framing", f) == f}
    known = {f: r for f, r in rulers.items() if isinstance(r, BodyRuler) and where.get("framing", f) == f}
    if not known:
        return Sample(rate=False, absent="; ".join(problems.values()) or "no framing shows a body"), None

    def value_of(cell: Cell) -> float | None:
        reading = study.renders.get(cell.key)
        return None if reading is None else known[cell.framing].score(reading)

    cells = [cell for cell in pick(study, where) if cell.framing in known]
    caveats = dict.fromkeys([r.caveat for r in known.values() if r.caveat] + list(problems.values()))
    return sample(cells, value_of, rate=False), "; ".join(caveats) or None


def _readable(study: Study) -> tuple[str, ...]:
    """The planned framings in which anything of body or outfit can be read; all, where no label set says."""
    sets = [labels for labels in study.label_sets.values() if labels.kind in ("body", "outfit")]
    return tuple(f for f in framings_of(study) if not sets or any(f in labels.framings for labels in sets))


def _references(study: Study, framing: str) -> list[int]:
    """The places of the references of this framing in which a body is to be seen, without those that certainly show
    another outfit: prompts ask for the spec's."""
    framings = study.label_sets.get("framing")
    wanted = {study.label_sets[a]: label for a, label in study.spec.items() if a in study.label_sets}
    outfit = {labels: label for labels, label in wanted.items() if labels.kind == "outfit"}
    return [
        place
        for place, reading in enumerate(study.references)
        if reading is not None
        and reading.body is not None
        and reading.top_label(framings) in (framing, None)
        and not any(shown_instead(reading, labels, framings, label) for labels, label in outfit.items())
    ]


def _leave_one_out(bodies: Sequence[Any], copies: Sequence[int]) -> tuple[Array, Estimate]:
    """The (d,) mean of the leave-one-out centroids, and the mean cosine of a group with the centroid of the others.

    `copies`: the group of each body; a group of copies is left out together, weighs as one and has one cosine, its
    mean.
    """
    import numpy as np

    rows = np.stack([np.asarray(body, np.float64) for body in bodies])
    groups = np.unique(np.asarray(copies), return_inverse=True)[1]
    own = np.zeros((groups.max() + 1, rows.shape[1]))
    np.add.at(own, groups, rows)
    own /= np.bincount(groups)[:, None]
    others = own.sum(axis=0) - own
    others /= np.maximum(np.linalg.norm(others, axis=1, keepdims=True), 1e-12)
    ceiling = mean_of((own * others).sum(axis=1), with_one_less(own, own, np.arange(len(own))))
    return others.mean(axis=0), ceiling


def _gap(floor: Estimate, ceiling: Estimate) -> Estimate:
    low, high = floor.value or 0.0, ceiling.value or 0.0
    ends = None
    if floor.interval and ceiling.interval:
        ends = intervals.square_and_add(high, ceiling.interval, low, floor.interval)
    reason = floor.reason if ends else "no interval: one environment"
    return Estimate(value=high - low, interval=ends, n=min(floor.n, ceiling.n), reason=reason)


def _disagreement(study: Study, framing: str, references: Sequence[Reading]) -> str | None:
    """Which parts of the outfit the references do not agree on: there the score is about the rest."""
    sets = [labels for labels in study.label_sets.values() if labels.kind == "outfit" and framing in labels.framings]
    shares = {labels.attribute: _commonest(labels, references) for labels in sets}
    told_of = [f"{name} (at most {share:.0%} alike)" for name, share in shares.items() if share <= MOSTLY]
    return f"the references do not agree on {', '.join(told_of)}: the score is about the rest" if told_of else None


def _commonest(labels: LabelSet, references: Sequence[Reading]) -> float:
    """The share of the references that are read as the commonest label; 1 where none is read."""
    votes = Counter(label for reading in references if (label := reading.top_label(labels)) is not None)
    return max(votes.values()) / sum(votes.values()) if votes else 1.0
