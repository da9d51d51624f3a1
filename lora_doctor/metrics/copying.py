"""Whether the LoRA draws the person or copies the dataset's pictures, and whether it draws one person or two.

Half of the dataset's own faces lie above the ceiling, which is their mean, and one of them always is the most typical.
So each alarm is held against what the dataset itself would set off.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lora_doctor.image_states import unscorable
from lora_doctor.metrics import intervals
from lora_doctor.metrics.ceiling import MIN_REFERENCES
from lora_doctor.metrics.estimates import Estimate, mean, moved, told
from lora_doctor.metrics.ruler import Ruler, build_ruler
from lora_doctor.metrics.units import framings_of, pick, sample, ship_caveat, weights_of
from lora_doctor.types import Cell, Measurement, Reading, Study

MORE_THAN_ALIKE = 1.1
"""A score above this is closer to the references than they are to one another: copied rather than alike."""
STRANGER, SAME = 0.25, 0.60
"""Scores below the one are somebody else, above the other the person; what lies between is a poor likeness."""

TIED = 1e-6
"""References this much less near are as near."""


def measure(study: Study) -> list[Measurement]:
    """`identity.above_ceiling`, `.above_ceiling_excess`, `.attraction`, `.attraction_excess` over the ship weights;
    `.stranger_share`, `.same_share` and `.two_modes` at the highest of them."""
    ruler = build_ruler(study)
    if isinstance(ruler, str):
        return [told(Estimate(reason=ruler), f"identity.{name}", {}, "share") for name in _NAMES]
    return [*_above(study, ruler), *_attraction(study, ruler), *_two_people(study, ruler)]


_NAMES = (
    "above_ceiling", "above_ceiling_excess", "attraction", "attraction_excess",
    "stranger_share", "same_share", "two_modes",
)  # fmt: skip


def _cells(study: Study, ruler: Ruler, weight: str) -> list[Cell]:
    """The cells of a weight whose framing can be measured."""
    return [cell for cell in pick(study, {"weight": weight}) if ruler.framings[cell.framing].problem is None]


def _share(study: Study, ruler: Ruler, weight: str, holds: Callable[[Reading, Cell], float]) -> Estimate:
    """Share of renders of which something holds (1, 0 or a part); one whose face cannot be scored is none."""

    def value_of(cell: Cell) -> float | None:
        reading = study.renders.get(cell.key)
        if reading is None:
            return None
        return float(holds(reading, cell)) if unscorable(reading, ruler.limits) is None else 0.0

    cells = _cells(study, ruler, weight)
    return mean(sample(cells, value_of, rate=True)) if cells else Estimate(reason=ruler.whole.problem)


def _beyond(estimate: Estimate, expected: float, n: int) -> Estimate:
    """The estimate less what the dataset's `n` references let expect, and the interval of the difference."""
    if estimate.value is None:
        return estimate
    ends = intervals.wilson(expected * n, n)
    apart = estimate.interval and intervals.square_and_add(estimate.value, estimate.interval, expected, ends)
    told_of = f"{expected:.2f} is what the references themselves set off"
    moved_to = moved(estimate, estimate.value - expected)
    return replace(moved_to, interval=apart, reason=estimate.reason or told_of)


# ---------------------------------------------------------------- copied


def _above(study: Study, ruler: Ruler) -> Iterator[Measurement]:
    """Share of renders above the ceiling, and by how much that is more than the share of the references.

    Each reference is held to the ceiling of its own framing, as renders are: a close-up is more alike than a full body.
    """
    found = _share(study, ruler, "ship", lambda reading, cell: ruler.score(reading, cell.framing) > MORE_THAN_ALIKE)
    yield told(found, "identity.above_ceiling", {}, "share", ship_caveat(study))
    references = ruler.references
    marks = (ruler.framings.get(framing, ruler.whole) for framing in references.framings)
    bars = [(mark.floor.value or 0.0) + MORE_THAN_ALIKE * (mark.gap.value or 0.0) for mark in marks]
    own = statistics.fmean(one > bar for one, bar in zip(references.similarities, bars, strict=True))
    yield told(_beyond(found, own, references.count), "identity.above_ceiling_excess", {}, "share", ship_caveat(study))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Nearest:
    """Which reference a face is nearest to."""

    rows: Any
    """(n, d) embeddings of the references."""
    groups: tuple[int, ...]
    """(n,) the group of copies of each."""
    framings: tuple[str, ...]
    """(n,) the framing of each, `""` where none can be read."""
    similarity: Callable[[Any, Any], Any] | None

    def to(self, embeddings: Any) -> Any:
        """(k, n) similarities."""
        return embeddings @ self.rows.T if self.similarity is None else self.similarity(embeddings, self.rows)

    def of(self, embeddings: Any) -> list[dict[int, float]]:
        """For each embedding, the groups of the nearest references; equally near ones share it."""
        import numpy as np

        return [self._shared(row) for row in np.asarray(self.to(embeddings), np.float64)]

    def tells(self, framing: str) -> bool:
        """Whether there are references enough of a framing; a render of another is nearest to the few there are.

        In a dataset of close-ups with one full body, that one is nearest to every full body, copied or not.
        """
        own = {group for group, name in zip(self.groups, self.framings, strict=True) if name == framing}
        return len(own) >= MIN_REFERENCES or not any(self.framings)

    def among_themselves(self) -> float:
        """The largest share of the references, in framings that tell, to which one and the same group is nearest.

        Their own left out.
        """
        import numpy as np

        table, groups = np.array(self.to(self.rows), np.float64), np.array(self.groups)
        table[groups[:, None] == groups[None, :]] = -np.inf
        kept = [self._shared(row) for row, name in zip(table, self.framings, strict=True) if self.tells(name)]
        return max(_summed(kept).values()) / len(kept)

    def _shared(self, row: Any) -> dict[int, float]:
        near = {group for group, value in zip(self.groups, row, strict=True) if value >= row.max() - TIED}
        return dict.fromkeys(near, 1 / len(near))


