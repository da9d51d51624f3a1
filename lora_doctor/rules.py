"""Rules: one YAML file per symptom -> `Rule`, and rules + measurements -> findings. Nothing here looks at an image."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from lora_doctor.errors import UsageError
from lora_doctor.plugins import data_folder
from lora_doctor.types import (
    Cause,
    Condition,
    Finding,
    Fix,
    Measurement,
    NotEvaluated,
    RankedCause,
    Rule,
    TrainingSettings,
    Where,
)

Index = Mapping[tuple[str, tuple[tuple[str, str], ...]], Measurement]
"""Measurements by name and slice."""

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "above": lambda value, threshold: value > threshold,
    "below": lambda value, threshold: value < threshold,
    "at_least": lambda value, threshold: value >= threshold,
    "at_most": lambda value, threshold: value <= threshold,
    "equals": lambda value, threshold: value == threshold,
}
CHANGES = ("set", "at_least", "at_most", "toward", "times")
"""What a fix can ask of a setting."""
DATASET_KEYS = {"add", "framing", "until_share", "environments_at_least", "leave_out"}
CAPTION_KEYS = {"add_tokens", "correct_tokens", "remove_token", "to"}
SETTINGS = tuple(f.name for f in fields(TrainingSettings) if f.name != "trainer")

# How sure a condition is. Signed, so that `all` is the minimum, `any` the maximum and `none` the negated maximum.
CONFIRMED, SUSPECTED, DOUBTED, NO = 2, 1, -1, -2
# Evidence whose interval straddles its threshold is as likely on one side as on the other: it counts half.
HALF = 0.5
SEVERITIES = ("blocker", "warning", "note")
FILE_RULES = "file"
"""Folder, inside the rules folder, of the rules that judge a LoRA file alone."""
DATASET_RULES = "dataset"
"""The same of the rules that judge a dataset, before or after it was trained on."""
CAUSES = "causes.toml"
"""How causes are ranked; a folder without one takes that of the folder above, or lora-doctor's own."""
EACH = "*"
"""In the `where` of a rule with `each`: the value it is being judged for."""


# ---------------------------------------------------------------- reading


def load_rules(folder: Path) -> tuple[Rule, ...]:
    """Every `*.yaml` directly in `folder`, sorted by file name; `examples` come as tuples of Measurements.

    Raises UsageError naming the file and the key for anything unknown, missing or contradictory, and for a folder
    without rules.
    """
    paths = sorted(p for p in folder.iterdir() if p.suffix in (".yaml", ".yml")) if folder.is_dir() else []
    if not paths:
        raise UsageError("holds no rules.", path=folder, advice="Point to a folder of rule files (*.yaml).")
    clear = _clear_lead(folder)
    return tuple(replace(_load_rule(path), clear=clear) for path in paths)


def _clear_lead(folder: Path) -> float:
    """`clear` of the `causes.toml` in the folder, above it, or of lora-doctor's own rules."""
    path = next((p for p in (folder / CAUSES, folder.parent / CAUSES) if p.is_file()), data_folder("rules") / CAUSES)
    try:
        clear = tomllib.loads(path.read_text("utf-8"))["clear"]
        if not isinstance(clear, (int, float)) or not 0 <= clear < math.inf:
            raise ValueError("`clear` must be a number from 0 up")
    except (OSError, UnicodeDecodeError, ValueError, KeyError) as error:
        raise UsageError(f"cannot be used: {error}.", path=path, advice="Write `clear = 0.7`, say.") from None
    return float(clear)


