"""Commands in a script that starts a trainer -> their words and options. Nothing is executed; variables that the script
sets itself are put in.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

MAX_SCRIPT = 2**16
"""Characters; the parser reads about a million a second."""
MAX_VALUE = 4096
"""Characters of a variable: a script may double one in every line."""
_CONFIGS = (".json", ".jsonc", ".toml", ".yaml", ".yml", ".jsonl", ".csv")
_CONTINUED = re.compile(r"[\\^`][ \t]*\n")
_OF_WINDOWS = {".bat": ('"', ""), ".cmd": ('"', ""), ".ps1": ("'\"", "#")}
"""Ending of a script in which a backslash is only part of a path -> marks of quotation, and what begins a comment."""
_CONTINUED_THERE = re.compile(r"[\^`][ \t]*\n")
_SET = re.compile(r"(?:export\s+|set\s+\"?|\$(?:env:)?)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)|%(\w+)%")
_BETWEEN = ("&&", "||", ";", "|", "&")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a script."""

    words: tuple[str, ...]
    """All of it, options included."""
    options: Mapping[str, str | bool]
    """Name without dashes, with `_` for `-` -> its value, or True; the last of several counts.

    Of the script that it runs, where it runs one: `accelerate launch --config_file` is accelerate's own.
    """

    def runs(self, *parts: str) -> bool:
        """Whether the name of a program or script it runs holds one of `parts`."""
        return any(part in os.path.basename(word) for word in self.words if not word.startswith("-") for part in parts)


def commands_in(path: Path, text: str | None) -> list[Command]:
    """The commands with options in a script; none for what is no script. Never raises."""
    if text is None or path.suffix.lower() in _CONFIGS or len(text) > MAX_SCRIPT or "--" not in text:
        return []
    ending = path.suffix.lower()
    continued = _CONTINUED_THERE if ending in _OF_WINDOWS else _CONTINUED
    return list(_commands(continued.sub(" ", text.replace("\r\n", "\n")), ending))


def _words(line: str, ending: str) -> list[str]:
    """The words of a line. Raises ValueError for a quote that does not end."""
    if ending not in _OF_WINDOWS:
        return shlex.split(line, comments=True)
    words = shlex.shlex(line, posix=True)
    words.whitespace_split, words.escape = True, ""
    words.quotes, words.commenters = _OF_WINDOWS[ending]
    return list(words)


def _commands(text: str, ending: str) -> Iterator[Command]:
    known: dict[str, str] = {}
    for line in text.split("\n"):
        try:
            words = _words(line, ending)
        except ValueError:  # a quote that does not end
            continue
        if (found := _SET.fullmatch(line.strip())) and not any(word.startswith("--") for word in words):
            values = [word.split("=", 1)[1] for word in words if "=" in word]
            if "=" in words[:-1]:  # PowerShell's `$D = "data"`
                values = [words[words.index("=") + 1]]
            known[found[1]] = _filled(values[0] if values else found[2], known)
            continue
        for part in _split([_filled(word, known) for word in words]):
            if options := _options(part[_program(part) :]):
                yield Command(tuple(part), options)


def _filled(word: str, known: Mapping[str, str]) -> str:
    """The word with the variables that are known."""
    if "$" not in word and "%" not in word:
        return word
    return _VARIABLE.sub(lambda found: known.get(found[found.lastindex or 0], found[0]), word)[:MAX_VALUE]


def _split(words: list[str]) -> Iterator[list[str]]:
    part: list[str] = []
    for word in words:
        if word in _BETWEEN:
            yield part
            part = []
        else:
            part.append(word)
    yield part


def _program(words: list[str]) -> int:
    """Where the options of the script or module begin; at the start where there is none."""
    for at, word in enumerate(words):
        if (word.lower().endswith(".py") and not word.startswith("-")) or (at and words[at - 1] in ("-m", "--module")):
            return at + 1
    return 0


def _options(words: list[str]) -> dict[str, str | bool]:
    options: dict[str, str | bool] = {}
    for at, word in enumerate(words):
        if not word.startswith("--") or len(word) < 3:
            continue
        name, sign, value = word[2:].partition("=")
        following = words[at + 1] if at + 1 < len(words) else "--"
        options[name.replace("-", "_")] = value if sign else True if following.startswith("--") else following
    return options