def _summed(shares: Sequence[dict[int, float]]) -> dict[int, float]:
    total: dict[int, float] = {}
    for each in shares:
        for group, share in each.items():
            total[group] = total.get(group, 0.0) + share
    return total


def _attraction(study: Study, ruler: Ruler) -> Iterator[Measurement]:
    """Share of the renders to which one and the same reference, its copies included, is the nearest.

    Of framings with five references or more. The most attractive is chosen after the fact, which adds little where 40 %
    of the renders are in question.
    """
    import numpy as np

    references = ruler.references
    nearest = _Nearest(
        rows=np.stack([np.asarray(one.face.embedding, np.float64) for one in references.known]),
        groups=references.copies, framings=references.framings, similarity=study.similarity,
    )  # fmt: skip
    cells = [cell for cell in _cells(study, ruler, "ship") if nearest.tells(cell.framing)]
    scored = [
        cell.key
        for cell in cells
        if cell.key in study.renders and unscorable(study.renders[cell.key], ruler.limits) is None
    ]
    if not scored:
        reason = "no render shows a face that can be scored" if cells else f"no framing has {MIN_REFERENCES} references"
        yield from _untold(("attraction", "attraction_excess"), reason)
        return
    faces = np.stack([np.asarray(study.renders[key].face.embedding, np.float64) for key in scored])
    where = dict(zip(scored, nearest.of(faces), strict=True))
    most = max(_summed(list(where.values())).items(), key=lambda pair: (pair[1], -pair[0]))[0]
    found = mean(sample(cells, lambda c: where.get(c.key, {}).get(most, 0.0) if c.key in study.renders else None,
                        rate=True))  # fmt: skip
    pictures = tuple(
        p for p, group in zip(references.places, references.copies, strict=True) if group == most
    )  # fmt: skip
    untold = [framing for framing in framings_of(study) if not nearest.tells(framing)]
    few = f"without {', '.join(untold)}: fewer than {MIN_REFERENCES} references" if untold else None
    one = told(found, "identity.attraction", {}, "share", ship_caveat(study), few)
    yield replace(one, pictures=pictures)
    expected = nearest.among_themselves()
    yield told(_beyond(found, expected, references.count), "identity.attraction_excess", {}, "share")


def _untold(names: Sequence[str], reason: str) -> Iterator[Measurement]:
    for name in names:
        yield told(Estimate(reason=reason), f"identity.{name}", {}, "share")


# ---------------------------------------------------------------- two people


def _two_people(study: Study, ruler: Ruler) -> Iterator[Measurement]:
    """Shares of renders that show somebody else, and that show the person, where the LoRA has had its say.

    And the lesser of them minus the share of poor likenesses between: above 0 only with two kinds of pictures. A render
    whose face cannot be scored shows neither.
    """
    planned = [weight for weight in weights_of(study) if any(f"{ship:g}" == weight for ship in study.ship_weights)]
    names = ("stranger_share", "same_share", "two_modes")
    if not planned:
        yield from _untold(names, ship_caveat(study) or "no ship weight was planned")
        return
    at = planned[-1]

    def below(reading: Reading, cell: Cell) -> float:
        return ruler.score(reading, cell.framing) < STRANGER

    def above(reading: Reading, cell: Cell) -> float:
        return ruler.score(reading, cell.framing) > SAME

    low, high = (_share(study, ruler, at, holds) for holds in (below, above))
    lesser = below if (low.value or 0.0) < (high.value or 0.0) else above

    def dip(cell: Cell) -> float | None:
        reading = study.renders.get(cell.key)
        if reading is None:
            return None
        if unscorable(reading, ruler.limits) is not None:
            return 0.0
        return lesser(reading, cell) - (1.0 - below(reading, cell) - above(reading, cell))

    cells = _cells(study, ruler, at)
    modes = mean(sample(cells, dip, rate=False)) if cells else Estimate(reason=ruler.whole.problem)
    for name, estimate in zip(names, (low, high, modes), strict=True):
        yield told(estimate, f"identity.{name}", {}, "share", f"at weight {at}")