def _load_rule(path: Path) -> Rule:
    try:
        return _parse_rule(path, path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read as YAML: {error}.", path=path) from error


@lru_cache(maxsize=256)
def _parse_rule(path: Path, text: str) -> Rule:
    """The rule that `text`, the content of `path`, is; parsing takes 20 ms, and a Rule never changes."""
    from pydantic import ValidationError
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        raw = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise UsageError(f"cannot be read as YAML: {error}.", path=path) from error
    if not isinstance(raw, dict):
        raise UsageError("is not a rule: a mapping of keys is wanted.", path=path)
    try:
        raw = {**raw, "examples": _parse_examples(raw.get("examples"))}
        rule = cast(Rule, _adapter().validate_python((raw,))[0])
    except ValidationError as error:
        # A misspelt key is also a missing one; the misspelling is what helps.
        errors = error.errors(include_url=False)
        first = next((e for e in errors if e["type"] == "unexpected_keyword_argument"), errors[0])
        what = "is not a key of a rule" if first["type"] == "unexpected_keyword_argument" else first["msg"].lower()
        raise UsageError(f"{_key_path(first['loc'][1:])}: {what}.", path=path) from error
    except ValueError as error:
        raise UsageError(f"{error}.", path=path) from error
    for complaint in _complaints(rule, path.stem):
        raise UsageError(f"{complaint}.", path=path)
    return rule


@lru_cache(maxsize=1)
def _adapter() -> Any:
    """pydantic's reader of a rule; the tuple around it is what lets the config reach the dataclasses inside."""
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(tuple[Rule], config=ConfigDict(extra="forbid", allow_inf_nan=False))


def _key_path(parts: Sequence[int | str]) -> str:
    """`('when', 'all', 0, 'abov')` as `when.all[0].abov`."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts).lstrip(".")


def _parse_examples(raw: Any) -> dict[str, tuple[tuple[Measurement, ...], ...]]:
    """`{fires: [...], quiet: [...]}`, every example a list of `{measurement, where?, value, interval?}`."""
    if not isinstance(raw, dict) or set(raw) != {"fires", "quiet"} or not all(raw.values()):
        raise ValueError("examples: at least one example under `fires` and one under `quiet` is wanted, nothing else")
    lists = all(isinstance(some, list) and all(isinstance(one, list) for one in some) for some in raw.values())
    if not lists:
        raise ValueError("examples: every example is a list of measurements")
    return {
        kind: tuple(tuple(_parse_example(m, f"examples.{kind}[{i}]") for m in ms) for i, ms in enumerate(raw[kind]))
        for kind in ("fires", "quiet")
    }


def _parse_example(raw: Any, at: str) -> Measurement:
    known = {"measurement", "where", "value", "interval"}
    try:
        if not {"measurement", "value"} <= set(raw) <= known:
            raise ValueError
        value, interval = raw["value"], raw.get("interval")
        return Measurement(
            name=str(raw["measurement"]),
            value=None if value is None else float(value),
            interval=None if interval is None else (float(interval[0]), float(interval[1])),
            where={key: str(text) for key, text in raw.get("where", {}).items()},
        )
    except (AttributeError, IndexError, TypeError, ValueError):
        raise ValueError(f"{at}: every entry is {{measurement, where?, value, interval?}}, not {raw!r}") from None


# ---------------------------------------------------------------- what the schema cannot say


def _complaints(rule: Rule, stem: str) -> Iterator[str]:
    """Everything wrong with a rule whose shape is right."""
    if rule.id != stem:
        yield f"id: {rule.id!r} must equal the file name {stem!r}"
    if not rule.references or not rule.causes:
        yield "references and causes: at least one of each is wanted"
    if rule.each and not any(where.get(rule.each) == EACH for _, where in _asked(rule.when)):
        yield f"each: no condition of `when` asks for {{{rule.each}: '{EACH}'}}"
    yield from _condition_complaints(rule.when, "when", rising=True)
    for i, cause in enumerate(rule.causes):
        for j, evidence in enumerate(cause.evidence):
            yield from _condition_complaints(evidence.when, f"causes[{i}].evidence[{j}].when", rising=None)
        yield from _fix_complaints(cause.fix, f"causes[{i}].fix")


def _condition_complaints(condition: Condition, at: str, rising: bool | None) -> Iterator[str]:
    """`rising`: whether the rule fires more when this condition holds more (False under `none`); None = do not care."""
    numeric = [name for name in OPERATORS if getattr(condition, name) is not None]
    if condition.measurement is None:
        if numeric or condition.where or condition.absent is not None:
            yield f"{at}: a comparison needs its `measurement`"
        if not (condition.all or condition.any or condition.none):
            yield f"{at}: an empty condition"
    elif bool(numeric) == (condition.absent is not None):
        yield f"{at}: either a comparison with a number or `absent` is wanted"
    if condition.absent is not None and rising is not None and condition.absent != rising:
        yield f"{at}: `absent` would silence the rule when evidence is taken away"
    falling = None if rising is None else not rising
    for kind, below in (("all", rising), ("any", rising), ("none", falling)):
        for i, part in enumerate(getattr(condition, kind)):
            yield from _condition_complaints(part, f"{at}.{kind}[{i}]", below)


def _fix_complaints(fix: Fix, at: str) -> Iterator[str]:
    for name, change in fix.change.items():
        if name not in SETTINGS:
            yield f"{at}.change.{name}: not a training setting (known: {', '.join(SETTINGS)})"
        if len(change) != 1 or not set(change) <= set(CHANGES):
            yield f"{at}.change.{name}: exactly one of {', '.join(CHANGES)} is wanted"
        for operation, amount in change.items():
            if operation != "set" and (isinstance(amount, bool) or not isinstance(amount, (int, float))):
                yield f"{at}.change.{name}.{operation}: a number is wanted, not {amount!r}"
            if isinstance(amount, dict) and set(amount) != {"off_spec"}:
                yield f"{at}.change.{name}.{operation}: a value or {{off_spec: <attribute>}} is wanted"
    for part, known in (("dataset", DATASET_KEYS), ("captions", CAPTION_KEYS)):
        if unknown := sorted(set(getattr(fix, part)) - known):
            yield f"{at}.{part}.{unknown[0]}: not a key here (known: {', '.join(sorted(known))})"
    share = fix.dataset.get("until_share", 0.5)
    if not isinstance(share, float) or not 0 < share < 1:
        yield f"{at}.dataset.until_share: a share between 0 and 1 is wanted, not {share!r}"


# ---------------------------------------------------------------- judging


def evaluate(
    rules: Sequence[Rule], measurements: Sequence[Measurement]
) -> tuple[tuple[Finding, ...], tuple[NotEvaluated, ...]]:
    """Findings, most pressing first, and the rules that absent measurements left open.

    A rule that is suspected, and would be settled by a measurement that is absent, is in both. `Finding.cells` stays
    empty: which pictures show it is for whoever knows the matrix, from `Rule.shows`.
    """
    index = {_slot(m.name, m.where): m for m in measurements}
    cases = [(one, about) for rule in rules for one, about in _instances(rule, measurements)]
    outcomes = [(rule, about, _judge(rule.when, index)) for rule, about in cases]
    findings = [_finding(rule, about, out, index) for rule, about, out in outcomes if out.low >= SUSPECTED]
    open_ones = [(rule, about, out) for rule, about, out in outcomes if out.undecided]
    unjudged = [
        NotEvaluated(rule=_named(rule.id, about), reason="; ".join(out.missing), severity=rule.severity)
        for rule, about, out in open_ones
    ]
    return tuple(sorted(findings, key=_urgency)), tuple(unjudged)


def confirmed_at(rules: Sequence[Rule], measurements: Sequence[Measurement]) -> dict[float, tuple[str, ...]]:
    """Weight -> the rules with `by_weight` that are confirmed there, as they would be if it were a ship weight."""
    found: dict[float, tuple[str, ...]] = {}
    for rule in (one for one in rules if one.by_weight):
        names = {name for name, _ in _asked(rule.when)}
        known = {m.where["weight"] for m in measurements if m.name in names and "weight" in m.where}
        for weight in sorted((w for w in known if w != "ship"), key=float):
            moved = replace(rule, when=_at_weight(rule.when, weight))
            if any(finding.state == "confirmed" for finding in evaluate([moved], measurements)[0]):
                found[float(weight)] = (*found.get(float(weight), ()), rule.id)
    return found


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
    names = {name for name, where in _asked(rule.when) if EACH in where.values()}
    values = dict.fromkeys(m.where[rule.each] for m in measurements if rule.each in m.where and m.name in names)
    for value in values:
        yield _instance(rule, value), {rule.each: value}
    if not values:
        yield rule, {}


def _asked(condition: Condition) -> Iterator[tuple[str, Where]]:
    """Name and slice of every measurement a condition asks for."""
    if condition.measurement is not None:
        yield condition.measurement, condition.where
    for part in (*condition.all, *condition.any, *condition.none):
        yield from _asked(part)


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
        return replace(one, because=text(one.because), evidence=evidence, fix=fix)

    return replace(
        rule, symptom=text(rule.symptom), why=text(rule.why), when=condition(rule.when),
        causes=tuple(cause(one) for one in rule.causes),
    )  # fmt: skip


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


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Between which two levels a condition lies; they differ only where a measurement is absent."""

    low: int
    high: int
    strength: float = 0.0
    seen: tuple[Measurement, ...] = ()
    """The measurements that make it hold, the leading one first."""
    missing: tuple[str, ...] = ()
    worst: float = 0.0
    """As `strength`, of whatever holds or, being absent, might: taking a measurement away never lowers it."""

    @property
    def undecided(self) -> bool:
        """Whether an absent measurement could change what is concluded."""
        return self.low != self.high and self.high > 0


def _judge(condition: Condition, index: Index) -> _Outcome:
    """Interval-valued Kleene logic: taking a measurement away only ever widens [low, high]."""
    parts = [_compare(condition, index)] if condition.measurement is not None else []
    parts += [_judge(part, index) for part in condition.all]
    if condition.any:
        parts.append(_strongest([_judge(part, index) for part in condition.any]))
    if condition.none:
        worst = _strongest([_judge(part, index) for part in condition.none])
        parts.append(_Outcome(-worst.high, -worst.low, missing=worst.missing, worst=1.0))
    low = min(part.low for part in parts)
    seen = _seen(parts) if low > 0 else ()
    # The leading measurement is the first one in the file: whoever writes the rule puts the symptom before its guards.
    strength = next((part.strength for part in parts if part.seen), 0.0)
    return _Outcome(low, min(part.high for part in parts), strength, seen, _missing(parts), parts[0].worst)


def _strongest(parts: Sequence[_Outcome]) -> _Outcome:
    """`any`."""
    holding = sorted((part for part in parts if part.low > 0), key=lambda part: (-part.low, -part.strength))
    low, high = max(part.low for part in parts), max(part.high for part in parts)
    worst = max(part.worst for part in parts)
    return _Outcome(low, high, holding[0].strength if holding else 0.0, _seen(holding), _missing(parts), worst)


def _compare(condition: Condition, index: Index) -> _Outcome:
    """One measurement against its thresholds."""
    name = cast(str, condition.measurement)
    found = index.get(_slot(name, condition.where))
    value = found.value if found is not None and found.value is not None and math.isfinite(found.value) else None
    if condition.absent is not None:
        level = CONFIRMED if (value is None) == condition.absent else NO
        seen = (found,) if found is not None and level > 0 else ()
        return _Outcome(level, level, seen=seen, worst=1.0 if level > 0 else 0.0)
    if found is None or value is None:
        reason = (found.reason if found is not None else None) or "not measured"
        return _Outcome(NO, CONFIRMED, missing=(f"{_named(name, condition.where)}: {reason}",), worst=1.0)
    asked = [(op, float(t)) for op in OPERATORS if (t := getattr(condition, op)) is not None]
    level = min(_level(op, threshold, found) for op, threshold in asked)
    strength = max(_strength(value, operator, threshold, found.unit) for operator, threshold in asked)
    if level < 0:
        return _Outcome(level, level)
    measurable = found.unit in BOUNDED and condition.equals is None
    return _Outcome(level, level, strength, (found,), worst=strength if measurable else 1.0)


GUARD = "spec."
"""Measurements of what the character is meant to be: they say whether a rule applies, and are no evidence."""
BOUNDED = ("share", "score", "ratio")
"""Units whose values run from 0 to 1."""


def _strength(value: float, operator: str, threshold: float, unit: str) -> float:
    """How far `value` is beyond its threshold: as a share of how far it could be, or else in units of the threshold.

    So a rate of 0.35 where 0.05 is borne (0.32) does not outrank an identity of 0.2 where 0.6 is wanted (0.67).
    """
    beyond = abs(value - threshold)
    if unit not in BOUNDED:
        return beyond / (abs(threshold) or 1.0)
    room = threshold if operator in ("below", "at_most") else 1.0 - threshold
    return min(1.0, beyond / room) if room > 0 else 1.0


def _level(operator: str, threshold: float, measurement: Measurement) -> int:
    """How sure `measurement operator threshold` is: certain only when the whole interval says what the point says."""
    holds = OPERATORS[operator]
    point = holds(cast(float, measurement.value), threshold)
    low, high = _bounds(measurement)
    certain = holds(low, threshold) == point == holds(high, threshold)
    if operator == "equals":
        certain = low == high or not low <= threshold <= high
    return (CONFIRMED if certain else SUSPECTED) if point else (NO if certain else DOUBTED)


def _bounds(measurement: Measurement) -> tuple[float, float]:
    """The interval; an exact number has none, and one that only lacks its interval says so in its reason."""
    value = cast(float, measurement.value)
    if measurement.interval is None:
        return (value, value) if measurement.reason is None else (-math.inf, math.inf)
    low, high = measurement.interval
    return (-math.inf if math.isnan(low) else low), (math.inf if math.isnan(high) else high)


def _slot(name: str, where: Where) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(where.items()))


