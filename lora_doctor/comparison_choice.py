"""Which version to ship, and at which weight; and where no version is best in everything. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lora_doctor.measurement_book import number_text
from lora_doctor.types import Measurement

Answer = Literal["ship", "close", "inconclusive", "none"]
"""`ship`: this one; `close`: several can be shipped, and which is better cannot be told; `inconclusive`: none is known
to be fit, some may be; `none`: all are held."""
_ORDER = ("SHIP", "INCONCLUSIVE", "HOLD")


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A version at a weight."""

    run: str
    weight: str
    outcome: str
    levels: Mapping[str, Measurement]
    """Quantity -> level over the shared cells."""

    @property
    def lower_end(self) -> float | None:
        """What its identity is at least; None where that is not known."""
        level = self.levels.get("identity")
        return None if level is None or level.interval is None else level.interval[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The answer in a sentence, and who it is about."""

    answer: Answer
    sentence: str
    best: Candidate | None
    runner_up: Candidate | None
    """The best candidate of another version."""
    difference: Measurement | None
    """Identity of the best minus that of the runner-up, paired."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ParetoRow:
    """A version at a weight, and who is better in something that matters and worse in nothing that does."""

    run: str
    weight: str
    levels: Mapping[str, float]
    """Quantity -> point estimate, over the units that every candidate has."""
    beaten_by: str | None
    """`version at weight`; None = nobody: it is on the front."""


def choose(
    candidates: Sequence[Candidate], difference_of: Callable[[Candidate, Candidate], Measurement], effect: float
) -> Choice:
    """The candidate of the best outcome whose identity has the highest lower end, against the best of another version.

    Comparing a winner with its runner-up alone needs no allowance for the others it was chosen from: see Hung and
    Fithian, Rank verification for exponential families, Annals of Statistics 47 (2019). Their proof is for independent
    candidates of equal spread; here candidates are paired and chosen by lower ends, so it holds about.
    """
    known = [each for each in candidates if each.lower_end is not None]
    if not known:
        sentence = "Nothing can be said: identity could not be measured on the shared cells."
        outcomes = {each.outcome for each in candidates}
        return Choice(
            answer="none" if outcomes == {"HOLD"} else "inconclusive", sentence=sentence, best=None, runner_up=None,
            difference=None,
        )  # fmt: skip
    ranked = sorted(known, key=lambda c: (_ORDER.index(c.outcome), -(c.lower_end or 0.0)))
    best = ranked[0]
    runner_up = next((each for each in ranked if each.run != best.run), None)
    difference = None if runner_up is None else difference_of(best, runner_up)
    answer, sentence = _answer(best, runner_up, difference, effect)
    return Choice(answer=answer, sentence=sentence, best=best, runner_up=runner_up, difference=difference)


def _answer(
    best: Candidate, runner_up: Candidate | None, difference: Measurement | None, effect: float
) -> tuple[Answer, str]:
    told = f"{_named(best)} (identity {number_text(best.levels['identity'])})"
    if best.outcome != "SHIP":
        fate = {"INCONCLUSIVE": "its verdict is inconclusive", "HOLD": "it is held"}[best.outcome]
        sentence = f"None can be shipped. The least bad is {told}; {fate}."
        return ("inconclusive" if best.outcome == "INCONCLUSIVE" else "none"), sentence
    if runner_up is None or difference is None:
        return "ship", f"Ship {told}."
    rival = f"{_named(runner_up)} (identity {number_text(runner_up.levels['identity'])})"
    if runner_up.outcome != "SHIP":
        return "ship", f"Ship {told}: the only version that the policy ships."
    ends = difference.interval
    if ends is not None and ends[0] > 0:
        return "ship", f"Ship {told}: {number_text(difference)} above {rival}."
    if ends is not None and ends[0] >= -effect and ends[1] <= effect:
        return "ship", f"Ship {told}, or {rival}: they differ by {number_text(difference)}, less than matters."
    apart = number_text(difference) if difference.value is not None else "not measured"
    return "close", f"Too close to call: {told} and {rival} can both be shipped; their difference is {apart}."


def pareto(
    candidates: Sequence[Candidate], effects: Mapping[str, float], sign: Callable[[str], int]
) -> tuple[ParetoRow, ...]:
    """Every candidate with the first one that beats it: ahead by the smallest effect somewhere, behind by it nowhere.

    By point estimates of the quantities that both have; which differences are certain, the contrasts tell.
    """
    values = [
        {name: level.value for name, level in each.levels.items() if level.value is not None} for each in candidates
    ]

    def beats(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
        ahead = {name: sign(name) * (one[name] - other[name]) for name in one if name in other}
        by = [amount / effects[name] for name, amount in ahead.items()]
        return bool(by) and min(by) > -1 and max(by) >= 1

    rows = []
    for each, own in zip(candidates, values, strict=True):
        winners = (rival for rival, theirs in zip(candidates, values, strict=True) if beats(theirs, own))
        winner = next(winners, None)
        rows.append(
            ParetoRow(
                run=each.run, weight=each.weight, levels=own, beaten_by=None if winner is None else _named(winner)
            )
        )
    return tuple(rows)


def _named(candidate: Candidate) -> str:
    return f"{candidate.run} at weight {candidate.weight}"
