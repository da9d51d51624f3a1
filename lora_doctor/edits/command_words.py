"""A script of commands -> its words with their places: sh, Windows batch files, PowerShell. Nothing is executed.

Variables and lists that the script itself sets are put in; what only a running shell knows stays as it is written, and
the word says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MOST_VALUE = 4096
"""Characters of a variable: a script may double one in every line."""
_BLANK = " \t\r"


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
_LIST = re.compile(r"[\"']?\$\{(\w+)\[[@*]\]\}[\"']?(?![^\s;&|()])")
_OPEN = re.compile(r"\$\(|\$\{|`|\$[@*#?!0-9]|%[*~0-9]|\$\w")
_NAME = re.compile(r"(?:\$(?:env:)?)?([A-Za-z_]\w*)", re.IGNORECASE)
_SETS = ("export", "set", "declare", "local", "readonly", "setlocal")
_REDIRECTION = re.compile(r"\d*(?:>>|>&|<<<|<<|>|<)&?|&>>?")


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


@dataclass(slots=True)
class _Known:
    values: dict[str, str] = field(default_factory=dict)
    lists: dict[str, list[Word]] = field(default_factory=dict)


def commands(script: str, shell: Shell) -> list[list[Word]]:
    """The commands in their order, as words. Raises ValueError for a quote that does not end."""
    known, found = _Known(), []
    for words in _Reader(script, shell, known).commands():
        if not _set(words, known, shell):
            found.append(words)
    return found


def _set(words: list[Word], known: _Known, shell: Shell) -> bool:
    """Whether the command only sets variables; they are noted."""
    texts = [word.text for word in words]
    if texts[0].lower() in _SETS and len(texts) > 1:
        texts = [" ".join(texts[1:])] if shell is BATCH else texts[1:]
    if len(texts) >= 3 and texts[1] == "=":
        texts = [f"{texts[0]}={' '.join(texts[2:])}"]
    pairs = [text.partition("=") for text in texts]
    if not all(sign and _NAME.fullmatch(name) for name, sign, _ in pairs):
        return False
    for name, _, value in pairs:
        found = _NAME.fullmatch(name)
        if found is not None:
            known.values[found[1].lower() if shell is not SH else found[1]] = value[:MOST_VALUE]
    return True


class _Reader:
    """Reads a script once, from its beginning."""

    def __init__(self, script: str, shell: Shell, known: _Known) -> None:
        self.script, self.shell, self.known = script, shell, known
        self.at = 0

    def commands(self) -> Iterator[list[Word]]:
        """Each command's words; those of a list stand where the list is named."""
        words: list[Word] = []
        while self.at < len(self.script):
            if self._blank() or self._comment(words) or self._redirection():
                continue
            sign = self.script[self.at]
            if sign == "\n" or sign in self.shell.joins:
                self.at += 1
                if words:
                    yield words
                words = []
                continue
            words += self._word()
        if words:
            yield words

    def _blank(self) -> bool:
        """Steps over what is between words: a line that goes on is one."""
        end = self._line_goes_on(self.at)
        if end is None and self.script[self.at] not in _BLANK:
            return False
        self.at = end if end is not None else self.at + 1
        return True

    def _line_goes_on(self, at: int) -> int | None:
        """The beginning of the next line, if the escape stands at the end of this one."""
        if self.script[at] != self.shell.escape:
            return None
        end = at + 1
        while end < len(self.script) and self.script[end] in _BLANK:
            end += 1
        return end + 1 if end < len(self.script) and self.script[end] == "\n" else None

    def _comment(self, words: list[Word]) -> bool:
        if (words and self.shell is BATCH) or self.shell.comment.match(self.script, self.at) is None:
            return False
        end = self.script.find("\n", self.at)
        self.at = len(self.script) if end < 0 else end
        return True

    def _redirection(self) -> bool:
        """Steps over `> log.txt` and its like, which are not given to the program."""
        found = _REDIRECTION.match(self.script, self.at)
        if found is None:
            return False
        self.at = found.end()
        while self.at < len(self.script) and self._blank():
            pass
        if self.at < len(self.script) and self.script[self.at] not in "\n" + self.shell.joins:
            self._word()
        return True

    def _word(self) -> list[Word]:
        start, parts, known = self.at, list[str](), True
        named = _LIST.match(self.script, self.at) if self.shell is SH else None
        while self.at < len(self.script):
            sign = self.script[self.at]
            if sign == "(" and parts and parts[-1].endswith("=") and self.shell is SH:
                self.known.lists[parts[-1][:-1]] = self._list()
                return []
            if sign in _BLANK or sign == "\n" or sign in self.shell.joins or self._line_goes_on(self.at) is not None:
                break
            if sign in self.shell.quotes:
                part, sure = self._quoted(sign)
            elif sign == self.shell.escape and self.at + 1 < len(self.script):
                part, sure = self.script[self.at + 1], True
                self.at += 2
            else:
                part, sure = self._bare()
            parts.append(part)
            known &= sure
        if named is not None and named[1] in self.known.lists:
            return self.known.lists[named[1]]
        return [Word(start, self.at, "".join(parts), known)]

    def _list(self) -> list[Word]:
        """The words between the brackets of `NAME=( ... )`, over any number of lines."""
        self.at += 1
        words: list[Word] = []
        while self.at < len(self.script) and self.script[self.at] != ")":
            if self.script[self.at] == "\n":
                self.at += 1
            elif not self._blank() and not self._comment([]):
                before = self.at
                words += self._word()
                self.at += self.at == before
        self.at += 1
        return words

    def _quoted(self, mark: str) -> tuple[str, bool]:
        self.at += 1
        parts: list[str] = []
        literal = mark == "'"
        while self.at < len(self.script):
            sign, following = self.script[self.at], self.script[self.at + 1 : self.at + 2]
            if sign == mark and self.shell.doubled and following == mark:
                parts.append(mark)
                self.at += 2
            elif sign == mark:
                self.at += 1
                return self._filled("".join(parts), literal)
            elif sign == self.shell.escape and not literal and self.shell is not BATCH and self._escapes(following):
                parts.append("" if following == "\n" else "\0" if following == "$" else following)
                self.at += 2
            else:
                parts.append(sign)
                self.at += 1
        raise ValueError("a quote does not end")

    def _escapes(self, following: str) -> bool:
        """Within quotes sh's escape means itself, but for these."""
        return bool(following) and (self.shell is not SH or following in '$`"\\\n')

    def _bare(self) -> tuple[str, bool]:
        if self.shell is not BATCH and self.script.startswith("$(", self.at):
            return self._of_the_shell()
        stops = _BLANK + "\n" + self.shell.joins + self.shell.quotes + self.shell.escape
        start = self.at
        self.at += 1
        while self.at < len(self.script) and self.script[self.at] not in stops:
            if self.script.startswith("$(", self.at) and self.shell is not BATCH:
                break
            self.at += 1
        return self._filled(self.script[start : self.at], False)

    def _of_the_shell(self) -> tuple[str, bool]:
        """`$( ... )`, as it is written."""
        start, depth = self.at, 0
        while self.at < len(self.script):
            depth += {"(": 1, ")": -1}.get(self.script[self.at], 0)
            self.at += 1
            if depth == 0 and self.at > start + 2:
                break
        return self.script[start : self.at], False

    def _filled(self, text: str, literal: bool) -> tuple[str, bool]:
        """The text with the variables that are known, and whether nothing else is left for the shell."""
        if literal:
            return text, True
        filled = self.shell.variable.sub(self._value, text)[:MOST_VALUE]
        unknown = any(self._value(found) == found[0] for found in self.shell.variable.finditer(text))
        return filled.replace("\0", "$"), not unknown and _OPEN.search(self.shell.variable.sub("", text)) is None

    def _value(self, found: re.Match[str]) -> str:
        name = found[found.lastindex or 0]
        return self.known.values.get(name if self.shell is SH else name.lower(), found[0])


def quoted(text: str, shell: Shell) -> str:
    """The text as one word of a script. Raises ValueError for a text that this language has no words for."""
    if "\n" in text or "\0" in text or (shell is BATCH and '"' in text):
        raise ValueError("it cannot be written in one word")
    if text and re.fullmatch(r"[\w@+:,./\\=-]+" if shell is BATCH else r"[\w@+:,./=-]+", text, re.ASCII):
        return text
    if shell is BATCH:
        return '"' + text.replace("%", "%%") + '"'
    return "'" + text.replace("'", "''" if shell is POWERSHELL else "'\"'\"'") + "'"
