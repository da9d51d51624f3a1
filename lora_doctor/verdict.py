"""Findings, measurements and a policy -> SHIP, HOLD or INCONCLUSIVE. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from types import MappingProxyType

from lora_doctor.demands import below_warning, claimed, demands
from lora_doctor.effects import idle_waivers, level_of, rule_of, weigh
from lora_doctor.looks import bound_of_end
from lora_doctor.measurement_book import Book
from lora_doctor.policy import Policy
from lora_doctor.types import Finding, Measurement, NotEvaluated, Verdict
from lora_doctor.verdict_words import (
    aside,
    gone_on_with,
    ignored_rules,
    leading_sentence,
    limits_of,
    not_tested,
    ship_sentence,
    texts_of,
    unjudged_text,
    waived_text,
)

SEVERITIES = ("blocker", "warning", "note")


def decide(
    findings: Sequence[Finding],
    not_evaluated: Sequence[NotEvaluated],
    measurements: Sequence[Measurement],
    policy: Policy,
    *,
    novel: Collection[str] = (),
    today: date | None = None,
    lora: str = "",
    failing_at: Mapping[float, Sequence[str]] = MappingProxyType({}),
    noted: Sequence[str] = (),
    ends: int = 0,
    bound: float | None = None,
) -> Verdict:
    """The verdict.

    `novel` names the environments the dataset does not show; `today` (UTC, None = no waiver applies) and `lora` (its
    SHA-256) say which waivers apply; `failing_at` (weight -> rules) where symptoms end the working range, which is only
    told; `noted` are warnings from before any render; `ends` is how often rendering ended before, which says by how
    many standard errors claims about the whole matrix must be clear (`looks.bound_of_end`; `bound` = by these instead).

    HOLD: a finding that holds is confirmed, or a demand is proven to fail. SHIP: every demand holds, and every rule
    whose finding could hold was evaluated or is optional. Else
    INCONCLUSIVE. Demands cannot be waived. Nothing that is taken away (a measurement, a finding for a rule that is not
    evaluated, certainty for a wider interval) makes a SHIP out of another outcome, or takes the warnings from one.
    """
    bound = bound_of_end(ends) if bound is None else bound
    book = Book(claimed(measurement, bound, ends) for measurement in measurements)
    weighed = sorted(weigh(findings, policy, today=today, lora=lora), key=_pressing)
    checks = demands(book, policy, novel, ends)
    unjudged = [n for n in not_evaluated if policy.rules.get(rule_of(n)) != "ignore"]
    failing = [n for n in unjudged if level_of(n, policy) == "fail" and rule_of(n) not in policy.optional_rules]
    needed = [unjudged_text(n, findings) for n in failing]
    against = texts_of(weighed, "holds") + [c.text for c in checks if c.state == "fails"]
    undecided = [c.text for c in checks if c.state == "open"] + texts_of(weighed, "leaves open") + needed
    optional = [unjudged_text(n, findings) for n in unjudged if n not in failing and level_of(n, policy) is not None]
    idle = tuple(idle_waivers(findings, policy, today=today, lora=lora))
    warnings = (*noted, *texts_of(weighed, "warns"), *below_warning(book, policy, novel), *optional, *idle)
    limits = (
        *limits_of(book, policy, novel, failing_at),
        *gone_on_with(bound),
        *not_tested(book, policy),
        *ignored_rules(weighed, not_evaluated, policy),
    )
    waived = tuple(waived_text(f) for f in weighed if f.effect == "waived")
    if against:
        verdict = Verdict(
            outcome="HOLD", sentence=leading_sentence(against, undecided), reasons=(*against, *undecided),
            proven=len(against),
        )  # fmt: skip
    elif undecided:
        verdict = Verdict(outcome="INCONCLUSIVE", sentence=leading_sentence(undecided), reasons=tuple(undecided))
    else:
        sentence = ship_sentence(book, policy, novel) + aside(waived, warnings)
        verdict = Verdict(outcome="SHIP", sentence=sentence, reasons=tuple(c.text for c in checks))
    return replace(verdict, limits=limits, warnings=warnings, waived=waived)


def _pressing(finding: Finding) -> tuple[int, bool, float, str]:
    """Sort key: severe, then explained, then strong."""
    return SEVERITIES.index(finding.severity), not finding.explained, -finding.strength, finding.rule
