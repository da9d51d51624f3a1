"""Rules + measurements -> findings: symptoms with their causes ranked. Nothing here looks at an image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lora_doctor.fix_size import is_size, sized, sized_because
from lora_doctor.rule_conditions import (
    CONFIRMED,
    OPERATORS,
    SUSPECTED,
    Index,
    Outcome,
    asked,
    comparisons,
    judge_condition,
    named,
    slot,
)
from lora_doctor.types import (
    EACH,
    Cause,
    Condition,
    Finding,
    Fix,
    Measurement,
    NotEvaluated,
    RankedCause,
    Rule,
    Where,
)
from lora_doctor.wording import digits

# Evidence whose interval straddles its threshold is as likely on one side as on the other: it counts half.
HALF = 0.5
SEVERITIES = ("blocker", "warning", "note")
GUARDS = ("spec.", "environment.planned")
"""Measurements of what the character is meant to be, and of what the matrix has: they say whether a rule applies, and
are no evidence."""


def evaluate(
    rules: Sequence[Rule], measurements: Sequence[Measurement], weights: Sequence[float] = ()
) -> tuple[tuple[Finding, ...], tuple[NotEvaluated, ...]]:
    """Findings, most pressing first, and the rules that absent measurements left open.

    A rule with `by_weight` holds where it holds over the ship weights together or at any of `weights`, those of the
    policy: what burns at one of them is no less burnt for the other's sake.

    A rule that is suspected, and would be settled by a measurement that is absent, is in both. `Finding.cells` stays
    empty: which pictures show it is for whoever knows the matrix, from `Rule.shows`.
    """
    index = {slot(m.name, m.where): m for m in measurements}
    cases = [(one, about) for rule in rules for one, about in _instances(_at_any(rule, weights), measurements)]
    outcomes = [(rule, about, judge_condition(rule.when, index)) for rule, about in cases]
    findings = [_finding(rule, about, out, index) for rule, about, out in outcomes if out.low >= SUSPECTED]
    open_ones = [(rule, about, out) for rule, about, out in outcomes if out.undecided]
    unjudged = [
        NotEvaluated(rule=named(rule.id, about), reason="; ".join(out.missing), severity=rule.severity)
        for rule, about, out in open_ones
    ]
    return tuple(sorted(findings, key=_urgency)), tuple(unjudged)


def confirmed_at(
    rules: Sequence[Rule], measurements: Sequence[Measurement], top: float | None = None
) -> dict[float, tuple[str, ...]]:
    """Weight -> the rules that end the working range there.

    Those with `by_weight` where they are confirmed as they would be if it were a ship weight; those with `ends_range`
    at `top`, the highest ship weight (None = not known), or at the highest weight that was looked at for damage.
    """
    found: dict[float, tuple[str, ...]] = {}
    looked_at = [float(m.where["weight"]) for m in measurements if m.where.get("weight", "ship") != "ship"]
    beyond = max((weight for weight in looked_at if top is not None and weight > top), default=None)
    for rule in (one for one in rules if one.ends_range):
        end = top if rule.ends_range == "top" else beyond
        if end is not None and any(f.state == "confirmed" for f in evaluate([rule], measurements)[0]):
            found[end] = (*found.get(end, ()), rule.id)
    for rule in (one for one in rules if one.by_weight):
        names = {name for name, _ in asked(rule.when)}
        known = {m.where["weight"] for m in measurements if m.name in names and "weight" in m.where}
        for weight in sorted((w for w in known if w != "ship"), key=float):
            moved = replace(rule, when=_at_weight(rule.when, weight))
            if any(finding.state == "confirmed" for finding in evaluate([moved], measurements)[0]):
                found[float(weight)] = (*found.get(float(weight), ()), rule.id)
    return found


def _at_any(rule: Rule, weights: Sequence[float]) -> Rule:
    """The rule over the ship weights or at any of these."""
    if not rule.by_weight or not weights:
        return rule
    return replace(rule, when=Condition(any=(rule.when, *(_at_weight(rule.when, f"{each:g}") for each in weights))))


def _at_weight(condition: Condition, weight: str) -> Condition:
    where = {key: weight if key == "weight" and each == "ship" else each for key, each in condition.where.items()}
    moved = [
        tuple(_at_weight(one, weight) for one in parts) for parts in (condition.all, condition.any, condition.none)
    ]
    return replace(condition, where=where, all=moved[0], any=moved[1], none=moved[2])


def _instances(rule: Rule, measurements: Sequence[Measurement]) -> Iterator[tuple[Rule, Where]]:
    """The rule itself, or with `each` one rule for every value that what it asks for was measured at.

    Where nothing was measured at any value, the rule itself: it is then not evaluated, and listed as such.
    """
    names = {name for name, where in asked(rule.when) if EACH in where.values()}
    values = dict.fromkeys(m.where[rule.each] for m in measurements if rule.each in m.where and m.name in names)
    for value in values:
        yield _instance(rule, value), {rule.each: value}
    if not values:
        yield rule, {}


def _instance(rule: Rule, value: str) -> Rule:
    """The rule for one value of its `each`: in slices, in the texts (as `{<each>}`) and in the fixes."""

    def text(words: str) -> str:
        return words.replace(f"{{{rule.each}}}", value.replace("_", " "))

    def condition(one: Condition) -> Condition:
        where = {key: value if each == EACH else each for key, each in one.where.items()}
        return replace(
            one, where=where, all=tuple(map(condition, one.all)), any=tuple(map(condition, one.any)),
            none=tuple(map(condition, one.none)),
        )  # fmt: skip

    def filled(part: Mapping[str, Any]) -> Mapping[str, Any]:
        return {key: value if each == EACH else each for key, each in part.items()}

    def cause(one: Cause) -> Cause:
        evidence = tuple(replace(e, when=condition(e.when), says=text(e.says)) for e in one.evidence)
        fix = replace(
            one.fix, advice=text(one.fix.advice), dataset=filled(one.fix.dataset), captions=filled(one.fix.captions)
        )
        advise = tuple(replace(a, when=condition(a.when), says=text(a.says)) for a in one.advise)
        return replace(one, because=text(one.because), evidence=evidence, fix=fix, advise=advise)

    return replace(
        rule, symptom=text(rule.symptom), why=text(rule.why), when=condition(rule.when),
        causes=tuple(cause(one) for one in rule.causes),
    )  # fmt: skip


def with_sizes(cause: RankedCause, strength: float, index: Index) -> RankedCause:
    """The cause, whose fix has numbers for ranges, by how far the finding is beyond its threshold, and for `measured`.

    `strength`: of the finding it is a cause of. What was not measured stays `{measured: NAME}`.
    """
    change, sizes = dict[str, Mapping[str, Any]](), dict[str, str]()
    for name, ask in cause.fix.change.items():
        ((how, amount),) = ask.items()
        if is_size(amount):
            sizes[name], amount = sized_because(amount, strength), sized(amount, strength)
        elif isinstance(amount, Mapping) and (found := index.get(slot(amount.get("measured", ""), {}))) is not None:
            amount = amount if found.value is None else found.value
        change[name] = {how: amount}
    return replace(cause, fix=replace(cause.fix, change=change), sizes=sizes)


def failing_examples(rule: Rule) -> tuple[str, ...]:
    """The rule's own examples that come out otherwise: `fires` = confirmed, `quiet` = decided without a finding."""
    wrong = []
    for kind, examples in rule.examples.items():
        for i, example in enumerate(examples):
            findings, unjudged = evaluate([rule], example)
            state = findings[0].state if findings else "not evaluated" if unjudged else "quiet"
            if state != {"fires": "confirmed", "quiet": "quiet"}[kind]:
                wrong.append(f"{rule.id}: examples.{kind}[{i}] is {state}")
    return tuple(wrong)


