"""Findings, measurements and a policy -> SHIP, HOLD or INCONCLUSIVE. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType
from typing import Literal

from lora_doctor.effects import idle_waivers, level_of, rule_of, weigh
from lora_doctor.policy import WARN, WARN_KEYS, Claim, Policy
from lora_doctor.types import FRAMINGS, Finding, Measurement, NotEvaluated, Verdict

SEVERITIES = ("blocker", "warning", "note")


@dataclass(frozen=True, slots=True)
class _Check:
    """One demand of the policy: it holds, is proven to fail, or is open."""

    state: Literal["holds", "fails", "open"]
    text: str


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
) -> Verdict:
    """The verdict.

    `novel` names the environments the dataset does not show; `today` (UTC, None = no waiver applies) and `lora` (its
    SHA-256) say which waivers apply; `failing_at` (weight -> rules) where symptoms end the working range, which is only
    told. HOLD: a finding that holds is confirmed, or a demand is proven to fail. SHIP: every demand holds, and every
    rule whose finding could hold was evaluated or is optional. Else INCONCLUSIVE. Demands cannot be waived. Nothing
    that is taken away (a measurement, a finding for a rule that is not evaluated, certainty for a wider interval) makes
    a SHIP out of another outcome, or takes the warnings from one.
    """
    book = _Book(measurements)
    weighed = sorted(weigh(findings, policy, today=today, lora=lora), key=_pressing)
    checks = _demands(book, policy, novel)
    unjudged = [n for n in not_evaluated if policy.rules.get(rule_of(n)) != "ignore"]
    failing = [n for n in unjudged if level_of(n, policy) == "fail" and rule_of(n) not in policy.optional_rules]
    needed = [_unjudged_text(n) for n in failing]
    against = _of(weighed, "holds") + [c.text for c in checks if c.state == "fails"]
    undecided = [c.text for c in checks if c.state == "open"] + _of(weighed, "leaves open") + needed
    optional = [_unjudged_text(n) for n in unjudged if n not in failing and level_of(n, policy) is not None]
    idle = tuple(idle_waivers(findings, policy, today=today, lora=lora))
    warnings = (*_of(weighed, "warns"), *_below_warning(book, policy, novel), *optional, *idle)
    limits = (
        *_limits(book, policy, novel, failing_at),
        *_not_tested(book, policy),
        *_ignored(weighed, not_evaluated, policy),
    )
    waived = tuple(_waived_text(f) for f in weighed if f.effect == "waived")
    if against:
        verdict = Verdict(outcome="HOLD", sentence=_sentence(against), reasons=(*against, *undecided))
    elif undecided:
        verdict = Verdict(outcome="INCONCLUSIVE", sentence=_sentence(undecided), reasons=tuple(undecided))
    else:
        sentence = _ship_sentence(book, policy, novel) + _aside(waived, warnings)
        verdict = Verdict(outcome="SHIP", sentence=sentence, reasons=tuple(c.text for c in checks))
    return replace(verdict, limits=limits, warnings=warnings, waived=waived)


def _demands(book: _Book, policy: Policy, novel: Collection[str]) -> list[_Check]:
    """Every demand of the policy on a number."""
    gap = _gap(book, policy)
    return [gap, *_identity(book, policy, gap, novel), *_faces(book, policy)]


def _below_warning(book: _Book, policy: Policy, novel: Collection[str]) -> list[str]:
    """What meets the policy's demands and not its warning levels: the same demands, with those in their place.

    One key at a time, so that one number that is low does not drag in the others.
    """
    demands = _demands(book, policy, novel)
    if demands[0].state != "holds":
        return []
    texts: list[str] = []
    for key in WARN_KEYS:
        if (level := getattr(policy, key)) is None:
            continue
        stricter = replace(policy, **{key.removeprefix(WARN): level})
        # An open gap opens every claim on identity; here it is a warning of its own.
        checks = [_gap(book, stricter)] if key == "warn_gap_at_least" else _demands(book, stricter, novel)
        pairs = zip(demands, checks, strict=False)
        below = [warned.text for met, warned in pairs if met.state == "holds" and warned.state != "holds"]
        texts += [f"short of {key} = {level:g}: {text}" for text in below]
    return texts


def open_environments(
    measurements: Sequence[Measurement], policy: Policy, novel: Collection[str] = ()
) -> tuple[str, ...]:
    """The environments whose claim is neither proven nor disproven; none where the demands on them are settled."""
    scores = _Book(measurements).environments()
    fresh = {name: m for name, m in scores.items() if name in novel}
    demands = (scores, policy.environments), (fresh, policy.novel)
    unsettled = [table for table, wanted in demands if _environments(table, policy, wanted, "").state == "open"]
    limit, claim = policy.identity_at_least, policy.environment_claim
    names = dict.fromkeys(name for table in unsettled for name in table)
    return tuple(name for name in names if _claim(scores[name], name, limit, claim).state == "open")


# ---------------------------------------------------------------- demands


class _Book:
    """Measurements by name and slice."""

    def __init__(self, measurements: Iterable[Measurement]) -> None:
        self._by_slot = {(m.name, tuple(sorted(m.where.items()))): m for m in measurements}

    def get(self, name: str, **where: str) -> Measurement | None:
        """The measurement of exactly this slice."""
        return self._by_slot.get((name, tuple(sorted(where.items()))))

    def environments(self, weight: str = "ship") -> dict[str, Measurement]:
        """Environment -> identity score at a weight, or over the ship weights."""
        keys = {"weight", "environment"}
        scores = [m for m in self._by_slot.values() if m.name == "identity.score" and set(m.where) == keys]
        return {m.where["environment"]: m for m in scores if m.where["weight"] == weight}

    def weights(self) -> dict[float, Measurement]:
        """Weight -> identity score there, ascending; weight 0 is the base model and is left out."""
        scores = [m for m in self._by_slot.values() if m.name == "identity.score" and set(m.where) == {"weight"}]
        known = {float(m.where["weight"]): m for m in scores if m.where["weight"].replace(".", "", 1).isdigit()}
        return {weight: known[weight] for weight in sorted(known) if weight > 0}

    def strongest(self) -> float:
        """The highest weight that anything was measured at, by an arm for one; 0 where nothing was."""
        named = (m.where["weight"] for m in self._by_slot.values() if "weight" in m.where and m.value is not None)
        return max((float(w) for w in named if w.replace(".", "", 1).isdigit()), default=0.0)


def _gap(book: _Book, policy: Policy) -> _Check:
    """Whether identity can be measured: the gap is large enough, and its interval clear of zero."""
    gap = book.get("identity.gap")
    if gap is None or gap.value is None or gap.interval is None:
        reason = gap.reason if gap is not None and gap.reason else "the gap between floor and ceiling is not known"
        return _Check("open", f"identity cannot be measured: {reason}")
    if gap.value >= policy.gap_at_least and gap.interval[0] > 0:
        return _Check("holds", f"identity can be measured: floor and ceiling are {_number(gap)} apart")
    wanted = f"{policy.gap_at_least:.2f} is wanted, with an interval above 0"
    return _Check("open", f"identity cannot be measured: floor and ceiling are {_number(gap)} apart, {wanted}")


def _identity(book: _Book, policy: Policy, gap: _Check, novel: Collection[str]) -> list[_Check]:
    """Identity over the ship weights, by weight, framing and environment; proves nothing while the gap is open."""
    limit = policy.identity_at_least
    checks = [
        _claim(
            book.get("identity.score", weight="ship"), "identity over the ship weights", limit, policy.identity_claim
        )
    ]
    for weight in policy.weights:
        score = book.get("identity.score", weight=f"{weight:g}")
        checks.append(_claim(score, f"identity at weight {weight:g}", limit, policy.weight_claim))
    checks += _framings(book, policy)
    scores = book.environments()
    checks.append(_environments(scores, policy, policy.environments, "environments"))
    fresh = {name: m for name, m in scores.items() if name in novel}
    checks.append(_environments(fresh, policy, policy.novel, "environments new to the dataset"))
    checks += _lost_at_a_weight(book, policy, novel)
    if gap.state == "holds":
        return checks
    return [_Check("open", check.text) for check in checks if check.state != "holds"]


def _lost_at_a_weight(book: _Book, policy: Policy, novel: Collection[str]) -> Iterator[_Check]:
    """The weights at which too many environments are proven below the limit, whatever their mean with other weights."""
    for weight in policy.weights:
        scores, what = book.environments(f"{weight:g}"), f"at weight {weight:g}"
        fresh = {name: m for name, m in scores.items() if name in novel}
        demands = (
            (scores, policy.environments, "environments"),
            (fresh, policy.novel, "environments new to the dataset"),
        )
        checks = (_environments(table, policy, wanted, f"{kind} {what}") for table, wanted, kind in demands)
        yield from (check for check in checks if check.state == "fails")


def _framings(book: _Book, policy: Policy) -> Iterator[_Check]:
    """The framings of the policy in which identity is not known: the scores over all framings leave them out."""
    for framing in policy.framings:
        score = book.get("identity.score", weight="ship", framing=framing)
        if score is None or score.value is None:
            reason = score.reason if score is not None and score.reason else "not measured"
            advice = "the verdict can leave it out by the policy's `framings`"
            yield _Check("open", f"identity in {framing}: {reason}; {advice}")


def _faces(book: _Book, policy: Policy) -> list[_Check]:
    """Renders without a face, in each framing that must show one."""
    shares = [(f, book.get("identity.no_face", weight="ship", framing=f)) for f in policy.framings]
    names = {f: f"share of {f} renders without a face" for f in policy.framings}
    return [_claim(m, names[f], policy.no_face_at_most, policy.no_face_claim, most=True) for f, m in shares]


def _claim(measurement: Measurement | None, what: str, limit: float, claim: Claim, *, most: bool = False) -> _Check:
    """One number against its limit (a least one, or with `most` a largest one)."""
    if measurement is None or measurement.value is None:
        reason = measurement.reason if measurement is not None and measurement.reason else "not measured"
        return _Check("open", f"{what}: {reason}")
    sign = -1.0 if most else 1.0
    point, bound = sign * measurement.value, sign * limit
    ends = None if measurement.interval is None else tuple(sorted(sign * end for end in measurement.interval))
    wanted = f"{what} is {_number(measurement)}, {'at most' if most else 'at least'} {limit:.2f} is wanted"
    if ends is not None and ends[1] < bound and point < bound:
        return _Check("fails", wanted)
    worst = min((sign * end for end in measurement.reach or ()), default=point)
    if claim == "point" and point >= bound > worst:
        return _Check("open", f"{wanted}, and with the pictures that are missing it could be {sign * worst:.2f}")
    if claim == "point" and point >= bound:
        return _Check("holds", f"{wanted} (the policy takes the point estimate)")
    if claim == "interval" and ends is None:
        return _Check("open", f"{wanted}, and it has no interval: {measurement.reason or 'no reason given'}")
    if claim == "interval" and point >= bound and ends is not None and ends[0] >= bound:
        return _Check("holds", wanted)
    return _Check("open", f"{wanted}: too close to call")


def _environments(scores: Mapping[str, Measurement], policy: Policy, wanted: int, what: str) -> _Check:
    """Whether identity holds in `wanted` of them; proven to fail when too few are left that are not proven below."""
    states = {n: _claim(m, n, policy.identity_at_least, policy.environment_claim).state for n, m in scores.items()}
    holding = [n for n, state in states.items() if state == "holds"]
    failing = [n for n, state in states.items() if state == "fails"]
    values = ", ".join(f"{n} {_number(scores[n])}" for n in sorted(scores)) or "none measured"
    text = f"identity holds in {len(holding)} of {len(scores)} {what}, {wanted} are wanted ({values})"
    if len(holding) >= wanted:
        return _Check("holds", text)
    if len(scores) >= wanted > len(scores) - len(failing):
        return _Check("fails", text)
    left = {n: scores[n] for n, state in states.items() if state == "open"}
    lacking = wanted - len(holding), len(scores) - wanted + 1 - len(failing)
    units = units_to_decide(left, policy.identity_at_least, *lacking)
    if units is None:
        return _Check("open", text)
    pictures = units * (len(policy.weights) + 1)
    return _Check("open", f"{text}; about {pictures} more pictures would decide it, if the values stay where they are")


def units_to_decide(open_ones: Mapping[str, Measurement], limit: float, holding: int, failing: int) -> int | None:
    """How many units more prove the cheaper of two things; None where neither can be hoped for.

    That `holding` of the open environments are at least at the limit, or that `failing` of them are below it, all
    values staying where they are. An interval's half-width shrinks with the root of its units.
    """
    above = [need for m in open_ones.values() if (need := _units_needed(m, limit, 1)) is not None]
    below = [need for m in open_ones.values() if (need := _units_needed(m, limit, -1)) is not None]
    ways = (above, holding), (below, failing)
    sums = [sum(sorted(needs)[:count]) for needs, count in ways if 0 < count <= len(needs)]
    return min(sums, default=None)


def _units_needed(m: Measurement, limit: float, side: int) -> int | None:
    """Units beyond those there are until the end nearer the limit is on its `side` (1 = above); None if never."""
    if m.value is None or m.interval is None or side * (m.value - limit) <= 0:
        return None
    half = m.value - m.interval[0] if side > 0 else m.interval[1] - m.value
    return max(1, math.ceil(round(m.n * ((half / (m.value - limit)) ** 2 - 1), 6)))


# ---------------------------------------------------------------- words


def _number(measurement: Measurement) -> str:
    """`0.62 [0.50, 0.74]`."""
    value = "not measured" if measurement.value is None else f"{measurement.value:.2f}"
    return (
        value
        if measurement.interval is None
        else f"{value} [{measurement.interval[0]:.2f}, {measurement.interval[1]:.2f}]"
    )


def _pressing(finding: Finding) -> tuple[int, float, str]:
    """Sort key: severe, then strong."""
    return SEVERITIES.index(finding.severity), -finding.strength, finding.rule


def _of(findings: Iterable[Finding], effect: str) -> list[str]:
    return [_finding_text(finding) for finding in findings if finding.effect == effect]


def _finding_text(finding: Finding) -> str:
    """`The face ... (body-drift, confirmed: body.deficit 0.62 [0.50, 0.74])`."""
    lead = f": {finding.measurements[0].name} {_number(finding.measurements[0])}" if finding.measurements else ""
    return f"{finding.symptom.rstrip('.')} ({_named(finding)}, {finding.state}{lead})"


def _named(finding: Finding) -> str:
    return " ".join((finding.rule, *finding.about.values()))


def _waived_text(finding: Finding) -> str:
    """`body-drift (confirmed) until 2027-03-01: a portrait LoRA`."""
    waiver = finding.waiver
    return "" if waiver is None else f"{_named(finding)} ({finding.state}) until {waiver.expires}: {waiver.reason}"


def _unjudged_text(unjudged: NotEvaluated) -> str:
    return f"the rule {unjudged.rule} was not evaluated: {unjudged.reason}"


def _aside(waived: Sequence[str], warnings: Sequence[str]) -> str:
    """` With 1 warning and 2 waived findings.`"""
    counts = (("warning", len(warnings)), ("waived finding", len(waived)))
    parts = [f"{n} {what}{'s' if n > 1 else ''}" for what, n in counts if n]
    return f" With {' and '.join(parts)}." if parts else ""


def _sentence(reasons: Sequence[str]) -> str:
    more = f"; and {len(reasons) - 1} more reason{'s' if len(reasons) > 2 else ''}" if len(reasons) > 1 else ""
    return f"{reasons[0][:1].upper()}{reasons[0][1:]}{more}."


def _ship_sentence(book: _Book, policy: Policy, novel: Collection[str]) -> str:
    overall = book.get("identity.score", weight="ship")
    scores = book.environments()
    limit = policy.identity_at_least
    holding = [n for n, m in scores.items() if _claim(m, n, limit, policy.environment_claim).state == "holds"]
    weights = " and ".join(f"{weight:g}" for weight in policy.weights)
    number = "" if overall is None else f" at {_number(overall)} of 1 ({limit:.2f} is wanted)"
    fresh = sum(name in novel for name in holding)
    where = f"over the ship weights in {len(holding)} of {len(scores)} environments, {fresh} of them new to the dataset"
    return f"Identity holds{number}, at weight {weights}, and {where}."


_BY: dict[Claim, str] = {"point": "its point estimate alone", "interval": "its whole interval"}


def _limits(
    book: _Book, policy: Policy, novel: Collection[str], failing_at: Mapping[float, Sequence[str]]
) -> tuple[str, ...]:
    """What the verdict covers, and by which kind of claim."""
    names = sorted(book.environments())
    listed = ", ".join(f"{name} (new)" if name in novel else name for name in names) or "none"
    return (
        f"Weights: {', '.join(f'{weight:g}' for weight in policy.weights)}; each judged by {_BY[policy.weight_claim]}.",
        f"Framings: {', '.join(policy.framings)}.",
        f"Environments: {listed}; each judged by {_BY[policy.environment_claim]}.",
        f"Policy: {policy.name}{f', which extends {policy.extends}' if policy.extends else ''}.",
        _working_range(book, policy, failing_at),
        *_others(book),
    )


def _failures(failing_at: Mapping[float, Sequence[str]]) -> str:
    """`overbaked at 1, 1.2`."""
    weights: dict[str, list[str]] = {}
    for weight, rules in sorted(failing_at.items()):
        for rule in rules:
            weights.setdefault(rule, []).append(f"{weight:g}")
    return "; ".join(f"{rule} at {', '.join(at)}" for rule, at in weights.items())


def _others(book: _Book) -> Iterator[str]:
    """What the character does to prompts that do not call for it; told, not judged, but by rules that are asked to."""
    leak, bleed = book.get("leak.identity"), book.get("bleed.score")
    if leak is not None and leak.value is not None:
        yield f"Without the trigger: identity {_number(leak)} (0 = the base model's faces, 1 = the character's)."
    if bleed is not None and bleed.value is not None:
        match, base = book.get("control.match", kind="trait"), book.get("control.base_match", kind="trait")
        traits = ""
        if match is not None and base is not None and match.value is not None and base.value is not None:
            traits = f"; {match.value:.0%} of the traits asked for them come, {base.value:.0%} without the LoRA"
        yield f"Other people, asked for without the trigger: {_number(bleed)} of the way to the character{traits}."


def _working_range(book: _Book, policy: Policy, failing_at: Mapping[float, Sequence[str]]) -> str:
    """At which of the rendered weights identity holds, by the policy's claim on a weight, and nothing else fails."""
    scores = book.weights()
    if _gap(book, policy).state != "holds" or not scores:
        return "Working range: not known, identity cannot be measured."
    limit, claim = policy.identity_at_least, policy.weight_claim
    able = [w for w, m in scores.items() if _claim(m, "identity", limit, claim).state == "holds"]
    holding = [w for w in able if w not in failing_at]
    ends = f"; {_failures(failing_at)}" if failing_at else ""
    rendered = f"of {', '.join(f'{w:g}' for w in scores)} rendered{ends}"
    if not holding:
        return f"Working range: none; identity holds at no weight ({rendered})."
    between = [w for w in scores if holding[0] <= w <= holding[-1]]
    if between == holding and len(holding) > 1:
        return f"Working range: identity holds from weight {holding[0]:g} to {holding[-1]:g} ({rendered})."
    return f"Working range: identity holds at weight {', '.join(f'{w:g}' for w in holding)} alone ({rendered})."


