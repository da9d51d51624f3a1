"""A config's text -> what it says, as dicts, lists, texts and numbers: JSON, TOML, YAML. Bounded, never executed."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from lora_doctor.errors import InputRefused, LoraDoctorError, UsageError
from lora_doctor.regular_file import check_regular_file, opened, read_at
from lora_doctor.trainer_yaml import parse_trainer_yaml

MAX_CONFIG = 2**22
"""Bytes. OneTrainer writes statistics of each concept into its file; a hundred concepts have some 500 KB."""
MAX_YAML = 2**16
"""Characters; the parser reads some 30 KB a second, and a config with a hundred folders has 30 KB."""
MAX_DOTS = 200
"""Of one line of TOML: the parser's time grows with the square of the parts of a key."""
MAX_DEPTH = 64
"""Brackets in one another; configs nest six deep."""

_MERGED = re.compile(r"<<['\"]?\s*:(?!\s*\*[\w.-]+\s*(?:#.*)?$)|![^\s]*merge|^%TAG", re.MULTILINE)
"""YAML that merges several tables into one: ten lines of it can ask for more than the memory holds."""
_LOADS: dict[str, Callable[[str], Any]]


def parsed(path: Path, text: str) -> Any:
    """What the config at `path` says; its ending tells the language. Raises UsageError for what cannot be read."""
    value, problem = _outcome(path.suffix.lower(), text)
    if problem is not None:
        raise UsageError(problem, path=path, advice="Check the file with the trainer it was written for.")
    return value


def tried(path: Path, text: str | None) -> Any:
    """The same, or None for anything that cannot be read; never raises."""
    return None if text is None else _outcome(path.suffix.lower(), text)[0]


def table_of(path: Path, text: str) -> Mapping[str, Any]:
    """The same of a config that is one table (an object, a mapping). Raises UsageError."""
    value = parsed(path, text)
    if not isinstance(value, dict):
        raise UsageError("is not a table of settings.", path=path, advice="Give the trainer's own config.")
    return value


def read_text(path: Path, *, limit: int = MAX_CONFIG) -> str:
    """The text of a small file; `\\r\\n` and `\\r` end lines as well. Raises UsageError, also for bytes not UTF-8."""
    try:
        if (size := check_regular_file(path)) > limit:
            raise InputRefused(f"has {size} bytes, more than the {limit} a config may have.", path=path)
        with opened(path) as descriptor:
            raw = read_at(descriptor, 0, limit + 1)[:limit]
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"is not UTF-8 at byte {error.start}.", path=path, advice="Save it as UTF-8.") from None
    except LoraDoctorError as error:
        raise UsageError(error.what, path=path, advice="Give the trainer's config, or the folder itself.") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


@lru_cache(maxsize=4)
def _outcome(ending: str, text: str) -> tuple[Any, str | None]:
    """(what it says, None), or (None, why it cannot be read). Remembered, since every plug-in asks."""
    load = _LOADS.get(ending)
    if load is None:
        return None, f"ends in {ending or 'nothing'}: a config ends in {', '.join(_LOADS)}."
    if len(text) > MAX_CONFIG:
        return None, f"is longer than the {MAX_CONFIG} characters a config may have."
    try:
        return load(text), None
    except RecursionError:
        return None, "nests too deep to be a config."
    except Exception as error:  # whatever a stranger's text makes a parser raise
        return None, f"cannot be read: {' '.join(str(error).split())[:200] or type(error).__name__}."


def _json(text: str) -> Any:
    return _shallow(json.loads(text))


def _toml(text: str) -> Any:
    if any(line.count(".") > MAX_DOTS for line in text.split("\n")):
        raise ValueError(f"a line has more than {MAX_DOTS} dots")
    return _shallow(tomllib.loads(text))


def _yaml(text: str) -> Any:
    if len(text) > MAX_YAML:
        raise ValueError(f"a YAML config may have {MAX_YAML} characters, this one has {len(text)}")
    if _MERGED.search(text):
        raise ValueError("it merges several tables into one (`<<`), which is not read here")
    return _shallow(parse_trainer_yaml(text))


def _shallow(value: Any) -> Any:
    """The value, unless it nests too deep. Raises RecursionError.

    Looks at each table once: YAML's aliases may name one table a thousand times, or itself.
    """
    seen: set[int] = set()
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, (dict, list)) and id(one) not in seen:
                seen.add(id(one))
                inner.extend(one.values() if isinstance(one, dict) else one)
        if not inner:
            return value
        level = inner
    raise RecursionError


_LOADS = {".json": _json, ".jsonc": _json, ".toml": _toml, ".yaml": _yaml, ".yml": _yaml}
ENDINGS = tuple(_LOADS)
"""What a config ends in."""


def shown(value: Any, most: int = 60) -> str:
    """A value of a config as a message shows it: one line, printable, at most `most` characters."""
    text = ascii(value[: most + 1]) if isinstance(value, str) else type(value).__name__
    if isinstance(value, (bool, int, float)) and not (isinstance(value, int) and abs(value) > 10**18):
        text = str(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def is_ours_to_open(path: Path, endings: tuple[str, ...]) -> bool:
    """Whether a file that a config names ends as it should: a config must not make us open just anything."""
    return os.path.splitext(path.name)[1].lower() in endings
