"""A verdict in words: its leading sentence, what it covers, what it does not. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from statistics import NormalDist

from lora_doctor.demands import claim_check, gap_check
from lora_doctor.effects import in_part, rule_of
from lora_doctor.looks import ONE_END
from lora_doctor.measurement_book import Book, number_text
from lora_doctor.policy import Claim, Policy
from lora_doctor.types import FRAMINGS, Finding, Measurement, NotEvaluated


def texts_of(findings: Iterable[Finding], effect: str) -> list[str]:
    return [_finding_text(finding) for finding in findings if finding.effect == effect]


def _finding_text(finding: Finding) -> str:
    """`The face ... (body-drift, confirmed: body.deficit 0.62 [0.50, 0.74])`."""
    lead = f": {finding.measurements[0].name} {number_text(finding.measurements[0])}" if finding.measurements else ""
    return f"{finding.symptom.rstrip('.')} ({_named(finding)}, {finding.state}{lead})"


def _named(finding: Finding) -> str:
    return " ".join((finding.rule, *finding.about.values()))


def waived_text(finding: Finding) -> str:
    """`body-drift (confirmed) until 2027-03-01: a portrait LoRA`."""
    waiver = finding.waiver
    return "" if waiver is None else f"{_named(finding)} ({finding.state}) until {waiver.expires}: {waiver.reason}"


def unjudged_text(unjudged: NotEvaluated, findings: Sequence[Finding]) -> str:
    """What a rule could not be judged for; where it has a finding nevertheless, that it was so in part."""
    how = "evaluated in part alone" if in_part(unjudged, findings) else "not evaluated"
    return f"the rule {unjudged.rule} was {how}: {unjudged.reason}"


def aside(waived: Sequence[str], warnings: Sequence[str]) -> str:
    """` With 1 warning and 2 waived findings.`"""
    counts = (("warning", len(warnings)), ("waived finding", len(waived)))
    parts = [f"{n} {what}{'s' if n > 1 else ''}" for what, n in counts if n]
    return f" With {' and '.join(parts)}." if parts else ""


def leading_sentence(reasons: Sequence[str], undecided: Sequence[str] | None = None) -> str:
    """The first reason, and how many more there are; with `undecided` told apart from those that are proven."""
    others = len(reasons) - 1
    counts: tuple[tuple[int, str], ...] = ((others, f"more reason{'s' if others > 1 else ''}"),)
    if undecided is not None:
        counts = ((others, "more proven"), (len(undecided), "undecided"))
    more = ", ".join(f"{count} {what}" for count, what in counts if count)
    return f"{reasons[0][:1].upper()}{reasons[0][1:]}{f'; and {more}' if more else ''}."


def ship_sentence(book: Book, policy: Policy, novel: Collection[str]) -> str:
    overall = book.get("identity.score", weight="ship")
    scores = book.environments()
    limit = policy.identity_at_least
    holding = [n for n, m in scores.items() if claim_check(m, n, limit, policy.environment_claim).state == "holds"]
    weights = " and ".join(f"{weight:g}" for weight in policy.weights)
    number = "" if overall is None else f" at {number_text(overall)} of 1 ({limit:.2f} is wanted)"
    fresh = sum(name in novel for name in holding)
    where = f"over the ship weights in {len(holding)} of {len(scores)} environments, {fresh} of them new to the dataset"
    return f"Identity holds{number}, at weight {weights}, and {where}."


_BY: dict[Claim, str] = {"point": "its point estimate alone", "interval": "its whole interval"}


def limits_of(
    book: Book, policy: Policy, novel: Collection[str], failing_at: Mapping[float, Sequence[str]]
) -> tuple[str, ...]:
    """What was judged, and by which kind of claim; what the policy asks for and was not judged is told apart."""
    weights = {f"{w:g}": book.get("identity.score", weight=f"{w:g}") for w in policy.weights}
    framings = {f: book.get("identity.score", weight="ship", framing=f) for f in policy.framings}
    names = sorted(book.environments())
    listed = ", ".join(f"{name} (new)" if name in novel else name for name in names) or "none"
    return (
        f"Weights: {_judged(weights)}; each judged by {_BY[policy.weight_claim]}.",
        f"Framings: {_judged(framings)}.",
        f"Environments: {listed}; each judged by {_BY[policy.environment_claim]}.",
        f"Policy: {policy.name}{f', which extends {policy.extends}' if policy.extends else ''}.",
        _working_range(book, policy, failing_at),
        *_others(book),
        *_excused(book),
    )


def gone_on_with(bound: float) -> Iterator[str]:
    """That claims took more than one end would have; empty where rendering ended once."""
    if bound > ONE_END:
        level = 2 * NormalDist().cdf(bound) - 1
        yield (
            f"Gone on with after an open verdict: what is claimed over all places is claimed by {level:.1%} intervals, "
            "because every further look is another chance to be wrong."
        )


def _judged(scores: Mapping[str, Measurement | None]) -> str:
    """`1 (asked for by the policy, not rendered: 0.7)`."""
    judged = [name for name, score in scores.items() if score is not None and score.value is not None]
    lacking = {
        "not rendered": [name for name, score in scores.items() if score is None],
        "not measured": [name for name, score in scores.items() if score is not None and score.value is None],
    }
    told = "; ".join(f"{why}: {', '.join(names)}" for why, names in lacking.items() if names)
    return (", ".join(judged) or "none") + (f" (asked for by the policy, {told})" if told else "")


def _failures(failing_at: Mapping[float, Sequence[str]]) -> str:
    """`overbaked at 1, 1.2`."""
    weights: dict[str, list[str]] = {}
    for weight, rules in sorted(failing_at.items()):
        for rule in rules:
            weights.setdefault(rule, []).append(f"{weight:g}")
    return "; ".join(f"{rule} at {', '.join(at)}" for rule, at in weights.items())


SEEN = 0.01
"""Share of pictures below which a share is told as 0 %."""
USUAL = "nearly every LoRA of one character does this, and it is judged only with `with_others = true`"
"""What to make of the character's coming without its trigger, where no rule is asked to judge it."""


