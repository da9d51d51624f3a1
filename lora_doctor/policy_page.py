"""What `lora-doctor policy` says: the lines of a lint, and a policy with where each key comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lora_doctor.errors import printable
from lora_doctor.judgement import today
from lora_doctor.plugins import data_folder
from lora_doctor.policy import KEYS, ResolvedPolicy, ended, resolve_policy
from lora_doctor.policy_file import RULES, WAIVERS
from lora_doctor.policy_lint import Complaint, lint_policy
from lora_doctor.rule_files import load_rules
from lora_doctor.settings import MatrixSettings


def lint(choice: str, folder: Path | None = None) -> tuple[list[str], int]:
    """The lines that `policy lint` prints, and its exit code: 0 nothing to say, 1 it works but, 2 it is refused.

    `folder` is a rules folder; None = lora-doctor's own.
    """
    where = folder or data_folder("rules")
    rules = load_rules(where)
    found = lint_policy(where, choice, rules=rules, rendered=MatrixSettings().weights, today=today())
    lines = [_line(complaint) for complaint in found]
    if not lines:
        return [f"{choice}: nothing to say."], 0
    return lines, 2 if any(complaint.refused for complaint in found) else 1


def _line(complaint: Complaint) -> str:
    text = f"{complaint.at}: {'refused' if complaint.refused else 'note'}: {ended(complaint.text)}"
    return printable(text)


def show(choice: str, folder: Path | None = None) -> list[str]:
    """The policy of a choice as TOML, every key with the file and the line that it comes from.

    Raises UsageError as `load_policy` does, but for contradictions, which lint tells.
    """
    resolved = resolve_policy(folder or data_folder("rules"), choice)
    lines = [*_plain(resolved), *_rules(resolved), *_waivers(resolved)]
    width = min(48, max(len(text) for text, _ in lines))
    return [f"{text:{width}}  {f'# {source}' if source else ''}".rstrip() for text, source in lines]


def _plain(resolved: ResolvedPolicy) -> Iterator[tuple[str, str]]:
    if resolved.policy.extends:
        yield f'extends = "{resolved.policy.extends}"', _short(resolved.layers[0].at("extends"))
    for key in KEYS:
        value = getattr(resolved.policy, key)
        if key in (RULES, WAIVERS):
            continue
        if value is None:
            yield f"# {key}: no warning level", ""
        else:
            said = (key,) in resolved.origins
            yield f"{key} = {_toml(value)}", _short(resolved.at(key)) if said else "default"


def _rules(resolved: ResolvedPolicy) -> Iterator[tuple[str, str]]:
    if resolved.policy.rules:
        yield "", ""
        yield "[rules]", ""
    for rule, level in resolved.policy.rules.items():
        yield f'{rule} = "{level}"', _short(resolved.at(RULES, rule))


def _waivers(resolved: ResolvedPolicy) -> Iterator[tuple[str, str]]:
    for i, waiver in enumerate(resolved.policy.waivers):
        yield "", ""
        yield "[[waivers]]", _short(resolved.at(WAIVERS, i))
        for key in ("rule", "reason", "expires", "lora", "where"):
            if value := getattr(waiver, key):
                yield f"{key} = {value if key == 'expires' else _toml(value)}", ""


def _short(place: str) -> str:
    """`standard.toml:12`: the file's name is enough, the terminal knows the folder."""
    return Path(place).name


def _toml(value: Any) -> str:
    """A value as TOML writes it; JSON's texts, lists and numbers are TOML's as well."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{json.dumps(key)} = {_toml(each)}' for key, each in value.items())} }}"
    return json.dumps(value)
