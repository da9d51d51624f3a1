"""What is wrong, or will soon be, with a policy file: everything at once, each with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from lora_doctor.errors import UsageError
from lora_doctor.policy import LARGEST, Policy, ResolvedPolicy, contradictions, misfits, resolve_policy, unknown_rules
from lora_doctor.policy_file import FOLDER, WAIVERS, Key, read_layers
from lora_doctor.types import Rule

SOON = timedelta(days=30)
"""How long before its last day a waiver is pointed out: time enough to train again, or to argue anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Complaint:
    """One thing about a policy file."""

    at: str
    """`<path>:<line>`."""
    text: str
    refused: bool
    """Whether a check-up would refuse the policy for it; otherwise it works, and is pointed out."""


def lint_policy(
    folder: Path, choice: str, *, rules: Sequence[Rule], rendered: Sequence[float], today: date
) -> tuple[Complaint, ...]:
    """Everything there is to say about the policy of a choice (a preset of the rules folder `folder`, or a path).

    `rules` are those it may name, `rendered` the weights that a check-up renders by default, `today` the day that
    waivers are held against.
    """
    try:
        layers = read_layers(folder, choice)
    except UsageError as error:
        return (_refusal(error),)
    unfit = [Complaint(at=at, text=text, refused=True) for layer in layers for at, text in misfits(layer)]
    if unfit:
        return tuple(unfit)
    try:
        resolved = resolve_policy(folder, choice)
    except UsageError as error:
        return (_refusal(error),)
    refused = [*contradictions(resolved.policy), *unknown_rules(resolved.policy, [rule.id for rule in rules])]
    noted = [
        *_waivers(resolved, rules, today),
        *_weights(resolved, rendered),
        *_toothless(resolved, {rule.id: rule for rule in rules}, folder / FOLDER),
    ]
    told = [Complaint(at=resolved.at(*key), text=text, refused=True) for key, text in refused]
    return (*told, *(Complaint(at=resolved.at(*key), text=text, refused=False) for key, text in noted))


def _hollow(policy: Policy) -> Iterator[tuple[Key, str]]:
    """Demands that every LoRA meets."""
    if not policy.framings:
        yield ("framings",), "framings: empty, so that a LoRA may lose the face everywhere"
    if policy.environments < 1:
        yield ("environments",), f"environments: {policy.environments} is met by every LoRA"
    if policy.novel < 1:
        yield ("novel",), f"novel: {policy.novel}, so that what was learned by heart may pass for the character"
    for key in ("identity_at_least", "framing_identity_at_least", "gap_at_least", "picture_gap_at_least"):
        if (value := getattr(policy, key)) <= 0:
            yield (key,), f"{key}: {value:g} is met by what the base model draws without the LoRA"
    for key, what in LARGEST.items():
        if (value := getattr(policy, key)) >= 1:
            yield (key,), f"{key}: {value:g} bears that {what}"


def _refusal(error: UsageError) -> Complaint:
    text = f"{error.what.rstrip('.')}{f'. {error.advice}' if error.advice else ''}"
    return Complaint(at=str(error.path), text=text.rstrip("."), refused=True)


def _waivers(resolved: ResolvedPolicy, rules: Sequence[Rule], today: date) -> Iterator[tuple[Key, str]]:
    sliced = {rule.id for rule in rules if rule.each}
    for i, waiver in enumerate(resolved.policy.waivers):
        last = date.fromisoformat(waiver.expires)
        if last < today:
            yield (WAIVERS, i, "expires"), f"the waiver of {waiver.rule} expired after {waiver.expires}"
        elif last <= today + SOON:
            days = (last - today).days
            yield (WAIVERS, i, "expires"), f"the waiver of {waiver.rule} expires in {days} day{'s' * (days != 1)}"
        if waiver.where and waiver.rule not in sliced:
            told = f"{waiver.rule} is not judged by slice: a waiver with `where` matches nothing"
            yield (WAIVERS, i, "where"), told
        if resolved.policy.rules.get(waiver.rule) == "ignore":
            yield (WAIVERS, i, "rule"), f"the waiver of {waiver.rule} does nothing: [rules] ignores that rule"


def _weights(resolved: ResolvedPolicy, rendered: Sequence[float]) -> Iterator[tuple[Key, str]]:
    for weight in resolved.policy.weights:
        if weight not in rendered:
            listed = ", ".join(f"{each:g}" for each in rendered)
            told = f"weights: {weight:g} is not rendered by default ({listed}); without it in [matrix] nothing can ship"
            yield ("weights",), told
    if resolved.policy.weights == ():
        yield ("weights",), "weights: no weight has to hold by itself"


def _toothless(
    resolved: ResolvedPolicy, rules: Mapping[str, Rule], presets: Path
) -> Iterator[tuple[Key, str]]:  # fmt: skip
    """Settings under which nothing, or not what they seem to say, can hold a release; `presets` argue for their own."""
    policy = resolved.policy
    failing = [
        i for i, r in rules.items() if policy.rules.get(i, "fail" if r.severity in policy.hold else "") == "fail"
    ]
    if not [rule for rule in failing if rule not in policy.optional_rules]:
        yield ("hold",), "hold: no finding of any rule can hold a release"
    for rule, level in policy.rules.items():
        severity = rules[rule].severity if rule in rules else None
        if level == "ignore" and severity in policy.hold:
            yield ("rules", rule), f"rules.{rule}: would hold a release, and is ignored"
        own = resolved.origins["rules", rule][0].path.parent != presets
        if level == "warn" and severity in policy.hold and own:
            yield ("rules", rule), f"rules.{rule}: would hold a release, and only warns"
    yield from _hollow(policy)
    if policy.novel > policy.environments:
        told = f"novel: {policy.novel} is more than environments = {policy.environments}, which then demands nothing"
        yield ("novel",), told
