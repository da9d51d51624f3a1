"""Commands in a script that starts a trainer -> their words and options. Nothing is executed; variables that the script
sets itself are put in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_doctor.edits.command_shells import BATCH, POWERSHELL, SH, SHELLS, Shell
from lora_doctor.edits.command_words import readable_commands

MAX_SCRIPT = 2**16
"""Characters; the parser reads about a million a second."""
_CONFIGS = (".json", ".jsonc", ".toml", ".yaml", ".yml", ".jsonl", ".csv")
_SIGNS = (
    (BATCH, re.compile(r"\^[ \t]*$|^\s*@?set\s+\w+=|%\w+%", re.MULTILINE | re.IGNORECASE)),
    (POWERSHELL, re.compile(r"`[ \t]*$|^\s*\$(?:env:)?\w+\s*=", re.MULTILINE | re.IGNORECASE)),
)
"""What no other language writes like this, in a text whose ending names none."""


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
    read = readable_commands(text.replace("\r\n", "\n"), SHELLS.get(path.suffix.lower()) or _shell_of(text))
    told = [tuple(word.text for word in words) for words in read]
    return [Command(words, options) for words in told if (options := _options(words[_program(words) :]))]


def _shell_of(text: str) -> Shell:
    """The language that a text looks like."""
    return next((shell for shell, signs in _SIGNS if signs.search(text.replace("\r", ""))), SH)


def _program(words: Sequence[str]) -> int:
    """Where the options of the script or module begin; at the start where there is none."""
    for at, word in enumerate(words):
        if (word.lower().endswith(".py") and not word.startswith("-")) or (at and words[at - 1] in ("-m", "--module")):
            return at + 1
    return 0


def _options(words: Sequence[str]) -> dict[str, str | bool]:
    options: dict[str, str | bool] = {}
    for at, word in enumerate(words):
        if not word.startswith("--") or len(word) < 3:
            continue
        name, sign, value = word[2:].partition("=")
        following = words[at + 1] if at + 1 < len(words) else "--"
        options[name.replace("-", "_")] = value if sign else True if following.startswith("--") else following
    return options
