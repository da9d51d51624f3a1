"""Confirmed findings + present settings -> a prescription: what to change before the next training. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lora_doctor.new_pictures import Request, answers, new_pictures, seen_with_new, together, undiluted, with_new
from lora_doctor.present_training import INTEGERS, Patient
from lora_doctor.training_dose import Asked, once, rescaled, times_as_strong, way_of
from lora_doctor.types import (
    Change,
    Finding,
    Fix,
    LabelSet,
    LeftOutPictures,
    Measurement,
    Prescription,
    RankedCause,
    TrainingSettings,
)
from lora_doctor.wording import setting_text, too_close


@dataclass(slots=True)
class _Draft:
    """The prescription while it is written."""

    changes: list[Asked] = field(default_factory=list)
    dataset: list[Request] = field(default_factory=list)
    left_out: list[LeftOutPictures] = field(default_factory=list)
    captions: list[Mapping[str, Any]] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    rescale: float | None = None


def prescribe(
    findings: Sequence[Finding],
    settings: TrainingSettings,
    measurements: Sequence[Measurement],
    *,
    spec: Mapping[str, str] | None = None,
    label_sets: Mapping[str, LabelSet] | None = None,
    counted: Mapping[str, int] | None = None,
) -> Prescription:
    """The fixes of every cause of a confirmed finding that is likelier than not, made into one prescription.

    Causes of one symptom do not exclude each other. Where no finding has a likely one, the likeliest is treated; so it
    is for a finding of whose causes nothing is known.

    `spec` and `label_sets` (attribute -> label, attribute -> its closed set) fill tokens in; without them a fix that
    names tokens becomes advice. `counted` (role -> pictures) is what an audit's plan adds to reach the source's
    identity ratio: a request for more of that role takes this number. Where findings disagree about a setting, the
    stronger evidence decides and `conflicts` says so, and of several cuts or raises of the training's dose one is made.
    A change that equals the present value is dropped.
    """
    patient = _patient(settings, measurements, spec=spec or {}, label_sets=label_sets or {}, counted=counted or {})
    draft = _Draft()
    confirmed = [finding for finding in findings if finding.state == "confirmed" and finding.causes]
    likely = [(finding, tuple(cause for cause in finding.causes if cause.log_odds > 0)) for finding in confirmed]
    if not any(causes for _, causes in likely):  # better a guess, said to be one, than nothing to try
        likely = [(finding, finding.causes[:1]) for finding in confirmed]
    likely = [(finding, causes or _guess(finding)) for finding, causes in likely]
    for finding, causes in likely:
        draft.advice += _doubts(finding, causes)
        _treat(finding, causes, patient, draft)
    settled, conflicts = _settle(draft.changes)
    settled, left_for_later = once(settled)
    asked = together(draft.dataset, patient)
    moved = [one.change for one in settled if not _same(one.change.before, one.change.after)]
    changes = [with_new(change, asked, patient) for change in moved]
    if not any(change.field == "identity_ratio" for change in changes):
        asked_by = next((finding.rule for finding, causes in likely if any(c.fix.dataset for c in causes)), "")
        changes += undiluted(asked, asked_by, patient)
    return Prescription(
        changes=tuple(_with_alpha(changes, patient)),
        dataset=asked,
        left_out=tuple(dict.fromkeys(draft.left_out)),
        captions=tuple(c for i, c in enumerate(draft.captions) if c not in draft.captions[:i]),
        advice=tuple(dict.fromkeys([*draft.advice, *seen_with_new(asked, changes, patient)])),
        conflicts=(*conflicts, *left_for_later),
        rescale=draft.rescale,
    )


def _patient(settings: TrainingSettings, measurements: Sequence[Measurement], **known: Any) -> Patient:
    measured = {(m.name, tuple(sorted(m.where.items()))): m.value for m in measurements if m.value is not None}
    return Patient(settings=settings, measured=measured, **known)


def with_met(
    findings: Sequence[Finding], settings: TrainingSettings, measurements: Sequence[Measurement]
) -> tuple[Finding, ...]:
    """The findings, whose causes say which settings are already as their fix asks."""
    patient = _patient(settings, measurements)

    def cause(one: RankedCause) -> RankedCause:
        return replace(one, met=tuple(name for name, ask in one.fix.change.items() if _is_met(name, ask, patient)))

    return tuple(replace(f, causes=tuple(map(cause, f.causes))) for f in findings)


def _is_met(name: str, ask: Mapping[str, Any], patient: Patient) -> bool:
    (operation, amount), before = next(iter(ask.items())), patient.present(name)
    known = before is not None and not patient.lacks(name)
    return known and _same(before, _after(operation, amount, before, name, patient))


def without_settled(findings: Sequence[Finding], prescription: Prescription) -> tuple[Finding, ...]:
    """Findings about the dataset, whose fixes leave to the prescription what it has numbers of its own for."""
    fields = {c.field for c in prescription.changes}

    def fix(one: Fix) -> Fix:
        change = {name: ask for name, ask in one.change.items() if name not in fields}
        dataset = {} if any(answers(new, one.dataset) for new in prescription.dataset) else one.dataset
        if (len(change), len(dataset)) == (len(one.change), len(one.dataset)):
            return one
        advice = " ".join(filter(None, (one.advice, "The prescription has the numbers for this.")))
        return replace(one, change=change, dataset=dataset, advice=advice)

    return tuple(replace(f, causes=tuple(replace(c, fix=fix(c.fix)) for c in f.causes)) for f in findings)


def _guess(finding: Finding) -> tuple[RankedCause, ...]:
    """The first cause where no evidence has spoken for or against any; nothing where it has, and for none."""
    return finding.causes[:1] if not any(cause.evidence for cause in finding.causes) else ()


def _doubts(finding: Finding, treated: Sequence[RankedCause]) -> list[str]:
    """What is to be said where nothing is tried for a finding, only a guess, or several causes' fixes together."""
    doubt = too_close(finding)
    if not treated:
        return [f"{finding.rule}: the evidence speaks for none of its causes: nothing is changed."]
    odds = treated[0].log_odds
    if odds < 0 or (odds == 0 and len(finding.causes) > 1):  # the only cause a rule knows needs no evidence
        guess = f"{finding.rule}: No cause is likelier than not; what is tried is a guess."
        return [" ".join(filter(None, (guess, doubt)))]
    tried = "Their fixes are tried together; where they differ, the first one's."
    return [f"{finding.rule}: {doubt} {tried}"] if doubt else []


