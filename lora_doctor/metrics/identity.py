"""Who is in the picture: identity scores between floor and ceiling, by weight, framing and environment.

A render without a face scores 0 and is counted in `identity.no_face` too. Intervals of scores hold the error of the
renders and that of the ruler, which `identity.floor`, `.ceiling` and `.gap` tell by itself; contrasts of two slices are
on one ruler, and hold the renders' alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from lora_doctor.exact_shares import EACH_LOOK
from lora_doctor.image_states import came_out_empty
from lora_doctor.metrics import intervals
from lora_doctor.metrics.estimates import (
    Estimate,
    declared_rate,
    end_with_one_worse,
    fixed,
    join,
    mean,
    paired_difference,
    told,
    welch_difference,
)
from lora_doctor.metrics.pairing import UNPAIRED, Pairing, pair
from lora_doctor.metrics.ruler import Ruler, build_ruler, scores
from lora_doctor.metrics.ruler_error import mark_of, with_ruler_error
from lora_doctor.metrics.units import Sample, framings_of, pick, sample, ship_caveat, weights_of
from lora_doctor.types import CLOSE_UP, UPPER_BODY, Cell, Measurement, Study, Where


def measure(study: Study) -> list[Measurement]:
    """`identity.*`; without a ruler every one of them has no value and the reason."""
    ruler = build_ruler(study)
    return [*_marks(study, ruler), *_scores(study, ruler), *_faces(study, ruler), *_contrasts(study, ruler)]


def _marks(study: Study, ruler: Ruler | str) -> Iterator[Measurement]:
    """Floor, ceiling and gap in similarity (cosine), whole and per framing; the interquartile range of the references
    about their framings, and how many of them are outliers (exact: a dataset is a census); whether the instrument looks
    at whole pictures (1) or at faces (0)."""
    for where in ({}, *({"framing": framing} for framing in framings_of(study))):
        for part in ("floor", "ceiling", "gap"):
            if isinstance(ruler, str):
                estimate = Estimate(reason=ruler)
            else:
                mark = ruler.framings[where["framing"]] if where else ruler.whole
                estimate = {"floor": mark.floor, "ceiling": mark.ceiling, "gap": mark.gap}[part]
            yield told(estimate, f"identity.{part}", where, "similarity")
    if isinstance(ruler, str):
        yield told(Estimate(reason=ruler), "identity.of_pictures", {}, "")
        yield told(Estimate(reason=ruler), "identity.ceiling_spread", {}, "similarity")
        yield told(Estimate(reason=ruler), "identity.outlier_references", {}, "count")
        return
    yield told(Estimate(value=float(study.of_pictures), n=1), "identity.of_pictures", {}, "")
    found, n = ruler.references, len(ruler.references.known)
    yield told(Estimate(value=found.spread, n=n), "identity.ceiling_spread", {}, "similarity")
    outliers = told(Estimate(value=float(len(found.outliers)), n=n), "identity.outlier_references", {}, "count")
    yield replace(outliers, pictures=found.outliers)


def _scores(study: Study, ruler: Ruler | str) -> Iterator[Measurement]:
    """`identity.score`: t over environments; of one declared environment, over its replicates, at the study's bound.

    A framing and an environment are adjusted for the luck of their seeds, by `identity.floor_slope` (`pairing`).
    """
    environments = tuple(dict.fromkeys(cell.environment for cell in study.cells))
    for weight in (*weights_of(study), "ship"):
        slices: list[dict[str, str]] = [{}, *({"framing": framing} for framing in framings_of(study))]
        slices += [{"environment": environment} for environment in environments]
        if weight == "ship":
            slices += [{"environment_kind": kind} for kind in ("trained", "novel")]
        everywhere, luck = _at(study, ruler, weight)
        raised = None if isinstance(ruler, str) or ruler.at_worst is None else ruler.at_worst
        above = None if raised is None else (raised, *_at(study, raised, weight))
        for extra in slices:
            where = {"weight": weight, **extra}
            found = _score(study, ruler, where, everywhere, luck)
            if above is not None and found.value is not None:
                found = _no_firmer(found, _score(study, above[0], where, *above[1:]))
            yield found
        if weight != "0":
            where = {"weight": weight}
            yield told(luck.slope, "identity.floor_slope", where, "", ship_caveat(study, where))


def _at(study: Study, ruler: Ruler | str, weight: str) -> tuple[Sample, Pairing]:
    """The scores of all cells of a weight, and the luck of their seeds."""
    everywhere, _ = scores(study, ruler, pick(study, {"weight": weight}))
    return everywhere, _luck(study, ruler, everywhere) if weight != "0" else UNPAIRED


def _score(study: Study, ruler: Ruler | str, where: Where, everywhere: Sample, luck: Pairing) -> Measurement:
    """The score of a slice on a ruler."""
    one, caveat = scores(study, ruler, pick(study, where))
    if "environment" in where:
        own, others = (luck.of_environment(each) for each in (one, everywhere))
        alone = fixed(own, others, study.bound)
        estimate = _on(ruler, where, luck.widened(alone, where["environment"], study.bound), study.bound)
        worse = _with_one_worse(own, others, study.bound, alone, estimate)
    else:
        own = luck.of_framing(one) if "framing" in where else one
        estimate, worse = _on(ruler, where, mean(own), intervals.BOUND), None
    more = caveat, ship_caveat(study, where)
    return told(estimate, "identity.score", where, "score", *more, one_worse=worse)


def _on(ruler: Ruler | str, where: Where, estimate: Estimate, bound: float) -> Estimate:
    """The estimate with the ruler's own error, by `bound` standard errors; the base model's score makes the floor."""
    if isinstance(ruler, str) or where["weight"] == "0":
        return estimate
    mark = ruler.framings[where["framing"]] if "framing" in where else mark_of(ruler)
    return with_ruler_error(estimate, mark, bound / intervals.BOUND)


def _no_firmer(found: Measurement, worst: Measurement) -> Measurement:
    """The measurement with the lower ends of `worst`, that on the highest marks that missing pictures allow.

    Where that is not measured, of 0: what the base model draws.
    """

    def lower(end: float, other: float | None) -> float:
        return min(end, 0.0 if other is None else other)

    ends, bottom = found.interval, worst.interval
    interval = None if ends is None else (lower(ends[0], None if bottom is None else bottom[0]), ends[1])
    reach = found.reach or (cast(float, found.value), cast(float, found.value))
    least = worst.value if worst.reach is None else worst.reach[0]
    one_worse = None if found.one_worse is None else lower(found.one_worse, worst.one_worse)
    note = (
        "pictures of the base model or the dataset are missing or show no face: the lower end is that of the highest "
        "marks they allow"
    )
    return replace(
        found, interval=interval, reach=(lower(reach[0], least), reach[1]), one_worse=one_worse,
        reason=join(found.reason, note),
    )  # fmt: skip


def _with_one_worse(own: Sample, others: Sample, bound: float, alone: Estimate, widened: Estimate) -> float | None:
    """The lower end with one unit more, as bad as the worst anywhere, widened as the interval was."""
    end = end_with_one_worse(own, others, bound)
    if end is None or alone.interval is None or widened.interval is None:
        return None
    return end - (alone.interval[0] - widened.interval[0])


def _luck(study: Study, ruler: Ruler | str, everywhere: Sample) -> Pairing:
    """The scores of a weight paired with those at weight 0; at weight 0 itself, and without a ruler, nothing moves."""
    if isinstance(ruler, str) or not everywhere.planned:
        return replace(UNPAIRED, slope=Estimate(reason=everywhere.absent or "no such cell was planned"))
    base = [cell for cell in pick(study, {"weight": "0"}) if ruler.framings[cell.framing].problem is None]

    def value_of(cell: Cell) -> float | None:
        reading = study.renders.get(cell.key)
        shown = reading is not None and reading.face.embedding is not None
        return ruler.score(reading, cell.framing) if reading is not None and shown else None

    seen = [cell for cell in base if cell.key in study.renders]
    faceless = {(c.environment, (c.framing, c.replicate)) for c in seen if value_of(c) is None}
    return pair(everywhere, sample(base, value_of, rate=False), frozenset(faceless))


def _faces(study: Study, ruler: Ruler | str) -> Iterator[Measurement]:
    """Shares of ship renders without a face, by framing.

    Without a ruler they are not measured: a recogniser that finds no face in the dataset proves nothing by finding none
    in the renders.
    """

    def faceless(cell: Cell) -> float | None:
        reading = study.renders.get(cell.key)
        if reading is None:
            return 1.0 if came_out_empty(cell, study.missing.get(cell.key)) else None
        return float(not reading.face.faces)

    for framing in framings_of(study):
        where = {"weight": "ship", "framing": framing}
        shown = isinstance(ruler, Ruler)
        one = sample(pick(study, where), faceless, rate=True) if shown else scores(study, ruler, ())[0]
        share = declared_rate(one, EACH_LOOK)
        yield told(share, "identity.no_face", where, "share", ship_caveat(study))


def _contrasts(study: Study, ruler: Ruler | str) -> Iterator[Measurement]:
    """The other framings minus one, and upper body minus close-up, paired by environment; trained minus novel ones.

    `identity.closeup_gap` leaves full body out: its small faces are held worst of all, by healthy LoRAs too.
    """
    ship = pick(study, {"weight": "ship"})
    for framing in framings_of(study):
        own, caveat = scores(study, ruler, [cell for cell in ship if cell.framing == framing])
        others, also = scores(study, ruler, [cell for cell in ship if cell.framing != framing])
        gap, where = paired_difference(others, own), {"framing": framing}
        yield told(gap, "identity.framing_gap", where, "score", caveat, also, ship_caveat(study))
    close, caveat = scores(study, ruler, [cell for cell in ship if cell.framing == CLOSE_UP])
    wider, also = scores(study, ruler, [cell for cell in ship if cell.framing == UPPER_BODY])
    gap = paired_difference(wider, close)
    yield told(gap, "identity.closeup_gap", {}, "score", caveat, also, ship_caveat(study))
    trained, caveat = scores(study, ruler, [cell for cell in ship if cell.trained])
    novel, also = scores(study, ruler, [cell for cell in ship if not cell.trained])
    gap = welch_difference(trained, novel)
    yield told(gap, "identity.environment_gap", {}, "score", caveat, also, ship_caveat(study))
