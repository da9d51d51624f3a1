"""The demands of a policy on numbers, each held, proven to fail, or open. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lora_doctor.exact_shares import COUNTED, closer, units_behind
from lora_doctor.looks import ONE_END, bound_of_end, stretched, tail_of_end
from lora_doctor.measurement_book import Book, number_text
from lora_doctor.policy import WARN, WARN_KEYS, Claim, Policy
from lora_doctor.types import Measurement

_OF_FRAMING = "about {{}} more pictures in {framing} would decide it, if the share stays where it is"
_AT_BEST = "{} more pictures would decide it at best: how places differ stays as it is"
RENDERABLE = 2000
"""Pictures beyond which nobody is told to render so many; a limit of patience, not a judgement."""


State = Literal["holds", "fails", "open"]


@dataclass(frozen=True, slots=True)
class Check:
    """One demand of the policy: it holds, is proven to fail, or is open."""

    state: State
    text: str
    by_pictures: bool = True
    """Whether more pictures can settle it while it is open: they sharpen a number, and make none that was not asked."""
    by_estimate: bool = False
    """Open, and the estimate alone decides: the next pictures may move it to either side of its limit."""


def claimed(measurement: Measurement, bound: float, ends: int = 0) -> Measurement:
    """As a demand takes it that must be clear by `bound` standard errors, where its 90 % interval knows of one look.

    The intervals of places know of all looks. The upper ends of what is counted exactly know of those before rendering
    ends for the first time; `ends` is how often it did.
    """
    longer = stretched(measurement, bound / ONE_END)
    if measurement.name in ("identity.score", "overbake.adherence_loss") and "environment" not in measurement.where:
        return longer
    if measurement.name not in COUNTED:
        return measurement
    if measurement.value is None or measurement.interval is None or longer.interval is None:
        return measurement
    high = measurement.interval[1]
    if ends:
        known = closer(measurement.value, high, 1.0, tail_of_end(ends))
        farther = measurement.value + (high - measurement.value) * bound_of_end(ends) / ONE_END
        high = farther if known is None else known
    return replace(measurement, interval=(longer.interval[0], high))


def demands(book: Book, policy: Policy, novel: Collection[str], ends: int = 0) -> list[Check]:
    """Every demand of the policy on a number.

    `ends` is how often rendering ended before: the numbers are `claimed` after so many, and what further pictures would
    have to prove is reckoned for one more.
    """
    gap = gap_check(book, policy)
    identity = _identity(book, policy, gap, novel, ends)
    return [gap, *identity, *_faces(book, policy, ends), *_framed(book, policy, ends), _adherence(book, policy, ends)]


def below_warning(book: Book, policy: Policy, novel: Collection[str]) -> list[str]:
    """What meets the policy's demands and not its warning levels: the same demands, with those in their place.

    One key at a time, so that one number that is low does not drag in the others.
    """
    plain = demands(book, policy, novel)
    if plain[0].state != "holds":
        return []
    texts: list[str] = []
    for key in WARN_KEYS:
        if (level := getattr(policy, key)) is None:
            continue
        stricter = replace(policy, **{key.removeprefix(WARN): level})
        # An open gap opens every claim on identity; here it is a warning of its own.
        checks = [gap_check(book, stricter)] if key.endswith("gap_at_least") else demands(book, stricter, novel)
        pairs = zip(plain, checks, strict=False)
        below = [warned.text for met, warned in pairs if met.state == "holds" and warned.state != "holds"]
        texts += [f"short of {key} = {level:g}: {text}" for text in below]
    return texts


def open_environments(
    measurements: Sequence[Measurement], policy: Policy, novel: Collection[str] = ()
) -> tuple[str, ...]:
    """The environments whose claim is neither proven nor disproven; none where the demands on them are settled."""
    scores = Book(measurements).environments()
    fresh = {name: m for name, m in scores.items() if name in novel}
    demands = (scores, policy.environments), (fresh, policy.novel)
    unsettled = [table for table, wanted in demands if _environments(table, policy, wanted, "").state == "open"]
    names = dict.fromkeys(name for table in unsettled for name in table)
    states = _states(scores, policy)
    return tuple(name for name in names if states[name][1] == "open")


def faces_open(measurements: Sequence[Measurement], policy: Policy, novel: Collection[str] = (), ends: int = 0) -> bool:
    """Whether more pictures, of every environment, may settle if enough renders show a face, and nothing fails yet."""
    book = Book(claimed(one, bound_of_end(ends), ends) for one in measurements)
    settles = any(check.state == "open" and check.by_pictures for check in _faces(book, policy, ends))
    return settles and all(check.state != "fails" for check in demands(book, policy, novel, ends))


def gap_check(book: Book, policy: Policy) -> Check:
    """Whether identity can be measured: the gap is large enough, and its interval clear of zero."""
    gap, of_pictures = book.get("identity.gap"), book.get("identity.of_pictures")
    # Not told is taken for a face instrument, of which more is asked.
    whole = of_pictures is not None and of_pictures.value == 1
    limit = policy.picture_gap_at_least if whole else policy.gap_at_least
    if gap is None or gap.value is None or gap.interval is None:
        reason = gap.reason if gap is not None and gap.reason else "the gap between floor and ceiling is not known"
        return Check("open", f"identity cannot be measured: {reason}")
    least = min(gap.reach or (gap.value,))
    if gap.value >= limit > least and gap.interval[0] > 0:
        could = f"with the pictures that are missing it could be {least:.2f}, and {limit:.2f} is wanted"
        return Check("open", f"identity cannot be measured: floor and ceiling are {number_text(gap)} apart; {could}")
    if gap.value >= limit and gap.interval[0] > 0:
        return Check("holds", f"identity can be measured: floor and ceiling are {number_text(gap)} apart")
    wanted = f"{limit:.2f} is wanted, with an interval above 0"
    return Check("open", f"identity cannot be measured: floor and ceiling are {number_text(gap)} apart, {wanted}")


def _identity(book: Book, policy: Policy, gap: Check, novel: Collection[str], ends: int) -> list[Check]:
    """Identity over the ship weights, by weight, framing and environment; proves nothing while the gap is open."""
    scores = book.environments()
    checks = [_over_places(book, policy, "ship", "identity over the ship weights", policy.identity_claim, ends)]
    for weight in policy.weights:
        what = f"identity at weight {weight:g}"
        checks.append(_over_places(book, policy, f"{weight:g}", what, policy.weight_claim, ends))
    checks += _framings(book, policy, ends)
    checks.append(_environments(scores, policy, policy.environments, "environments"))
    fresh = {name: m for name, m in scores.items() if name in novel}
    checks.append(_environments(fresh, policy, policy.novel, "environments new to the dataset"))
    checks += _lost_at_a_weight(book, policy, novel)
    if gap.state == "holds":
        return checks
    return [replace(check, state="open") for check in checks if check.state != "holds"]


def _over_places(book: Book, policy: Policy, weight: str, what: str, claim: Claim, ends: int) -> Check:
    """Identity over all places at a weight; where places themselves differ, no picture makes its interval shorter."""
    score = book.get("identity.score", weight=weight)
    check = claim_check(score, what, policy.identity_at_least, claim)
    if check.state != "open" or check.by_estimate or score is None or score.value is None:
        return check
    states = _states(book.environments(weight), policy)
    below = ", ".join(f"{name} {number_text(score)}" for name, (score, state) in states.items() if state == "fails")
    if below and any(state == "holds" for _, state in states.values()):
        text = f"{check.text}; it depends on the place ({below}), which more pictures do not change"
        return Check("open", text, by_pictures=False)
    return _how_many(check, score, policy.identity_at_least, policy, _AT_BEST, ends)


def _lost_at_a_weight(book: Book, policy: Policy, novel: Collection[str]) -> Iterator[Check]:
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


def _framings(book: Book, policy: Policy, ends: int) -> Iterator[Check]:
    """Identity in each framing of the policy: the scores over all framings may leave one out, or make up for it."""
    limit = policy.framing_identity_at_least
    for framing in policy.framings:
        score, what = book.get("identity.score", weight="ship", framing=framing), f"identity in {framing}"
        if score is None or score.value is None:
            reason = score.reason if score is not None and score.reason else "not measured"
            advice = "the verdict can leave it out by the policy's `framings`"
            yield Check("open", f"{what}: {reason}; {advice}", by_pictures=score is not None)
        else:
            check = claim_check(score, what, limit, policy.identity_claim)
            yield _how_many(check, score, limit, policy, _AT_BEST, ends)


def _faces(book: Book, policy: Policy, ends: int) -> list[Check]:
    """Renders without a face, in each framing that must show one."""
    shares = {f: book.get("identity.no_face", weight="ship", framing=f) for f in policy.framings}
    limit, claim = policy.no_face_at_most, policy.no_face_claim
    checks = {
        framing: claim_check(m, f"share of {framing} renders without a face", limit, claim, most=True)
        for framing, m in shares.items()
    }
    would = {framing: _OF_FRAMING.format(framing=framing) for framing in checks}
    return [_how_many(check, shares[f], limit, policy, would[f], ends) for f, check in checks.items()]


def _framed(book: Book, policy: Policy, ends: int) -> Iterator[Check]:
    """Whether each framing comes when it is asked for, as with the base model."""
    limit, claim = policy.framing_loss_at_most, policy.framing_claim
    for framing in policy.framings:
        lost, what = book.get("framing.loss", framing=framing), f"share of {framing} pictures that are framed otherwise"
        check = claim_check(lost, what, limit, claim, most=True)
        yield _how_many(check, lost, limit, policy, _OF_FRAMING.format(framing=framing), ends)


def _adherence(book: Book, policy: Policy, ends: int) -> Check:
    """Whether what prompts ask for comes as with the base model, but for a loss that is borne: proven, not just not
    disproven. Of places that the base model hardly draws itself, no more can be lost than is borne."""
    lost, limit = book.get("overbake.adherence_loss", weight="ship"), policy.adherence_loss_at_most
    what = "the share of pictures in which what is asked for no longer comes"
    check = claim_check(lost, what, limit, policy.adherence_claim, most=True)
    places = book.get("environment.match", weight="0")
    if check.state == "holds" and (places is None or places.interval is None or places.interval[0] <= limit):
        drawn = "not known" if places is None or places.value is None else number_text(places)
        base = f"the share of its own pictures in which the base model draws the place asked for is {drawn}"
        return Check("open", f"{check.text}; {base}: a larger loss could not be seen", by_pictures=places is not None)
    return _how_many(check, lost, limit, policy, _AT_BEST, ends)


def _how_many(
    check: Check, measurement: Measurement | None, limit: float, policy: Policy, would: str, ends: int
) -> Check:
    """An open check with how many pictures more would decide it at the next end, where pictures can."""
    if check.state != "open" or check.by_estimate or measurement is None or measurement.value is None:
        return check
    units = _units_needed(measurement, limit, 1 if measurement.value > limit else -1, ends)
    return check if units is None else replace(check, text=f"{check.text}; {_would_decide(units, policy, would)}")


def claim_check(measurement: Measurement | None, what: str, limit: float, claim: Claim, *, most: bool = False) -> Check:
    """One number against its limit (a least one, or with `most` a largest one)."""
    if measurement is None or measurement.value is None:
        reason = measurement.reason if measurement is not None and measurement.reason else "not measured"
        return Check("open", f"{what}: {reason}", by_pictures=measurement is not None)
    sign = -1.0 if most else 1.0
    point, bound = sign * measurement.value, sign * limit
    ends = None if measurement.interval is None else tuple(sorted(sign * end for end in measurement.interval))
    wanted = f"{what} is {number_text(measurement)}, {'at most' if most else 'at least'} {limit:.2f} is wanted"
    if ends is not None and ends[1] < bound and point < bound:
        return Check("fails", wanted)
    worst = min((sign * end for end in measurement.reach or ()), default=point)
    if claim == "point" and point >= bound > worst:
        return Check("open", f"{wanted}, and with the pictures that are missing it could be {sign * worst:.2f}")
    if claim == "point" and point >= bound:
        return Check("holds", f"{wanted} (the policy takes the point estimate)")
    if claim == "interval" and ends is None:
        return Check("open", f"{wanted}, and it has no interval: {measurement.reason or 'no reason given'}")
    if claim == "interval" and point >= bound and ends is not None and ends[0] >= bound:
        if measurement.one_worse is not None and measurement.one_worse < limit:
            worse = f"with one more picture like the worst its interval would begin at {measurement.one_worse:.2f}"
            return Check("open", f"{wanted}, and {worse}")
        return Check("holds", wanted)
    return Check("open", f"{wanted}: too close to call", by_estimate=claim == "point")


def _environments(scores: Mapping[str, Measurement], policy: Policy, wanted: int, what: str) -> Check:
    """Whether identity holds in `wanted` of them; proven to fail when too few are left that are not proven below."""
    states = {name: state for name, (_, state) in _states(scores, policy).items()}
    holding = [n for n, state in states.items() if state == "holds"]
    failing = [n for n, state in states.items() if state == "fails"]
    values = ", ".join(f"{n} {number_text(scores[n])}" for n in sorted(scores)) or "none measured"
    text = f"identity holds in {len(holding)} of {len(scores)} {what}, {wanted} are wanted ({values})"
    if len(holding) >= wanted:
        return Check("holds", text)
    if len(scores) < wanted:
        return Check("open", text, by_pictures=False)
    if wanted > len(scores) - len(failing):
        return Check("fails", text)
    if policy.environment_claim == "point":
        return Check("open", text, by_estimate=True)
    left = {n: scores[n] for n, state in states.items() if state == "open"}
    lacking = wanted - len(holding), len(scores) - wanted + 1 - len(failing)
    units = units_to_decide(left, policy.identity_at_least, *lacking)
    if units is None:
        return Check("open", text)
    would = _would_decide(units, policy, "about {} more pictures would decide it, if the values stay where they are")
    return Check("open", f"{text}; {would}")


def _would_decide(units: int, policy: Policy, would: str) -> str:
    """What so many units more cost in pictures, each at every weight of the policy and at 0, put into `would`."""
    pictures = units * (len(policy.weights) + 1)
    if pictures > RENDERABLE:
        return f"so close to the limit that more than {RENDERABLE} pictures would be needed"
    return would.format(pictures)


def _states(scores: Mapping[str, Measurement], policy: Policy) -> dict[str, tuple[Measurement, State]]:
    """Environment -> its score, and what the policy's claim makes of it."""
    limit, claim = policy.identity_at_least, policy.environment_claim
    return {name: (score, claim_check(score, name, limit, claim).state) for name, score in scores.items()}


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


def _units_needed(m: Measurement, limit: float, side: int, ends: int | None = None) -> int | None:
    """Units beyond those there are until the end nearer the limit is on its `side` (1 = above); None if never.

    `ends`: the interval is as `claimed` after so many, and has to be so after one more; None = it stays as firm.
    """
    if m.value is None or m.interval is None or side * (m.value - limit) <= 0:
        return None
    low = m.interval[0] if m.one_worse is None else min(m.interval[0], m.one_worse)
    half = m.value - low if side > 0 else m.interval[1] - m.value
    firmer = 1.0 if ends is None else bound_of_end(ends + 1) / bound_of_end(ends)
    times = abs(firmer * half / (m.value - limit)) ** 2
    if m.name in COUNTED and side < 0 and ends is not None:
        now, wanted = (
            units_behind(m.value, m.interval[1], tail_of_end(ends)),
            units_behind(m.value, limit, tail_of_end(ends + 1)),
        )
        times = times if now is None or wanted is None else wanted / now
    return max(1, math.ceil(round(m.n * (times - 1), 6)))
