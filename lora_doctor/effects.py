"""What a policy makes of each finding: hold, leave open, warn, tell, ignore, waive. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date

from lora_doctor.policy import Level, Policy
from lora_doctor.types import Effect, Finding, NotEvaluated, Waiver


def weigh(findings: Sequence[Finding], policy: Policy, *, today: date | None, lora: str = "") -> tuple[Finding, ...]:
    """The findings in the same order, each with its `effect` and the waiver that applies to it.

    `today` is the day (UTC) that waivers are held against, None = none applies; `lora` the SHA-256 of the LoRA.
    Nothing here gets milder when evidence is taken away: levels and waivers look at names alone, and what is
    borne at `Finding.worst`.
    """
    return tuple(_weighed(finding, policy, today, lora) for finding in findings)


def _weighed(finding: Finding, policy: Policy, today: date | None, lora: str) -> Finding:
    level = level_of(finding, policy)
    if level == "ignore":
        return replace(finding, effect="ignored", waiver=None)
    applying = (w for w in policy.waivers if applies(w, today, lora) and covers(w, finding))
    if (waiver := next(applying, None)) is not None:
        return replace(finding, effect="waived", waiver=waiver)
    effect: Effect = "told" if level is None else "warns"
    if level == "fail" and finding.rule not in policy.optional_rules and not _borne(finding, policy):
        effect = "holds" if finding.state == "confirmed" else "leaves open"
    return replace(finding, effect=effect, waiver=None)


def level_of(one: Finding | NotEvaluated, policy: Policy) -> Level | None:
    """The level that the policy gives the rule, or else its severity has; None = it is told, and does nothing."""
    rule = rule_of(one) if isinstance(one, NotEvaluated) else one.rule
    if (level := policy.rules.get(rule)) is not None:
        return level
    if one.severity in policy.hold:
        return "fail"
    return None if one.severity == "note" else "warn"


def _borne(finding: Finding, policy: Policy) -> bool:
    return finding.worst is not None and finding.worst < policy.bears


def applies(waiver: Waiver, today: date | None, lora: str) -> bool:
    """Whether a waiver is in force today, for this LoRA."""
    return today is not None and today.isoformat() <= waiver.expires and lora.startswith(waiver.lora)


def covers(waiver: Waiver, finding: Finding) -> bool:
    """Whether a waiver means this finding."""
    return waiver.rule == finding.rule and all(finding.about.get(k) == v for k, v in waiver.where.items())


def idle_waivers(findings: Sequence[Finding], policy: Policy, *, today: date | None, lora: str) -> Iterator[str]:
    """A sentence for each waiver that expired, or that no finding of this LoRA needs."""
    for waiver in policy.waivers:
        if not lora.startswith(waiver.lora):
            yield f"the waiver of {waiver.rule} is for another LoRA ({waiver.lora})"
        elif not applies(waiver, today, lora):
            yield f"the waiver of {waiver.rule} expired after {waiver.expires} and does not apply"
        elif not any(covers(waiver, finding) for finding in findings):
            where = " ".join(("", *waiver.where.values())) if waiver.where else ""
            yield f"the waiver of {waiver.rule}{where} matches no finding, and can go"
        elif policy.rules.get(waiver.rule) == "ignore":
            yield f"the waiver of {waiver.rule} does nothing: the policy ignores that rule"


def rule_of(unjudged: NotEvaluated) -> str:
    """The id of a rule that was not evaluated, without its slice."""
    return unjudged.rule.partition(" {")[0]


def in_part(unjudged: NotEvaluated, findings: Sequence[Finding]) -> bool:
    """Whether the rule has a finding nevertheless, for the same slice: then it was evaluated in part."""
    slices = {f.rule + _slice(f) for f in findings}
    return unjudged.rule in slices


def _slice(finding: Finding) -> str:
    about = ", ".join(f"{key}: {value}" for key, value in finding.about.items())
    return f" {{{about}}}" if about else ""
