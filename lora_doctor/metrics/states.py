"""What became of the renders, one word each (`image_states`), and how much identity rests on those that can be scored.

`identity.score` counts every render that was made (intention to treat): one without a face as 0, one whose face is too
small or turned away as it is read, which is too low. `identity.scorable` asks only those with a face that can be scored
(per protocol); the gap between the two is what the others cost, `identity.bounds` what they could make of the score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from lora_doctor.image_states import NO_LIMITS, STATES, UNREADABLE, State, came_out_empty, state_of, unscorable
from lora_doctor.metrics.estimates import Estimate, mean, paired_difference, told
from lora_doctor.metrics.ruler import Ruler, build_ruler, scores
from lora_doctor.metrics.units import Sample, framings_of, pick, sample, ship_caveat
from lora_doctor.types import Cell, Measurement, Study, Where

JUDGED: tuple[State, ...] = ("held", "drift")
"""States that say something of the LoRA's likeness; at weight 0 a scorable render is neither."""


def measure(study: Study) -> list[Measurement]:
    """`state.share`, `identity.scorable`, `identity.scorable_gap` and `identity.bounds`."""
    ruler = build_ruler(study)
    return [*_shares(study, ruler), *_scorable(study, ruler)]


def state_in(study: Study, ruler: Ruler | str) -> Callable[[Cell], State]:
    """The state of a cell: the same that the report shows."""
    limits = ruler.limits if isinstance(ruler, Ruler) else NO_LIMITS

    def of(cell: Cell) -> State:
        reading = study.renders.get(cell.key)
        known = ruler if isinstance(ruler, Ruler) and reading is not None else None
        score = None if known is None or reading is None else known.score(reading, cell.framing)
        verified = None if known is None or reading is None else known.verified(reading)
        return state_of(reading, study.missing.get(cell.key), cell.weight, score, limits, study.held, verified)

    return of


def _shares(study: Study, ruler: Ruler | str) -> Iterator[Measurement]:
    """Of the renders that were made, the share in each state; by weight (ship and 0) and framing."""
    state = state_in(study, ruler)
    for weight in ("ship", "0"):
        for framing in (None, *framings_of(study)):
            where = {"weight": weight} | ({} if framing is None else {"framing": framing})
            cells = pick(study, where)
            for name in STATES:
                if weight == "0" and name in JUDGED:
                    continue
                estimate = mean(_share_of(study, cells, name, state))
                silent = _why_untold(study, ruler) if name in JUDGED else None
                if silent is not None:
                    estimate = Estimate(reason=silent)
                yield told(estimate, "state.share", {**where, "state": name}, "share", ship_caveat(study, where))


def _share_of(study: Study, cells: Sequence[Cell], name: State, state: Callable[[Cell], State]) -> Sample:
    """1 where a render is in the state, 0 where it is not; of a file that cannot be read nobody knows."""

    def value_of(cell: Cell) -> float | None:
        found = state(cell)
        lost = found == "not rendered" or study.missing.get(cell.key) == UNREADABLE
        return None if lost else float(found == name)

    return sample(cells, value_of, rate=True)


def _why_untold(study: Study, ruler: Ruler | str) -> str | None:
    if isinstance(ruler, str):
        return ruler
    return "no policy says from which score a render is held" if study.held is None else None


# ---------------------------------------------------------------- with and without those that cannot be scored


def _scorable(study: Study, ruler: Ruler | str) -> Iterator[Measurement]:
    """Identity of scorable renders alone, what it has over that of all, and the bounds of the latter; ship weights."""
    for framing in (None, *framings_of(study)):
        where = {"weight": "ship"} | ({} if framing is None else {"framing": framing})
        everyone, caveat = scores(study, ruler, pick(study, where))
        alone = everyone if isinstance(ruler, str) else _without_unscorable(study, ruler, pick(study, where))
        notes = caveat, ship_caveat(study, where)
        yield told(mean(alone), "identity.scorable", where, "score", *notes)
        yield told(paired_difference(alone, everyone), "identity.scorable_gap", where, "score", *notes)
        yield from _bounds(study, ruler, where)


def _without_unscorable(study: Study, ruler: Ruler, cells: Sequence[Cell]) -> Sample:
    """The scores of the units of which every render made can be scored; one that came out empty is missing."""
    kept, _ = scores(study, ruler, cells)
    out = {(cell.environment, cell.framing, cell.replicate) for cell in cells if _by_design(study, ruler, cell)}
    empty = {
        (cell.environment, cell.framing, cell.replicate)
        for cell in cells
        if came_out_empty(cell, study.missing.get(cell.key))
    }
    units = {
        e: {k: None if (e, *k) in empty else v for k, v in table.items() if (e, *k) not in out}
        for e, table in kept.units.items()
    }
    return replace(kept, units=units, absent="no render shows a face that can be scored")


def _by_design(study: Study, ruler: Ruler, cell: Cell) -> bool:
    reading = study.renders.get(cell.key)
    return reading is not None and unscorable(reading, ruler.limits) is not None


def _bounds(study: Study, ruler: Ruler | str, where: Where) -> Iterator[Measurement]:
    """The score of a slice if every face that cannot be told by design were a stranger's, and if it were as like as the
    others of its framing; a render that is lost is at 0 and at 1. Exact, of these renders."""
    one, caveat = scores(study, ruler, pick(study, where))
    for end, lost in (("worst", 0.0), ("best", 1.0)):
        if isinstance(ruler, Ruler) and one.planned:
            filled = mean(_with_unscorable_at(study, ruler, where, best=end == "best").filled(lost))
            estimate = Estimate(value=filled.value, n=one.planned, reason=filled.reason)
        else:
            estimate = mean(one)
        yield told(estimate, "identity.bounds", {**where, "end": end}, "score", caveat, ship_caveat(study, where))


def _with_unscorable_at(study: Study, ruler: Ruler, where: Where, *, best: bool) -> Sample:
    cells = [cell for cell in pick(study, where) if ruler.framings[cell.framing].problem is None]
    likeness: dict[str, float] = {}
    for framing in framings_of(study) if best else ():
        known = mean(_without_unscorable(study, ruler, [cell for cell in cells if cell.framing == framing])).value
        likeness[framing] = 1.0 if known is None else known

    def value_of(cell: Cell) -> float | None:
        reading = study.renders.get(cell.key)
        if reading is None:
            return None
        poor = unscorable(reading, ruler.limits) not in (None, "no face")
        return likeness.get(cell.framing, 0.0) if poor else ruler.score(reading, cell.framing)

    return sample(cells, value_of, rate=False)