def _others(book: Book) -> Iterator[str]:
    """What the character does to prompts that do not call for it; told, not judged, but by rules that are asked to."""
    leak, bleed = book.get("leak.identity"), book.get("bleed.score")
    if leak is not None and leak.value is not None:
        asked = book.get("use.with_others")
        usual = "" if asked is None or asked.value else f"; {USUAL}"
        scale = "0 = the base model's faces, 1 = the character's"
        yield f"Without the trigger: identity {number_text(leak)} ({scale}){usual}."
    if bleed is not None and bleed.value is not None:
        match, base = book.get("control.match", kind="trait"), book.get("control.base_match", kind="trait")
        traits = ""
        if match is not None and base is not None and match.value is not None and base.value is not None:
            traits = f"; {match.value:.0%} of the traits asked for them come, {base.value:.0%} without the LoRA"
        yield f"Other people, asked for without the trigger: {number_text(bleed)} of the way to the character{traits}."


def _excused(book: Book) -> Iterator[str]:
    """Flips of traits that do not count because the dataset's own pictures are read so too: errors, or really so."""
    excused = {m.where["attribute"].replace("_", " "): m for m in book.named("attribute.excused_flips")}
    shown = {what: f"{m.value:.0%}" for what, m in excused.items() if m.value is not None and m.value >= SEEN}
    if shown:
        told = ", ".join(f"{what} in {share}" for what, share in shown.items())
        yield f"Read as another trait, and not counted because the dataset's own pictures are too: {told}."


def _working_range(book: Book, policy: Policy, failing_at: Mapping[float, Sequence[str]]) -> str:
    """At which of the rendered weights identity holds, by the policy's claim on a weight, and nothing else fails."""
    scores = book.weights()
    if gap_check(book, policy).state != "holds" or not scores:
        return "Working range: not known, identity cannot be measured."
    limit, claim = policy.identity_at_least, policy.weight_claim
    able = [w for w, m in scores.items() if claim_check(m, "identity", limit, claim).state == "holds"]
    holding = [w for w in able if w not in failing_at]
    ends = f"; {_failures(failing_at)}" if failing_at else ""
    rendered = f"of {', '.join(f'{w:g}' for w in scores)} rendered{ends}"
    if not holding:
        return f"Working range: none; identity holds at no weight ({rendered})."
    between = [w for w in scores if holding[0] <= w <= holding[-1]]
    if between == holding and len(holding) > 1:
        return f"Working range: identity holds from weight {holding[0]:g} to {holding[-1]:g} ({rendered})."
    return f"Working range: identity holds at weight {', '.join(f'{w:g}' for w in holding)} alone ({rendered})."


def not_tested(book: Book, policy: Policy) -> tuple[str, ...]:
    """What a releaser may not conclude from this verdict."""
    weights = list(book.weights())
    beyond = [f"weights above {weights[-1]:g}{_looked_at(book, weights[-1])}"] if weights else ["any weight"]
    missing = [f for f in FRAMINGS if f not in policy.framings]
    framings = [f"{framing} (no face is demanded there)" for framing in missing]
    untold = [f"its {what} (the spec does not say)" for what in book.unspecified()]
    others = ["other environments", "other styles", "several characters in one picture", "other base models"]
    return (f"Not tested: {', '.join((*beyond, *framings, *untold, *others, 'other LoRAs in the same prompt'))}.",)


def _looked_at(book: Book, highest: float) -> str:
    """` (looked at to 1.2 for damage alone)`, and where a probe looked for identity; empty where nothing was."""
    strongest, probed = book.strongest(), [f"{weight:g}" for weight in book.probed() if weight > highest]
    told = [f"looked at to {strongest:g} for damage alone"] if strongest > highest else []
    told += [f"looked at for identity at {' and '.join(probed)}, but not in full body"] if probed else []
    return f" ({'; '.join(told)})" if told else ""


def ignored_rules(
    findings: Sequence[Finding], not_evaluated: Sequence[NotEvaluated], policy: Policy
) -> tuple[str, ...]:
    """The rules that the policy ignores, each with what it would have said."""
    states = {f.rule: f.state for f in findings if f.effect == "ignored"}
    unjudged = {rule_of(n) for n in not_evaluated}
    ignored = [rule for rule, level in policy.rules.items() if level == "ignore"]
    told = [f"{r} ({'not evaluated' if r in unjudged else states.get(r, 'not seen')})" for r in ignored]
    return (f"Ignored by the policy: {', '.join(told)}.",) if told else ()
