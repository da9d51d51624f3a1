"""Rendering in rounds: after each, all that is known is judged, and no picture more is made once the verdict is clear.

Looking often is paid for: claims about environments take Pocock's bound for the looks that are planned (`looks`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from lora_doctor.arm_plan import ArmPlan
from lora_doctor.demands import open_environments
from lora_doctor.effects import weigh
from lora_doctor.errors import UsageError
from lora_doctor.judgement import Judges, today
from lora_doctor.looks import ALPHA, Look, early, foreseen, next_bound, partial_conjunction_alpha
from lora_doctor.rounds import (
    asked_arms,
    asked_probes,
    deciding_weights,
    first_round,
    is_decided,
    next_of_arms,
    next_round,
    within_reach,
    worth_a_look,
)
from lora_doctor.rules import evaluate
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import MatrixSettings
from lora_doctor.types import Cell, Measurement, Study
from lora_doctor.verdict import decide

LOOKS = "looks"
"""Name of the document in a run folder that remembers the looks."""
See = Callable[[Sequence[Cell], Sequence[Cell], float], tuple[Study, tuple[Measurement, ...]]]
"""(all cells so far, the new ones among them, bound) -> what was rendered and read, and the measurements of it."""


Stop = Literal["decided", "budget", "all rounds", "no ruler", "nothing left"]
"""Why rendering ends: the verdict is clear; the budget, or all rounds, are used up; identity cannot be measured and no
picture mends that; what is open is in arms that are rendered to their end."""
_NOTHING = ArmPlan()


@dataclass(frozen=True, kw_only=True, slots=True)
class Sequenced:
    """A matrix that was rendered round by round, to its end."""

    study: Study
    measurements: tuple[Measurement, ...]
    looks: tuple[Look, ...]
    stopped: Stop
    """Why no more was rendered."""


def until_decided(
    plan: Sequence[Cell], matrix: MatrixSettings, judges: Judges, see: See, run: RunFolder, *, lora: str = "",
    beside: ArmPlan = _NOTHING,
) -> Sequenced:  # fmt: skip
    """Render the first round of `plan`, look, and go on round by round until the verdict is clear.

    `plan` holds the matrix's cells of all rounds; `beside` those of the arms, which are rendered along while what they
    show is open, and the probes, which are rendered at the end for what was found. A look that an earlier start of the
    same run took is taken again as it was: a run that was stopped ends as one that never was. `lora` is its SHA-256,
    for waivers of its own. Raises UsageError for a budget below the first round.
    """
    require_budget(plan, matrix, beside)
    most = _rounds(plan)
    stopped: Stop = "all rounds"
    first = most if matrix.full else min(matrix.replicates, most)
    cells = new = first_round((*plan, *beside.arms), first)
    ledger = _Ledger(run, _alpha(plan, judges), range(first, most + 1))
    for rounds in ledger.schedule:
        bound = ledger.look(rounds)
        study, measurements = see(cells, new, bound)
        more = _asked_next(plan, beside.arms, rounds, study, measurements, judges, lora)
        if isinstance(more, str):
            stopped = more
            break
        if rounds == most:
            break
        if matrix.budget is not None and len(cells) + len(more) > matrix.budget:
            stopped = "budget"
            break
        new, cells = more, (*cells, *more)
    probes = _asked_by_findings(beside, measurements, judges)
    if probes and (matrix.budget is None or len(cells) + len(probes) <= matrix.budget):
        study, measurements = see((*cells, *probes), probes, bound)
    return Sequenced(study=study, measurements=measurements, looks=ledger.taken, stopped=stopped)


def require_budget(plan: Sequence[Cell], matrix: MatrixSettings, beside: ArmPlan = _NOTHING) -> None:
    """Raises UsageError for a budget below the first round of the matrix `plan` and the arms `beside` it."""
    most = _rounds(plan)
    rounds = most if matrix.full else min(matrix.replicates, most)
    alone, arms = len(first_round(plan, rounds)), len(first_round(beside.arms, rounds))
    if matrix.budget is None or matrix.budget >= alone + arms:
        return
    what = f"a budget of {matrix.budget} pictures is less than the first round, which is {alone + arms}."
    without = f", or `--arms none` with {alone} or more" if arms else ""
    raise UsageError(what, advice=f"Give it {alone + arms} or more{without}; fewer replicates or weights take less.")


def _asked_by_findings(beside: ArmPlan, measurements: Sequence[Measurement], judges: Judges) -> tuple[Cell, ...]:
    """The cells of the probes that tell apart the causes of what was found."""
    names = asked_probes(evaluate(judges.rules, measurements, judges.policy.weights)[0], judges.rules)
    return tuple(cell for name, cells in beside.probes.items() if name in names for cell in cells)


def _asked_next(
    plan: Sequence[Cell], arms: Sequence[Cell], rounds: int, study: Study, measurements: Sequence[Measurement],
    judges: Judges, lora: str,
) -> tuple[Cell, ...] | Stop:  # fmt: skip
    """The cells that would tell more after so many rounds, or why none would.

    A finding that is confirmed, but not by as much as an early look takes, is worth more pictures like a suspected one.
    Once the LoRA is held for something else, only a suspicion that all rounds would confirm is.
    """
    findings, not_evaluated = evaluate(judges.rules, [early(one) for one in measurements], judges.policy.weights)
    novel, policy, day = _novel(plan), judges.policy, today()
    verdict = decide(findings, not_evaluated, measurements, policy, novel=novel, today=day, lora=lora)
    suspected = worth_a_look(weigh(findings, policy, today=day, lora=lora), policy)
    if verdict.outcome == "HOLD":
        at_last = [foreseen(one, rounds, _rounds(plan)) for one in measurements]
        suspected = within_reach(suspected, evaluate(judges.rules, at_last, judges.policy.weights)[0])
    gap = next((m for m in measurements if m.name == "identity.gap" and not m.where), None)
    if is_decided(verdict, suspected, gap):
        return "no ruler" if gap is not None and gap.value is None else "decided"
    asked, still_open = asked_arms(suspected, judges.rules), open_environments(measurements, policy, novel)
    beside = next_of_arms(arms, rounds, asked - {""})
    told = [finding for finding in findings if finding.state != "suspected"]
    without = decide(told, not_evaluated, measurements, policy, novel=novel, today=day, lora=lora)
    if asked and "" not in asked and not still_open and without.outcome != "INCONCLUSIVE":
        return beside or "nothing left"  # the matrix itself has told all it can
    environments = () if "" in asked else still_open
    weights = deciding_weights((*study.ship_weights, *policy.weights), suspected, judges.rules)
    return *next_round(plan, rounds, environments, weights), *beside


class _Ledger:
    """The looks of a run, with the bound of each: those of earlier starts stand."""

    def __init__(self, run: RunFolder, alpha: float, schedule: Sequence[int]) -> None:
        stored = run.get_json(LOOKS) or {}
        past = stored.get("looks", ()) if stored.get("alpha") == alpha else ()  # else they were at another claim
        self._bounds = {int(rounds): float(bound) for rounds, bound in past}
        ahead = [rounds for rounds in schedule if rounds not in self._bounds]
        known = {int(rounds): float(bound) for rounds, bound in stored.get("ahead", ())} if past else {}
        if list(known) != ahead:
            taken = tuple(Look(rounds, bound) for rounds, bound in sorted(self._bounds.items()))
            known = dict.fromkeys(ahead, next_bound(alpha, taken, ahead))
        self._ahead, self._run, self._alpha, self.schedule = known, run, alpha, schedule
        self.taken: tuple[Look, ...] = ()

    def look(self, rounds: int) -> float:
        """The bound of the look after so many rounds, which is remembered."""
        if rounds in self._ahead:
            self._bounds[rounds] = self._ahead.pop(rounds)
        self.taken = (*self.taken, Look(rounds, self._bounds[rounds]))
        looks, ahead = ([[r, bound] for r, bound in sorted(each.items())] for each in (self._bounds, self._ahead))
        self._run.put_json(LOOKS, {"alpha": self._alpha, "looks": looks, "ahead": ahead})
        return self._bounds[rounds]


def _alpha(plan: Sequence[Cell], judges: Judges) -> float:
    """The error that a claim about one environment may have, so that the policy's claim about several keeps its own."""
    everywhere, novel = len({cell.environment for cell in plan}), len(_novel(plan))
    demands = (everywhere, judges.policy.environments), (novel, judges.policy.novel)
    return min(partial_conjunction_alpha(ALPHA, of, wanted) for of, wanted in demands)


def _rounds(plan: Sequence[Cell]) -> int:
    return max(cell.replicate for cell in plan) + 1


def _novel(plan: Sequence[Cell]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(cell.environment for cell in plan if not cell.trained))
