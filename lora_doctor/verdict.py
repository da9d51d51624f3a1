"""Findings, measurements and a policy -> SHIP, HOLD or INCONCLUSIVE. Pure but for reading the policy."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lora_doctor.errors import UsageError
from lora_doctor.types import Finding, Measurement, NotEvaluated, Verdict

Claim = Literal["interval", "point"]
"""Which side of its limit a number must be on: the whole interval, or the estimate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """When a LoRA may ship; every number comes from `policies/<name>.toml`, which argues for it."""

    name: str
    identity_at_least: float
    """The identity score at which the character counts as held (0 = base model, 1 = the character's own pictures)."""
    identity_claim: Claim
    weights: tuple[float, ...]
    """The weights that must each hold."""
    weight_claim: Claim
    environments: int
    """How many environments must hold."""
    novel: int
    """How many of them must be new to the dataset."""
    environment_claim: Claim
    framings: tuple[str, ...]
    """The framings in which a face must be found."""
    no_face_at_most: float
    """Share of renders without a face that is borne in each of them."""
    no_face_claim: Claim
    gap_at_least: float
    """Least gap between floor and ceiling at which identity can be measured."""
    hold: tuple[Literal["blocker", "warning", "note"], ...]
    """Confirmed findings of these severities hold a release."""
    suspected: Literal["ship", "inconclusive"]
    """What suspected findings of these severities do to a release."""
    optional_rules: tuple[str, ...]
    """Rules that may stay unevaluated in a SHIP."""


@dataclass(frozen=True, slots=True)
class _Check:
    """One demand of the policy: it holds, is proven to fail, or is open."""

    state: Literal["holds", "fails", "open"]
    text: str


def load_policy(folder: Path, name: str) -> Policy:
    """The policy `<folder>/policies/<name>.toml`, `folder` being the rules folder.

    Raises UsageError for an unknown name (listing the known ones) and for a missing, unknown or unfit key.
    """
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    known = {p.stem: p for p in sorted((folder / "policies").glob("*.toml"))}
    if name not in known:
        advice = f"Choose one of: {', '.join(known)}." if known else ""
        raise UsageError(f"there is no policy {name!r}.", path=folder / "policies", advice=advice)
    try:
        raw = {**tomllib.loads(known[name].read_text("utf-8")), "name": name}
        # The tuple is what lets pydantic's config reach a dataclass of the standard library.
        adapter = TypeAdapter(tuple[Policy], config=ConfigDict(extra="forbid", allow_inf_nan=False))
        return adapter.validate_python((raw,))[0]
    except ValidationError as error:
        # A misspelt key is also a missing one; the misspelling is what helps.
        errors = error.errors(include_url=False)
        first = next((e for e in errors if e["type"] == "unexpected_keyword_argument"), errors[0])
        what = "is not a key of a policy" if first["type"] == "unexpected_keyword_argument" else first["msg"].lower()
        raise UsageError(f"{first['loc'][1]}: {what}.", path=known[name]) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be read as TOML: {error}.", path=known[name]) from error


def decide(
    findings: Sequence[Finding],
    not_evaluated: Sequence[NotEvaluated],
    measurements: Sequence[Measurement],
    policy: Policy,
    *,
    novel: Collection[str] = (),
) -> Verdict:
    """The verdict.

    `novel` names the environments the dataset does not show. HOLD: a finding that holds is confirmed, or a demand is
    proven to fail. SHIP: every demand holds and every rule that is not optional was evaluated. Else INCONCLUSIVE. No
    measurement that is taken away makes a SHIP out of another outcome.
    """
    book = _Book(measurements)
    gap = _gap(book, policy)
    checks = [gap, *_identity(book, policy, gap, novel), *_faces(book, policy)]
    pressing = [f for f in findings if f.severity in policy.hold]
    blocking = [_finding_text(f) for f in pressing if f.state == "confirmed"]
    suspected = [_finding_text(f) for f in pressing if f.state == "suspected"]
    doubts = [] if policy.suspected == "ship" else suspected
    needed = [n for n in not_evaluated if n.rule not in policy.optional_rules]
    unjudged = [f"the rule {n.rule} was not evaluated: {n.reason}" for n in needed]
    against = blocking + [c.text for c in checks if c.state == "fails"]
    undecided = [c.text for c in checks if c.state == "open"] + doubts + unjudged
    held = [c.text for c in checks if c.state == "holds"]
    limits = _limits(book, policy, novel)
    if against:
        return Verdict(outcome="HOLD", sentence=_sentence(against), reasons=(*against, *undecided), limits=limits)
    if undecided:
        sentence = _sentence(undecided)
        return Verdict(outcome="INCONCLUSIVE", sentence=sentence, reasons=tuple(undecided), limits=limits)
    reasons = (*held, *(f"borne: {text}" for text in suspected))
    return Verdict(outcome="SHIP", sentence=_ship_sentence(book, policy, novel), reasons=reasons, limits=limits)


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

    def environments(self) -> dict[str, Measurement]:
        """Environment -> identity score over the ship weights."""
        keys = {"weight", "environment"}
        scores = [m for m in self._by_slot.values() if m.name == "identity.score" and set(m.where) == keys]
        return {m.where["environment"]: m for m in scores if m.where["weight"] == "ship"}


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
    """Identity over the ship weights, at every weight, and by environment; proves nothing while the gap is open."""
    limit = policy.identity_at_least
    checks = [
        _claim(
            book.get("identity.score", weight="ship"), "identity over the ship weights", limit, policy.identity_claim
        )
    ]
    for weight in policy.weights:
        score = book.get("identity.score", weight=f"{weight:g}")
        checks.append(_claim(score, f"identity at weight {weight:g}", limit, policy.weight_claim))
    scores = book.environments()
    checks.append(_environments(scores, policy, policy.environments, "environments"))
    fresh = {name: m for name, m in scores.items() if name in novel}
    checks.append(_environments(fresh, policy, policy.novel, "environments new to the dataset"))
    if gap.state == "holds":
        return checks
    return [_Check("open", check.text) for check in checks if check.state != "holds"]


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


def _finding_text(finding: Finding) -> str:
    """`The face ... (body-drift, confirmed: body.deficit 0.62 [0.50, 0.74])`."""
    lead = f": {finding.measurements[0].name} {_number(finding.measurements[0])}" if finding.measurements else ""
    return f"{finding.symptom.rstrip('.')} ({finding.rule}, {finding.state}{lead})"


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
    where = f"in {len(holding)} of {len(scores)} environments, {fresh} of them new to the dataset"
    return f"Identity holds{number}, at weight {weights}, {where}."


_BY: dict[Claim, str] = {"point": "its point estimate alone", "interval": "its whole interval"}


def _limits(book: _Book, policy: Policy, novel: Collection[str]) -> tuple[str, ...]:
    """What the verdict covers, and by which kind of claim."""
    names = sorted(book.environments())
    listed = ", ".join(f"{name} (new)" if name in novel else name for name in names) or "none"
    return (
        f"Weights: {', '.join(f'{weight:g}' for weight in policy.weights)}; each judged by {_BY[policy.weight_claim]}.",
        f"Framings: {', '.join(policy.framings)}.",
        f"Environments: {listed}; each judged by {_BY[policy.environment_claim]}.",
        f"Policy: {policy.name}.",
    )