# ---------------------------------------------------------------- findings


def _finding(rule: Rule, about: Where, outcome: Outcome, index: Index) -> Finding:
    seen = tuple(m for m in outcome.seen if not m.name.startswith(GUARDS))
    ranked = (with_sizes(_rank(cause, index), outcome.strength, index) for cause in rule.causes)
    causes = sorted(ranked, key=lambda cause: -cause.log_odds)
    return Finding(
        rule=rule.id,
        symptom=rule.symptom,
        why=rule.why,
        state="confirmed" if outcome.low == CONFIRMED else "suspected",
        severity=rule.severity,
        strength=outcome.strength,
        worst=outcome.worst,
        measurements=seen,
        limits=tuple(_limit(rule.when, m) for m in seen),
        causes=tuple(causes),
        close=sum(causes[0].log_odds - cause.log_odds < rule.clear for cause in causes[1:]) + 1 if causes else 1,
        references=rule.references,
        about=about,
        predicts=rule.predicts if _predicts(rule, about) else (),
    )


def _limit(condition: Condition, m: Measurement) -> Mapping[str, float]:
    """The comparison in the condition that the measurement makes hold; empty where it holds by its absence."""
    for leaf in comparisons(condition):
        if (
            slot(leaf.measurement or "", leaf.where) == slot(m.name, m.where)
            and judge_condition(leaf, {slot(m.name, m.where): m}).low > 0
        ):
            return {how: float(number) for how in OPERATORS if (number := getattr(leaf, how)) is not None}
    return {}


