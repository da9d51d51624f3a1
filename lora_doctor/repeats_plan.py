"""Ways to the source's identity ratio: other repeats, more pictures, or fewer. Pure; exact, in whole numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, Role

NEAR = Fraction(1, 100)
"""Ratios no further than this from the target are as good as it: among them the smallest change is the best."""
MOST_REPEATS = 40
"""Where no folder has more; else twice the most that one has."""
COMBINATIONS = 20_000
"""At most so many are tried: all of them for two kinds of folders; of more kinds, those nearest to the exact answer."""
FARTHEST = 2
"""Pictures per epoch may become so many times more or fewer, where nothing nearer reaches the target."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Pictures that have one repeats setting together, most often a folder."""

    name: str
    emphasis: int
    """Identity-emphasis pictures, repeats not counted."""
    context: int
    """In-context pictures."""
    repeats: float

    @property
    def pictures(self) -> int:
        """Both."""
        return self.emphasis + self.context


@dataclass(frozen=True, kw_only=True, slots=True)
class RepeatsPlan:
    """Repeats for every group, and what they come to."""

    repeats: Mapping[str, float]
    """Group -> repeats; the present ones where none are better."""
    ratio: float
    exposures: float
    """Pictures per epoch, repeats counted."""
    ratio_before: float
    exposures_before: float
    changed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class CountPlan:
    """Pictures to add or to drop."""

    role: Role
    pictures: int
    """0 = none brings the ratio nearer."""
    ratio: float
    """What it becomes."""


# ---------------------------------------------------------------- repeats


def plan_repeats(
    groups: Sequence[Group], target: float, *, keep_exposures: float | None = None, whole: bool = True,
    farthest: int = FARTHEST,
) -> RepeatsPlan | None:  # fmt: skip
    """The repeats that bring the identity ratio nearest to `target`; None where no picture has a role.

    Ratios within `NEAR` of it count as equal; among the nearest, the one wins that shows the fewest pictures more or
    less often than now, so pictures per epoch stay near `keep_exposures` (None = as now), `farthest` times more or
    fewer at most. `whole`: whole numbers from 1 to `MOST_REPEATS`; else hundredths, of which only the exact answer is
    tried. Groups of one kind (same mixture of roles, same repeats) stay alike. Never further from the target than now.
    """
    goal, pools = exact(target), _pools([group for group in groups if group.pictures])
    now = tuple(exact(pool[0].repeats) for pool in pools)
    if not pools or not _shown(pools, now):
        return None
    before = _shown(pools, now)
    keep = before if keep_exposures is None else exact(keep_exposures)
    tried = _whole_repeats(pools, goal, keep) if whole else _fractional_repeats(pools, goal, keep)
    allowed = [each for each in tried if keep <= farthest * _shown(pools, each) <= farthest * farthest * keep]
    best = min([now, *allowed], key=lambda each: _cost(pools, each, now, goal, keep))
    return RepeatsPlan(
        repeats={group.name: float(each) for pool, each in zip(pools, best, strict=True) for group in pool},
        ratio=float(_ratio(pools, best)), exposures=float(_shown(pools, best)),
        ratio_before=float(_ratio(pools, now)), exposures_before=float(before), changed=best != now,
    )  # fmt: skip


Pools = Sequence[Sequence[Group]]


def _pools(groups: Sequence[Group]) -> list[list[Group]]:
    """Groups with the same repeats and the same share of identity-emphasis, together."""
    pools: dict[tuple[float, Fraction], list[Group]] = {}
    for group in groups:
        pools.setdefault((group.repeats, Fraction(group.emphasis, group.pictures)), []).append(group)
    return list(pools.values())


def _cost(
    pools: Pools, repeats: Sequence[Fraction], now: Sequence[Fraction], goal: Fraction, keep: Fraction
) -> tuple[Fraction, ...]:
    """Smaller is better: how far the ratio is beyond near, how much changes, how far pictures per epoch move, ratio."""
    error = abs(_ratio(pools, repeats) - goal)
    longer = keep / _shown(pools, now)
    pairs = zip(pools, repeats, now, strict=True)
    moved = sum((_size(pool) * abs(r - old * longer) for pool, r, old in pairs), Fraction(0))
    return max(Fraction(0), error - NEAR), moved + abs(_shown(pools, repeats) - keep), error


def _whole_repeats(pools: Pools, goal: Fraction, keep: Fraction) -> Iterator[tuple[Fraction, ...]]:
    """Every combination of whole repeats; where those are too many, of those nearest to the exact answer."""
    now = tuple(exact(pool[0].repeats) for pool in pools)
    most, count = max(MOST_REPEATS, math.ceil(2 * max(now))), math.floor(COMBINATIONS ** (1 / len(pools)) + 1e-9)
    centre = next(_fractional_repeats(pools, goal, keep), now)
    for combination in product(*(_whole_near(at, most, count) for at in centre)):
        yield tuple(map(Fraction, combination))