def _treat(finding: Finding, causes: Sequence[RankedCause], patient: Patient, draft: _Draft) -> None:
    """Write the fixes of the causes, likeliest first, into the draft; the likelier one decides about a setting."""
    settled: set[str] = set()
    for cause in causes:
        changes, advice = _changes(finding, cause, patient)
        fresh = [change for change in changes if change.field not in settled]
        draft.changes += [Asked(finding=finding, change=change, log_odds=cause.log_odds) for change in fresh]
        settled |= {change.field for change in changes}
        draft.advice += advice + ([cause.fix.advice] if cause.fix.advice else [])
        if cause.fix.rescale:
            curve = patient.along("identity.score", "weight")
            draft.rescale = draft.rescale or times_as_strong(cause.fix.rescale, curve)
            draft.advice.append(rescaled(cause.fix.rescale, curve))
        if attribute := cause.fix.dataset.get("leave_out"):
            draft.left_out += _left_out(attribute, patient)
        elif cause.fix.dataset and (asked := new_pictures(cause.fix.dataset, patient)):
            draft.dataset.append(Request(rule=finding.rule, fix=cause.fix.dataset, new=asked))
        if cause.fix.captions:
            draft.captions.append(_caption_fix(cause.fix.captions, patient))


# ---------------------------------------------------------------- settings


def _changes(finding: Finding, cause: RankedCause, patient: Patient) -> tuple[list[Change], list[str]]:
    """The changes of settings that the cause's fix asks for, and advice for those that cannot be put in a number."""
    fix = cause.fix
    changes, advice, lengthened = [], [], []
    for name, ask in fix.change.items():
        if name == "steps" and "epochs" in fix.change and patient.counts_epochs:
            continue
        if patient.lacks(name):
            kind = patient.settings.kind
            advice.append(f"{name}: what a {kind} calls so is not what is meant; left as it is ({finding.rule}).")
            continue
        if name == "learning_rate" and (why := patient.settings.why_no_rate) is not None:
            nearest = "its other arguments (Prodigy's d_coef, 1 unless given), or fewer or more steps"
            advice.append(f"learning_rate: {why} and it stays; nearest: {nearest} ({finding.rule}).")
            continue
        (operation, amount), before = next(iter(ask.items())), patient.present(name)
        if operation == "times" and before is None:
            lengthened.append(
                f"Multiply {name} by {amount:g}: the training config does not say what it is ({finding.rule})."
            )
            continue
        after = _after(operation, amount, before, name, patient)
        if after is None:
            advice.append(f"Set {name} to {_unknown(amount)} ({finding.rule}).")
            continue
        source = fix.source or next(iter(finding.references), "the rule itself")
        size = f" ({cause.sizes[name]})" if name in cause.sizes else ""
        because = f"{_lead(finding)}{size}; source: {source}"
        changes.append(Change(field=name, before=before, after=after, rule=finding.rule, because=because))
    # Steps and epochs say the same thing twice: one of them known is enough, and none is a matter for a person.
    multiplied = any("times" in fix.change[change.field] for change in changes)
    return changes, advice + ([] if multiplied else lengthened)