def _seen(parts: Sequence[_Outcome]) -> tuple[Measurement, ...]:
    """Every measurement once, in order."""
    return tuple({_slot(m.name, m.where): m for part in parts for m in part.seen}.values())


def _missing(parts: Sequence[_Outcome]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for part in parts for text in part.missing))


# ---------------------------------------------------------------- findings


def _finding(rule: Rule, about: Where, outcome: _Outcome, index: Index) -> Finding:
    causes = sorted((_rank(cause, index) for cause in rule.causes), key=lambda cause: -cause.log_odds)
    return Finding(
        rule=rule.id,
        symptom=rule.symptom,
        why=rule.why,
        state="confirmed" if outcome.low == CONFIRMED else "suspected",
        severity=rule.severity,
        strength=outcome.strength,
        worst=outcome.worst,
        measurements=tuple(m for m in outcome.seen if not m.name.startswith(GUARD)),
        causes=tuple(causes),
        close=sum(causes[0].log_odds - cause.log_odds < rule.clear for cause in causes[1:]) + 1 if causes else 1,
        references=rule.references,
        about=about,
        predicts=rule.predicts if _predicts(rule, about) else (),
    )


def _predicts(rule: Rule, about: Where) -> bool:
    """Whether the rule's prediction is about the thing it was judged for: `hair_colour`, or a pair with it."""
    named = {part for value in about.values() for part in (value, *value.split(" x "))}
    return not rule.predicts_for or bool(named & set(rule.predicts_for))


