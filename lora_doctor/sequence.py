"""Rendering in rounds: after each, all that is known is judged, and no picture more is made once the verdict is clear.

Looking often is paid for: claims about environments take Pocock's bound for the looks that are planned (`looks`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from lora_doctor.arm_plan import ArmPlan
from lora_doctor.demands import claimed, demands, faces_open, open_environments
from lora_doctor.effects import level_of, weigh
from lora_doctor.errors import UsageError
from lora_doctor.judgement import Judges, today
from lora_doctor.looks import (
    ALPHA,
    EARLY,
    FAINT,
    LUCK,
    SAVED,
    Look,
    bound_of_end,
    early,
    foreseen,
    partial_conjunction_alpha,
    planned_bound,
    stretched,
)
from lora_doctor.measurement_book import Book
from lora_doctor.policy import Policy
from lora_doctor.rounds import (
    asked_arms,
    asked_probes,
    deciding_weights,
    first_round,
    is_decided,
    is_explained,
    may_explain,
    next_of_arms,
    next_round,
    within_reach,
    worth_a_look,
)
from lora_doctor.rules import evaluate
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import MatrixSettings
from lora_doctor.types import Cell, Finding, Measurement, NotEvaluated, Study, Verdict
from lora_doctor.verdict import decide

LOOKS = "looks"
"""Name of the document in a run folder that remembers the looks."""
See = Callable[[Sequence[Cell], Sequence[Cell], float], tuple[Study, tuple[Measurement, ...]]]
"""(all cells so far, the new ones among them, bound) -> what was rendered and read, and the measurements of it."""


Stop = Literal["decided", "budget", "all rounds", "no ruler", "nothing left", "out of reach"]
"""Why rendering ends: the verdict is clear; the budget, or all rounds, are used up; identity cannot be measured and no
picture mends that; what is open is in arms that are rendered to their end, or nothing that pictures settle; it is so
close to its limit that the rounds which are left would hardly settle it."""
PATIENCE = 3
"""Looks after which what is open, and has not changed, is taken for nothing that pictures settle or for out of reach: a
measurement that is missing at the first look may come with the next readings."""
STEP = 4
"""Rounds more that are tried at a time, to say with how many a verdict is in reach."""
FARTHEST = 5
"""How many times as many rounds are tried at most: more of them nobody renders."""
ENDLESS = 10**6
"""As many rounds as anybody may wish."""
_NOTHING = ArmPlan()


@dataclass(frozen=True, kw_only=True, slots=True)
class Sequenced:
    """A matrix that was rendered round by round, to its end."""

    study: Study
    measurements: tuple[Measurement, ...]
    looks: tuple[Look, ...]
    stopped: Stop
    """Why no more was rendered."""
    reach: int | None = None
    """Of what is out of reach: with how many rounds at most it would not be."""
    ends: int = 0
    """How often rendering ended before, as something else was asked for, and was gone on with."""


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
    ledger = _Ledger(run, _alpha(plan, judges), range(first, most + 1), _asked(plan, matrix))
    asker = _Asker(plan, beside.arms, judges, lora, ledger)
    for rounds in ledger.schedule:
        bound = ledger.look(rounds)
        study, measurements = see(cells, new, bound)
        more = asker.next(rounds, study, measurements)
        if isinstance(more, str):
            stopped = more
            break
        if rounds == most:
            break
        if matrix.budget is not None and len(cells) + len(more) > matrix.budget:
            stopped = "budget"
            break
        new, cells = more, (*cells, *more)
    if stopped not in ("decided", "no ruler"):
        ledger.end()
    probes = _asked_by_findings(beside, measurements, judges)
    if probes and (matrix.budget is None or len(cells) + len(probes) <= matrix.budget):
        study, measurements = see((*cells, *probes), probes, bound)
    return Sequenced(
        study=study, measurements=measurements, looks=ledger.taken, stopped=stopped, reach=asker.reach,
        ends=ledger.before,
    )  # fmt: skip


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


def never_judged(plan: Sequence[Cell], policy: Policy) -> Iterator[str]:
    """What the policy demands and the plan has not, a sentence each: such a check-up cannot end with SHIP."""
    weights, framings = ({getattr(cell, name) for cell in plan} for name in ("weight", "framing"))
    lacking = [f"weight {weight:g}" for weight in policy.weights if weight not in weights]
    lacking += [f"framing {framing}" for framing in policy.framings if framing not in framings]
    places, novel = {cell.environment for cell in plan}, _novel(plan)
    lacking += [f"{policy.environments} environments (it has {len(places)})"] * (len(places) < policy.environments)
    lacking += [f"{policy.novel} environments new to the dataset (it has {len(novel)})"] * (len(novel) < policy.novel)
    if lacking:
        yield (
            f"the policy {policy.name} wants what the matrix has not: {', '.join(lacking)}; the verdict can be HOLD or "
            "INCONCLUSIVE, not SHIP. Add it under [matrix], or use a policy that does not ask for it"
        )


def _asked_by_findings(beside: ArmPlan, measurements: Sequence[Measurement], judges: Judges) -> tuple[Cell, ...]:
    """The cells of the probes that tell apart the causes of what was found."""
    names = asked_probes(evaluate(judges.rules, measurements, judges.policy.weights)[0], judges.rules)
    return tuple(cell for name, cells in beside.probes.items() if name in names for cell in cells)


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    """What a look before the last makes of the numbers: nothing is certain there that is not clear by `looks.EARLY`."""

    measurements: tuple[Measurement, ...]
    judges: Judges
    novel: tuple[str, ...]
    lora: str
    ledger: _Ledger

    def judged(self, rounds: int, of: int) -> tuple[Sequence[Finding], Sequence[NotEvaluated], tuple[Finding, ...]]:
        """The findings, the rules that were not evaluated, and the suspicions that are worth more pictures.

        A finding that is confirmed, but not by as much as an early look takes, is worth them like a suspected one. Once
        the LoRA is held for something else, only a suspicion that all rounds would confirm is; one that they may
        confirm with some luck, a warning too, while no finding says why it is held.
        """
        rules, policy = self.judges.rules, self.judges.policy
        findings, not_evaluated = evaluate(rules, [early(one) for one in self.measurements], policy.weights)
        weighed = weigh(findings, policy, today=today(), lora=self.lora)
        if self.verdict(findings, not_evaluated).outcome != "HOLD":
            return findings, not_evaluated, worth_a_look(weighed)
        told = is_explained(weighed)
        at_last = [foreseen(one, rounds, of, 0.0 if told else LUCK) for one in self.measurements]
        asked = worth_a_look(weighed) if told else may_explain(weighed)
        return findings, not_evaluated, within_reach(asked, evaluate(rules, at_last, policy.weights)[0])

    def arms_worth_asking(self, arms: Sequence[Cell], rounds: int) -> frozenset[str]:
        """The arms that may settle, with some luck, a suspicion which would only warn: their few pictures are targeted.

        One that is confirmed now needs none.
        """
        rules, policy = self.judges.rules, self.judges.policy
        of = 0 if not arms else _rounds(arms)
        if rounds >= of:
            return frozenset()
        weighed = weigh(evaluate(rules, self.measurements, policy.weights)[0], policy, today=today(), lora=self.lora)
        at_last = [foreseen(one, rounds, of, LUCK) for one in self.measurements]
        reached = within_reach(may_explain(weighed), evaluate(rules, at_last, policy.weights)[0])
        return asked_arms(reached, rules) - {""}

    def verdict(self, findings: Sequence[Finding], not_evaluated: Sequence[NotEvaluated]) -> Verdict:
        """The verdict; HOLD and SHIP only where demands that are looked at as often fail or hold as clearly as findings
        must, whatever else they rest on.
        """
        at_once = self._decided(findings, not_evaluated, self.measurements)
        if at_once.outcome == "INCONCLUSIVE":
            return at_once
        return self._decided(findings, not_evaluated, self.measurements, EARLY)

    def _decided(
        self, findings: Sequence[Finding], not_evaluated: Sequence[NotEvaluated], measurements: Sequence[Measurement],
        bound: float | None = None, *, going_on: bool = False,
    ) -> Verdict:  # fmt: skip
        return decide(
            findings, not_evaluated, measurements, self.judges.policy, novel=self.novel, today=today(), lora=self.lora,
            ends=self.ledger.before + going_on, bound=bound,
        )  # fmt: skip

    def is_out_of_reach(self, rounds: int, of: int) -> bool:
        """Whether the rounds that are left would hardly decide what is open, and more pictures in the end would."""
        return rounds < of and self._is_open(rounds, of) and not self._is_open(rounds, ENDLESS, sides=(0,))

    def reach(self, rounds: int, of: int) -> int | None:
        """With how many rounds at most, going on after the `rounds` so far, the verdict is not out of reach any more.

        At the bounds that are left for that. None = not with `FARTHEST` times as many either.
        """
        farther = range(of + STEP, FARTHEST * of + 1, STEP)
        return next((most for most in farther if not self._is_open(rounds, most, going_on=True)), None)

    def _is_open(self, rounds: int, of: int, *, going_on: bool = False, sides: Sequence[int] = (0, 1, -1)) -> bool:
        """Whether the verdict would be open after all rounds too, if estimates had `FAINT` luck.

        Each to where it would help while it stays, or all moved up, or all down: what rests on an estimate, such as how
        severe a finding is, needs it moved. What no rule speaks of even then is farther from being confirmed than what
        is open is from being settled. `going_on`: rendering ends here, and is gone on with at the bounds that are left.
        """
        now = self.ledger.taken[-1].bound
        then = self.ledger.bound_if(rounds, of) if going_on else now

        def at_last(one: Measurement, side: int) -> Measurement:
            if "environment" not in one.where:
                return foreseen(one, rounds, of, FAINT, side=side)
            return foreseen(stretched(one, then / now), rounds, of, FAINT, then, side)

        for side in sides:
            all_then = [at_last(one, side) for one in self.measurements]
            found, not_evaluated = evaluate(self.judges.rules, all_then, self.judges.policy.weights)
            verdict = self._decided(found, not_evaluated, all_then, going_on=going_on)
            if verdict.outcome != "INCONCLUSIVE":
                return False
        return True

    def beyond_pictures(
        self, findings: Sequence[Finding], not_evaluated: Sequence[NotEvaluated]
    ) -> frozenset[int | str] | None:
        """What is open and no picture settles; None = something is open that pictures may settle.

        Demands, by their place in the policy's order, and the rules that were not evaluated. A HOLD or SHIP that is not
        firm yet is something that they settle.
        """
        if self._decided(findings, not_evaluated, self.measurements).outcome != "INCONCLUSIVE":
            return None
        policy, ends = self.judges.policy, self.ledger.before
        book = Book(claimed(one, bound_of_end(ends), ends) for one in self.measurements)
        checks = enumerate(demands(book, policy, self.novel, ends))
        still = [(place, check) for place, check in checks if check.state == "open"]
        if any(check.by_pictures for _, check in still):
            return None
        unjudged = (one.rule for one in not_evaluated if level_of(one, policy) == "fail")
        return frozenset((*(place for place, _ in still), *unjudged))


class _Asker:
    """Says after each look which cells would tell more, and remembers what no picture could settle at the last ones."""

    def __init__(self, plan: Sequence[Cell], arms: Sequence[Cell], judges: Judges, lora: str, ledger: _Ledger) -> None:
        self._plan, self._arms, self._judges, self._lora, self._ledger = plan, arms, judges, lora, ledger
        self._stuck: list[frozenset[int | str] | None] = []
        self.reach: int | None = None
        """Of what is out of reach now: with how many rounds at most it would not be."""

    def next(self, rounds: int, study: Study, measurements: tuple[Measurement, ...]) -> tuple[Cell, ...] | Stop:
        """The cells that would tell more after so many rounds, or why none would."""
        policy, rules, novel = self._judges.policy, self._judges.rules, _novel(self._plan)
        view = _View(measurements=measurements, judges=self._judges, novel=novel, lora=self._lora, ledger=self._ledger)
        findings, not_evaluated, suspected = view.judged(rounds, _rounds(self._plan))
        gap = next((m for m in measurements if m.name == "identity.gap" and not m.where), None)
        along = view.arms_worth_asking(self._arms, rounds)
        if is_decided(view.verdict(findings, not_evaluated), suspected, gap):
            without = gap is not None and gap.value is None
            return "no ruler" if without else next_of_arms(self._arms, rounds, along) or "decided"
        self._stuck.append(None if suspected else view.beyond_pictures(findings, not_evaluated))
        if len(self._stuck) >= PATIENCE and self._stuck[-1] is not None and len(set(self._stuck[-PATIENCE:])) == 1:
            return "nothing left"
        of, asks = _rounds(self._plan), not suspected and self._stuck[-1] is None
        out_of_reach = asks and len(self._stuck) >= PATIENCE and view.is_out_of_reach(rounds, of)
        self.reach = view.reach(rounds, of) if out_of_reach or (asks and rounds == of) else None
        if out_of_reach:
            return next_of_arms(self._arms, rounds, along) or "out of reach"
        asked, still_open = asked_arms(suspected, rules), open_environments(measurements, policy, novel)
        beside = next_of_arms(self._arms, rounds, asked - {""})
        with_warnings = next_of_arms(self._arms, rounds, asked - {""} | along)
        told = [finding for finding in findings if finding.state != "suspected"]
        if asked and "" not in asked and not still_open and view.verdict(told, not_evaluated).outcome != "INCONCLUSIVE":
            return with_warnings if beside else "nothing left"  # the matrix itself has told all it can
        everywhere = "" in asked or faces_open(measurements, policy, novel, self._ledger.before)
        environments = () if everywhere else still_open
        weights = deciding_weights((*study.ship_weights, *policy.weights), suspected, rules)
        return *next_round(self._plan, rounds, environments, weights), *with_warnings


class _Ledger:
    """The looks of a run, with the bound of each, and what was asked for when it ended: those of earlier starts stand.

    Claims of policies that share their error otherwise among places (`alpha`) have looks of their own.
    """

    def __init__(self, run: RunFolder, alpha: float, schedule: Sequence[int], asked: str) -> None:
        stored = run.get_json(LOOKS) or {}
        # Of other plans, which left nothing to go on with, nothing is of use.
        self._claims = dict(stored.get("claims", {})) if stored.get("saved") == SAVED else {}
        own = self._claims.get(_named(alpha), {})
        self._asked, self._ended = asked, tuple(str(one) for one in stored.get("ended", ()))
        self.before = self._ended.index(asked) if asked in self._ended else len(self._ended)
        """How often rendering ended before with a verdict to go on from, as something else was asked for: whatever it
        is, as many looks were had."""
        past = own.get("looks", ())
        self._bounds = {int(rounds): float(bound) for rounds, bound in past}
        ahead = [rounds for rounds in schedule if rounds not in self._bounds]
        known = {int(rounds): float(bound) for rounds, bound in own.get("ahead", ())} if past else {}
        if list(known) != ahead:
            taken = tuple(Look(rounds, bound) for rounds, bound in sorted(self._bounds.items()))
            known = dict.fromkeys(ahead, planned_bound(alpha, taken, ahead))
        self._ahead, self._run, self._alpha, self.schedule = known, run, alpha, schedule
        self.taken: tuple[Look, ...] = ()

    def look(self, rounds: int) -> float:
        """The bound of the look after so many rounds, which is remembered."""
        if rounds in self._ahead:
            self._bounds[rounds] = self._ahead.pop(rounds)
        self.taken = (*self.taken, Look(rounds, self._bounds[rounds]))
        self._remember()
        return self._bounds[rounds]

    def end(self) -> None:
        """Remember that rendering ended with a verdict that can be gone on from."""
        self._ended = tuple(dict.fromkeys((*self._ended, self._asked)))
        self._remember()

    def bound_if(self, rounds: int, most: int) -> float:
        """The bound of every further look if, after so many rounds, it is gone on to `most`."""
        return planned_bound(self._alpha, self.taken, range(rounds + 1, most + 1))

    def _remember(self) -> None:
        looks, ahead = ([[r, bound] for r, bound in sorted(each.items())] for each in (self._bounds, self._ahead))
        self._claims[_named(self._alpha)] = {"looks": looks, "ahead": ahead}
        self._run.put_json(LOOKS, {"saved": SAVED, "claims": self._claims, "ended": list(self._ended)})


def _named(alpha: float) -> str:
    """The error of a claim, as the looks that it pays for are filed under."""
    return f"{alpha:.6f}"


def _asked(plan: Sequence[Cell], matrix: MatrixSettings) -> str:
    """A digest of what is asked for: the cells, the budget, and how many are rendered before the first look."""
    cells = sorted(f"{cell.key} {cell.seed} {cell.prompt}" for cell in plan)
    return sha256("\n".join([*cells, f"{matrix.budget} {matrix.full} {matrix.replicates}"]).encode()).hexdigest()[:16]


def _alpha(plan: Sequence[Cell], judges: Judges) -> float:
    """The error that a claim about one environment may have, so that the policy's claim about several keeps its own."""
    everywhere, novel = len({cell.environment for cell in plan}), len(_novel(plan))
    demands = (everywhere, judges.policy.environments), (novel, judges.policy.novel)
    return min(partial_conjunction_alpha(ALPHA, of, wanted) for of, wanted in demands)


def _rounds(plan: Sequence[Cell]) -> int:
    return max(cell.replicate for cell in plan) + 1


def _novel(plan: Sequence[Cell]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(cell.environment for cell in plan if not cell.trained))