def _predicts(rule: Rule, about: Where) -> bool:
    """Whether the rule's prediction is about the thing it was judged for: `hair_colour`, or a pair with it."""
    named = {part for value in about.values() for part in (value, *value.split(" x "))}
    return not rule.predicts_for or bool(named & set(rule.predicts_for))


def _rank(cause: Cause, index: Index) -> RankedCause:
    """Log-odds = prior + weights of the evidence that holds, half of it where that is only suspected."""
    log_odds, spoke = cause.prior, []
    unknown: dict[str, str] = {}
    for evidence in cause.evidence:
        outcome = judge_condition(evidence.when, index)
        if outcome.low >= SUSPECTED:
            share = evidence.weight * (1.0 if outcome.low == CONFIRMED else HALF)
            log_odds += share
            spoke.append((abs(share), _spoken(evidence.says, share, outcome)))
        elif outcome.high > 0:
            missing = "; ".join(outcome.missing)  # that it is so and that it is not so is one question
            unknown.setdefault(missing, f"{evidence.says or 'evidence'}? {missing}")
    spoke.sort(key=lambda pair: -pair[0])
    texts = tuple(text for _, text in spoke)
    return RankedCause(
        because=cause.because, fix=_advised(cause, index), log_odds=log_odds, evidence=texts,
        unknown=tuple(unknown.values()),
    )  # fmt: skip


def _advised(cause: Cause, index: Index) -> Fix:
    """The cause's fix with the advice that holds for what was measured."""
    held = [one.says for one in cause.advise if judge_condition(one.when, index).low >= SUSPECTED]
    return replace(cause.fix, advice=" ".join(filter(None, (cause.fix.advice, *held))))


def _spoken(says: str, share: float, outcome: Outcome) -> str:
    facts = ", ".join(
        f"{named(m.name, m.where)} {'absent' if m.value is None else digits(m.value)}" for m in outcome.seen
    )
    text = f"{says} ({facts})" if says and facts else says or facts
    return text if share > 0 else f"{text}: speaks against it"


def _urgency(finding: Finding) -> tuple[bool, int, bool, float, float, str]:
    """Sort key: confirmed, then severe, then explained, then strong; a tie goes to the surer cause.

    What no evidence explains is often what another finding does to other numbers, and would send the reader the wrong
    way: faces that are lost in wide framings lower the mean at every weight, and have nothing to do with weights.
    """
    odds = finding.causes[0].log_odds if finding.causes else -math.inf
    state, severity = finding.state != "confirmed", SEVERITIES.index(finding.severity)
    return state, severity, not finding.explained, -finding.strength, -odds, finding.rule