def _rank(cause: Cause, index: Index) -> RankedCause:
    """Log-odds = prior + weights of the evidence that holds, half of it where that is only suspected."""
    log_odds, spoke, unknown = cause.prior, [], []
    for evidence in cause.evidence:
        outcome = _judge(evidence.when, index)
        if outcome.low >= SUSPECTED:
            share = evidence.weight * (1.0 if outcome.low == CONFIRMED else HALF)
            log_odds += share
            spoke.append((abs(share), _spoken(evidence.says, share, outcome)))
        elif outcome.high > 0:
            unknown.append(f"{evidence.says or 'evidence'}? {'; '.join(outcome.missing)}")
    spoke.sort(key=lambda pair: -pair[0])
    texts = tuple(text for _, text in spoke)
    return RankedCause(because=cause.because, fix=cause.fix, log_odds=log_odds, evidence=texts, unknown=tuple(unknown))


def _spoken(says: str, share: float, outcome: _Outcome) -> str:
    facts = ", ".join(
        f"{_named(m.name, m.where)} {'absent' if m.value is None else f'{m.value:.3g}'}" for m in outcome.seen
    )
    text = f"{says} ({facts})" if says and facts else says or facts
    return text if share > 0 else f"{text}: speaks against it"


def _named(name: str, where: Where) -> str:
    return f"{name} {{{', '.join(f'{k}: {v}' for k, v in where.items())}}}" if where else name


def _urgency(finding: Finding) -> tuple[bool, int, float, float, str]:
    """Sort key: confirmed, then severe, then strong; a tie goes to the finding whose cause is the surer one."""
    odds = finding.causes[0].log_odds if finding.causes else -math.inf
    return finding.state != "confirmed", SEVERITIES.index(finding.severity), -finding.strength, -odds, finding.rule
