"""A policy's TOML files: which ones a choice means, what each says, and on which line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_doctor.errors import UsageError

FOLDER = "policies"
"""Folder of the presets, inside the rules folder."""
EXTENDS, RULES, WAIVERS = "extends", "rules", "waivers"
Key = tuple[str | int, ...]
"""`("rules", "hair-flip")`, `("waivers", 0, "expires")`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyFile:
    """One policy file, read and not yet judged."""

    path: Path
    name: str
    """The file's name without its suffix, fit to be shown."""
    values: Mapping[str, Any]
    lines: Mapping[Key, int]
    """Line of every key, from 1."""

    def at(self, *key: str | int) -> str:
        """`<path>:<line>` of a key, or of the nearest table around it."""
        line = self.line(*key)
        return f"{self.path}:{line}" if line else str(self.path)

    def line(self, *key: str | int) -> int:
        """The line of a key, or of the nearest table around it; 0 = it is nowhere in the file."""
        return next((self.lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in self.lines), 0)


def is_path(choice: str) -> bool:
    """Whether a choice of policy means a file, and not the name of a preset."""
    return choice.endswith(".toml") or "/" in choice or "\\" in choice


def read_layers(folder: Path, choice: str) -> tuple[PolicyFile, ...]:
    """The chosen policy and those it extends, the chosen one first; `folder` is the rules folder.

    Raises UsageError for an unknown preset (listing the known ones), a file that cannot be read, and a circle.
    """
    layers = [read_file(Path(choice) if is_path(choice) else _preset(folder, choice))]
    while (base := layers[-1].values.get(EXTENDS)) is not None:
        at = layers[-1].at(EXTENDS)
        if not isinstance(base, str) or is_path(base):
            raise UsageError("extends: the name of a preset is wanted.", path=at, advice=_known_text(folder))
        path = _preset(folder, base, at)
        if any(path == layer.path for layer in layers):
            raise UsageError(f"extends: {base} extends itself in the end.", path=at)
        layers.append(read_file(path))
    return tuple(layers)


def read_file(path: Path) -> PolicyFile:
    """One policy file; raises UsageError when it is not TOML."""
    try:
        text = path.read_text("utf-8-sig")
        values = tomllib.loads(text)
    except OSError as error:
        what = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise UsageError(f"{what}.", path=path) from error
    except ValueError as error:
        raise UsageError(f"cannot be read as TOML: {error}.", path=path) from error
    name = "".join(c if c.isprintable() else "?" for c in path.stem)
    return PolicyFile(path=path, name=name, values=values, lines=key_lines(text))


def _preset(folder: Path, name: str, at: str | None = None) -> Path:
    path = folder / FOLDER / f"{name}.toml"
    if path not in (folder / FOLDER).glob("*.toml"):
        raise UsageError(f"there is no policy {name!r}.", path=at or folder / FOLDER, advice=_known_text(folder))
    return path


def _known_text(folder: Path) -> str:
    known = sorted(path.stem for path in (folder / FOLDER).glob("*.toml"))
    return f"Choose one of: {', '.join(known)}." if known else ""


# ---------------------------------------------------------------- lines

_TABLE = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$")
_PAIR = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")
_TEXT = re.compile(r'"""|\'\'\'|"(?:\\.|[^"\\])*"|\'[^\']*\'|#.*')


def key_lines(text: str) -> dict[Key, int]:
    """Line of every key and table of TOML text that was read without complaint; keys of inline tables have none."""
    found: dict[Key, int] = {}
    table: Key = ()
    counts: dict[str, int] = {}
    for number, line in _statements(text):
        if header := _TABLE.match(line):
            table = tuple(_parts(header[2]))
            if header[1] == "[[":
                counts[header[2]] = counts.get(header[2], -1) + 1
                table = (*table, counts[header[2]])
            elif table and table[0] in counts:
                table = (table[0], counts[str(table[0])], *table[1:])
            found[table] = number
        elif pair := _PAIR.match(line):
            found[(*table, *_parts(pair[1]))] = number
    return found


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in _PART.findall(dotted)]


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """The lines that begin a statement, numbered from 1: not those inside a list or a text of several lines."""
    depth, quote = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if quote:
            if quote not in line:
                continue
            line, quote = line.split(quote, 1)[1], ""
        elif not depth:
            yield number, line
        bare = _TEXT.sub(lambda found: found[0] if found[0] in ('"""', "'''") else "", line)
        for mark in ('"""', "'''"):
            if bare.count(mark) % 2:
                bare, quote = bare.split(mark)[0], mark
                break
        if not _TABLE.match(line):
            depth = max(0, depth + bare.count("[") + bare.count("{") - bare.count("]") - bare.count("}"))
