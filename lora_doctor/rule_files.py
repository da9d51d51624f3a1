"""Rules: one YAML file per symptom -> `Rule`; whatever is wrong with a file is told with its place."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from lora_doctor.errors import UsageError
from lora_doctor.fix_size import amount_complaints
from lora_doctor.plugins import data_folder
from lora_doctor.rule_conditions import OPERATORS, asked
from lora_doctor.rule_yaml import parse_rule_yaml
from lora_doctor.types import EACH, Condition, Fix, Measurement, Rule, TrainingSettings

CHANGES = ("set", "at_least", "at_most", "times")
"""What a fix can ask of a setting."""
RESCALE_KEYS = {"identity", "at_weight", "at_most"}
DATASET_KEYS = {"add", "framing", "until_share", "environments_at_least", "leave_out"}
CAPTION_KEYS = {"add_tokens", "correct_tokens", "remove_token", "to"}
SETTINGS = tuple(f.name for f in fields(TrainingSettings) if f.name != "trainer")

FILE_RULES = "file"
"""Folder, inside the rules folder, of the rules that judge a LoRA file alone."""
DATASET_RULES = "dataset"
"""The same of the rules that judge a dataset, before or after it was trained on."""
CAUSES = "causes.toml"
"""How causes are ranked; a folder without one takes that of the folder above, or lora-doctor's own."""


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
    """The rule that `text`, the content of `path`, is; a Rule never changes."""
    from pydantic import ValidationError

    try:
        raw = parse_rule_yaml(text)
    except ValueError as error:
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
    if rule.each and not any(where.get(rule.each) == EACH for _, where in asked(rule.when)):
        yield f"each: no condition of `when` asks for {{{rule.each}: '{EACH}'}}"
    yield from _condition_complaints(rule.when, "when", rising=True)
    for i, cause in enumerate(rule.causes):
        for j, evidence in enumerate(cause.evidence):
            yield from _condition_complaints(evidence.when, f"causes[{i}].evidence[{j}].when", rising=None)
        for j, advice in enumerate(cause.advise):
            yield from _condition_complaints(advice.when, f"causes[{i}].advise[{j}].when", rising=None)
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


def _rescale_complaints(ask: Mapping[str, Any], at: str) -> Iterator[str]:
    numbers = {name: value for name, value in ask.items() if isinstance(value, (int, float)) and value > 0}
    if ask and (set(ask) != RESCALE_KEYS or len(numbers) != len(ask)):
        yield f"{at}: {', '.join(sorted(RESCALE_KEYS))} are wanted, numbers above 0"


def _fix_complaints(fix: Fix, at: str) -> Iterator[str]:
    for name, change in fix.change.items():
        if name not in SETTINGS:
            yield f"{at}.change.{name}: not a training setting (known: {', '.join(SETTINGS)})"
        if len(change) != 1 or not set(change) <= set(CHANGES):
            yield f"{at}.change.{name}: exactly one of {', '.join(CHANGES)} is wanted"
        for operation, amount in change.items():
            yield from amount_complaints(operation, amount, f"{at}.change.{name}.{operation}")
    yield from _rescale_complaints(fix.rescale, f"{at}.rescale")
    for part, known in (("dataset", DATASET_KEYS), ("captions", CAPTION_KEYS)):
        if unknown := sorted(set(getattr(fix, part)) - known):
            yield f"{at}.{part}.{unknown[0]}: not a key here (known: {', '.join(sorted(known))})"
    share = fix.dataset.get("until_share", 0.5)
    if not isinstance(share, float) or not 0 < share < 1:
        yield f"{at}.dataset.until_share: a share between 0 and 1 is wanted, not {share!r}"
