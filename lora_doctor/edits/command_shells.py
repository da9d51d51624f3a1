"""The languages of scripts that start a trainer, and a word of their commands."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shell:
    """What a language of scripts writes its words with."""

    escape: str
    quotes: str
    """Marks that a text may stand between."""
    variable: re.Pattern[str]
    comment: re.Pattern[str]
    """Where a word may begin."""
    doubled: bool = False
    """Whether a mark within its text is written twice."""
    joins: str = ";&|()"
    """Outside quotes, between commands."""


SH = Shell("\\", "'\"", re.compile(r"\$\{(\w+)\}|\$(\w+)"), re.compile(r"#"))
BATCH = Shell("^", '"', re.compile(r"%(\w+)%"), re.compile(r"(?:@?rem\b|::)", re.IGNORECASE), joins="&|()")
POWERSHELL = Shell(
    "`", "'\"", re.compile(r"\$(?:env:)?\{?(\w+)\}?", re.IGNORECASE), re.compile(r"#"), doubled=True, joins=";&|()"
)
SHELLS = {".sh": SH, ".bash": SH, ".bat": BATCH, ".cmd": BATCH, ".ps1": POWERSHELL}
"""Ending of a script -> its language."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command."""

    start: int
    end: int
    """Its place in the script, quotes included."""
    text: str
    """What the program is given."""
    known: bool = True
    """False where only a running shell knows the rest."""