def _whole_near(at: Fraction, most: int, count: int) -> list[int]:
    """The `count` (at least one) whole numbers from 1 to `most` that are nearest to `at`."""
    return sorted(range(1, most + 1), key=lambda number: (abs(number - at), number))[: max(1, count)]


def _fractional_repeats(pools: Pools, goal: Fraction, keep: Fraction) -> Iterator[tuple[Fraction, ...]]:
    """Hundredths: one factor for groups with more identity-emphasis than the goal, one for the others.

    The two factors solve: exposures as before, ratio as wanted. Nothing where all groups lie on one side.
    """
    now = [exact(pool[0].repeats) for pool in pools]
    rich = [_emphasis(pool) > goal * _size(pool) for pool in pools]
    parts = [(_size(pool) * r, _emphasis(pool) * r, side) for pool, r, side in zip(pools, now, rich, strict=True)]
    shown = [sum((n for n, _, side in parts if side is one), Fraction(0)) for one in (True, False)]
    faces = [sum((e for _, e, side in parts if side is one), Fraction(0)) for one in (True, False)]
    if not all(shown) or faces[1] == goal * shown[1]:
        return
    up = keep * (goal - faces[1] / shown[1]) / (faces[0] - faces[1] / shown[1] * shown[0])
    down = (keep - up * shown[0]) / shown[1]
    yield tuple(
        max(Fraction(1, 100), Fraction(round(r * (up if side else down) * 100), 100))
        for r, side in zip(now, rich, strict=True)
    )


def _size(pool: Sequence[Group]) -> int:
    return sum(group.pictures for group in pool)


def _emphasis(pool: Sequence[Group]) -> int:
    return sum(group.emphasis for group in pool)


def _shown(pools: Pools, repeats: Sequence[Fraction]) -> Fraction:
    return sum((_size(pool) * each for pool, each in zip(pools, repeats, strict=True)), Fraction(0))


def _ratio(pools: Pools, repeats: Sequence[Fraction]) -> Fraction:
    faces = sum((_emphasis(pool) * each for pool, each in zip(pools, repeats, strict=True)), Fraction(0))
    return faces / _shown(pools, repeats)


def exact(number: float) -> Fraction:
    """The decimal that was meant: 0.33 is 33/100, and 100/7 is 100/7."""
    return Fraction(number).limit_denominator(10_000)


# ---------------------------------------------------------------- pictures


def pictures_to_add(emphasis: Sequence[float], context: Sequence[float], target: float) -> CountPlan | None:
    """How many pictures of the scarcer role to add; None where there is no picture with a role.

    `emphasis`, `context`: how often each picture of the role is shown in an epoch. The new ones are shown as those of
    their role are on average, or where it has none, as all.
    """
    goal, faces, rest = exact(target), _sum(emphasis), _sum(context)
    if not faces + rest:
        return None
    role: Role = IDENTITY_EMPHASIS if faces < goal * (faces + rest) else IN_CONTEXT
    own = (emphasis if role == IDENTITY_EMPHASIS else context) or [*emphasis, *context]
    each = _sum(own) / len(own)
    wanted = (goal * rest / (1 - goal) - faces) if role == IDENTITY_EMPHASIS else ((1 - goal) * faces / goal - rest)
    options = [max(0, math.floor(wanted / each)), max(0, math.ceil(wanted / each))] if each else [0]
    ratios = {
        more: (faces + more * each * (role == IDENTITY_EMPHASIS)) / (faces + rest + more * each) for more in options
    }
    best = min(ratios, key=lambda more: (abs(ratios[more] - goal), more))
    return CountPlan(role=role, pictures=best, ratio=float(ratios[best]))


def pictures_to_drop(emphasis: Sequence[float], context: Sequence[float], target: float) -> CountPlan | None:
    """How many pictures of the role there is too much of to drop, those shown most often first; None as above.

    One picture of the role stays.
    """
    goal, faces, rest = exact(target), _sum(emphasis), _sum(context)
    if not faces + rest:
        return None
    role: Role = IDENTITY_EMPHASIS if faces > goal * (faces + rest) else IN_CONTEXT
    own = sorted((exact(each) for each in (emphasis if role == IDENTITY_EMPHASIS else context)), reverse=True)
    best, gone = (abs(faces / (faces + rest) - goal), 0, faces / (faces + rest)), Fraction(0)
    for fewer, each in enumerate(own[:-1], start=1):
        gone += each
        ratio = (faces - gone * (role == IDENTITY_EMPHASIS)) / (faces + rest - gone)
        best = min(best, (abs(ratio - goal), fewer, ratio))
    return CountPlan(role=role, pictures=best[1], ratio=float(best[2]))


def _sum(exposures: Sequence[float]) -> Fraction:
    return sum(map(exact, exposures), Fraction(0))