def _after(operation: str, amount: Any, before: Any, name: str, patient: Patient) -> Any:
    """The new value; None when it takes tokens, or a measured number, that are not known."""
    if isinstance(amount, Mapping):
        tokens = patient.off_spec([amount["off_spec"]]) if "off_spec" in amount else ()
        return tuple(dict.fromkeys([*(before or ()), *tokens])) if tokens else None
    if operation == "times":
        amount = before * amount
    elif operation == "at_least" and before is not None:
        amount = max(before, amount)
    elif operation == "at_most" and before is not None:
        amount = min(before, amount)
    if isinstance(amount, list):
        return tuple(amount)
    return math.ceil(amount) if name in INTEGERS else amount


def _unknown(amount: Mapping[str, str]) -> str:
    if "measured" in amount:
        return f"{amount['measured']}, which was not measured"
    return f"the off-spec tokens of {amount['off_spec']}"


def _settle(asked: Sequence[Asked]) -> tuple[list[Asked], list[str]]:
    """One change per setting, that of the strongest finding; a sentence for every one that would have it elsewhere.

    Where two would turn it the same way and differ in how far, the stronger one's size says it all.
    """
    by_field: dict[str, list[Asked]] = {}
    for one in asked:
        by_field.setdefault(one.change.field, []).append(one)
    settled, conflicts = [], []
    for name, rivals in by_field.items():
        chosen, *others = sorted(rivals, key=lambda one: -one.finding.strength)
        settled.append(chosen)
        for other in others:
            one_way = way_of(chosen.change) * way_of(other.change) > 0
            if not _same(chosen.change.after, other.change.after) and not one_way:
                winner, loser = chosen.finding, other.finding
                chose, asked_for = setting_text(chosen.change.after), setting_text(other.change.after)
                times = f"{winner.strength:.2f} against {loser.strength:.2f} times"
                conflicts.append(
                    f"{name}: {winner.rule} asks for {chose}, {loser.rule} for {asked_for}; {winner.rule} is "
                    f"further beyond its threshold ({times}), so it is {chose}."
                )
    return settled, conflicts


def _with_alpha(changes: Sequence[Change], patient: Patient) -> list[Change]:
    """Alpha follows rank, so that the scale alpha / rank stays, or becomes what a change of alpha makes it.

    A finding that asks for another alpha knows the present rank alone. Where the config says no alpha, it equals rank.
    """
    fields = {change.field: change for change in changes}
    rank, asked, alpha = fields.get("rank"), fields.get("alpha"), patient.present("alpha")
    if rank is None or (asked is not None and not rank.before):
        return list(changes)
    wanted = alpha if asked is None else asked.after
    scale = wanted / rank.before if wanted is not None and rank.before else 1.0
    says = f"keeps alpha / rank at {scale:g} at the new rank; {rank.because}"
    if asked is not None:
        says = f"makes alpha / rank {scale:g} at the new rank; {asked.because}"
    cause = rank if asked is None else asked
    follower = replace(cause, field="alpha", before=alpha, after=float(rank.after * scale), because=says)
    others = [change for change in changes if change.field != "alpha"]
    at = others.index(rank) + 1
    return [*others[:at], *([] if _same(alpha, follower.after) else [follower]), *others[at:]]


def _same(one: Any, other: Any) -> bool:
    """Equal, numbers up to rounding."""
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)


# ---------------------------------------------------------------- dataset and captions


def _left_out(attribute: str, patient: Patient) -> list[LeftOutPictures]:
    """The pictures that show another label than the spec's; none when the spec does not name the attribute."""
    if (label := patient.spec.get(attribute)) is None:
        return []
    share = patient.number("dataset.off_spec_share", attribute=attribute)
    count = "" if share is None else f" ({share:.0%} of those that show it)"
    says = f"Leave out the pictures that show another {attribute} than {label}{count}."
    return [LeftOutPictures(says=says, attribute=attribute, label=label)]


def _caption_fix(fix: Mapping[str, Any], patient: Patient) -> dict[str, Any]:
    """The fix with `tokens` (those of the spec) and, for corrections, `remove` (the off-spec ones) filled in.

    `tokens` stays empty for what differs between pictures (`environment`) or is not part of the spec (`trigger`).
    """
    what = str(fix.get("add_tokens", fix.get("correct_tokens", "")))
    kinds = {name: labels.kind for name, labels in patient.label_sets.items()}
    attributes = [a for a in patient.spec if what in (a, kinds.get(a))]
    filled = {**fix, "tokens": [patient.spec[a] for a in attributes]}
    return {**filled, "remove": patient.off_spec(attributes)} if "correct_tokens" in fix else filled


# ---------------------------------------------------------------- words


def _lead(finding: Finding) -> str:
    """`body.deficit is 0.62 [0.50, 0.74]`: the measurement that leads the finding."""
    if not finding.measurements or (value := finding.measurements[0].value) is None:
        return finding.symptom.rstrip(".")
    lead = finding.measurements[0]
    where = f" {{{', '.join(f'{k}: {v}' for k, v in lead.where.items())}}}" if lead.where else ""
    interval = f" [{lead.interval[0]:.2f}, {lead.interval[1]:.2f}]" if lead.interval else ""
    return f"{lead.name}{where} is {value:.2f}{interval}"