def _not_tested(book: _Book, policy: Policy) -> tuple[str, ...]:
    """What a releaser may not conclude from this verdict."""
    weights = list(book.weights())
    beyond = [f"weights above {weights[-1]:g}"] if weights else ["any weight"]
    if weights and (strongest := book.strongest()) > weights[-1]:
        beyond = [f"weights above {weights[-1]:g} (looked at to {strongest:g} for damage alone)"]
    missing = [f for f in FRAMINGS if f not in policy.framings]
    framings = [f"{framing} (no face is demanded there)" for framing in missing]
    others = ["other environments", "other styles", "several characters in one picture", "other base models"]
    return (f"Not tested: {', '.join((*beyond, *framings, *others, 'other LoRAs in the same prompt'))}.",)


def _ignored(findings: Sequence[Finding], not_evaluated: Sequence[NotEvaluated], policy: Policy) -> tuple[str, ...]:
    """The rules that the policy ignores, each with what it would have said."""
    states = {f.rule: f.state for f in findings if f.effect == "ignored"}
    unjudged = {rule_of(n) for n in not_evaluated}
    ignored = [rule for rule, level in policy.rules.items() if level == "ignore"]
    told = [f"{r} ({'not evaluated' if r in unjudged else states.get(r, 'not seen')})" for r in ignored]
    return (f"Ignored by the policy: {', '.join(told)}.",) if told else ()
