"""What a script itself has set before a line: its variables and lists. Pure; nothing is executed.

What is set in a branch or a loop holds to the end of that block, and is not known behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lora_doctor.edits.command_shells import BATCH, POWERSHELL, SH, Shell, Word

MOST_VALUE = 4096
"""Characters of a variable: a script may double one in every line."""
PREFIXES = ("then", "else", "elif", "do", "{", "!", "if", "while", "until")
"""Words of sh that a command of its own may follow."""
_OPENS = ("if", "for", "while", "until", "case", "select", "{")
_CLOSES = ("fi", "done", "esac", "}")
_OTHER_BRANCH = ("else", "elif")
SETS = ("export", "set", "declare", "local", "readonly", "setlocal", "typeset")
_LOOPS = ("for", "select")
_GIVEN_BY_OTHERS = ("read", "unset", "mapfile", "readarray", *_LOOPS)
"""Commands whose words are names of variables that get a value which only a running shell knows."""
_ASSIGNS = re.compile(r"([A-Za-z_]\w*)(\[[^]]*\])?(\+?)=(.*)", re.DOTALL)
_NAME = re.compile(r"(?:\[[\w.\[\]]+\])?\$?(?:env:)?\{?([A-Za-z_]\w*)\}?", re.IGNORECASE)
_ONE_LITERAL = re.compile(r"\"[^\"]*\"|'[^']*'|[^\"',@\[][^\"',]*", re.DOTALL)
"""A value in PowerShell that is one text: no list, no call."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a variable holds."""

    text: str
    known: bool = True
    """False where only a running shell knows the rest."""
    whole: bool = False
    """Whether it has quotes of its own, so that it stays one word wherever it is put in (batch files)."""

    @property
    def words(self) -> list[str]:
        """What the shell makes of it outside quotes."""
        return [self.text] if self.whole else self.text.split()


@dataclass(slots=True)
class Variables:
    """The variables and lists of a script, up to where it has been read."""

    shell: Shell
    values: dict[str, Value] = field(default_factory=dict)
    lists: dict[str, list[Word]] = field(default_factory=dict)
    _blocks: list[set[str]] = field(default_factory=list)
    """For every block that is open: the names that were set in it."""

    def value(self, found: re.Match[str]) -> Value | None:
        """What the variable holds that `Shell.variable` has found; None where the script does not tell."""
        name = found[found.lastindex or 0]
        return self.values.get(self._key(name))

    def set_list(self, target: str, words: list[Word], sure: bool) -> None:
        """Note `NAME=( ... )`, or `NAME+=( ... )` where `target` ends in `+`; not `sure`: behind `&&` or `||`."""
        name, more = target.removesuffix("+"), target.endswith("+")
        self._touch(name)
        if not sure or (more and (self._blocks or name not in self.lists)):
            self._forget([name])
        else:
            self.lists[name] = [*(self.lists[name] if more else ()), *words]
            self.values.pop(name, None)

    def enter(self, words: Sequence[Word], word: Word) -> None:
        """Keep count of the blocks of sh and PowerShell: `word` follows `words` of the same command."""
        if self.shell is POWERSHELL and word.text in "{}":
            self.open() if word.text == "{" else self.close()
        named = word.text == "{" and bool(words) and words[0].text == "function"
        if self.shell is not SH or not (named or all(one.text in PREFIXES for one in words)):
            return
        if word.text in _OPENS:
            self.open()
        elif word.text in _OTHER_BRANCH and self._blocks:
            self._forget(self._blocks[-1])
        elif word.text in _CLOSES:
            self.close()

    def open(self) -> None:
        """A block begins: a branch, a loop, a function."""
        self._blocks.append(set())

    def close(self) -> None:
        """A block ends: what was set in it may have been, or not."""
        if self._blocks:
            inner = self._blocks.pop()
            self._forget(inner)
            if self._blocks:
                self._blocks[-1] |= inner

    def note(self, words: Sequence[Word], script: str, sure: bool, called: bool) -> bool:
        """Whether the command only sets variables; they are noted, or forgotten where their value is not known.

        `sure`: it does not stand behind `&&` or `||`; `called`: a bracket follows it, as behind a function's name.
        """
        if self.shell is POWERSHELL:
            return self._note_powershell(words, script, sure and not called)
        return self._note_batch(words, script, sure) if self.shell is BATCH else self._note_sh(words, sure)

    def _note_sh(self, words: Sequence[Word], sure: bool) -> bool:
        while words and words[0].text in PREFIXES:
            words = words[1:]
        if words and words[0].text in _GIVEN_BY_OTHERS:
            given = [word.text for word in (words[1:2] if words[0].text in _LOOPS else words[1:])]
            self._touch(*given)
            self._forget(given)
            return False
        if words and words[0].text in SETS:
            words = [word for word in words[1:] if not word.text.startswith("-")]
        pairs = [(found, word) for word in words if (found := _ASSIGNS.fullmatch(word.text)) is not None]
        if not pairs or len(pairs) < len(words):
            return False
        for found, word in pairs:
            name, element, more, text = found.groups()
            self._assign(name, Value(text, word.known), sure and not element, bool(more))
        return True

    def _note_batch(self, words: Sequence[Word], script: str, sure: bool) -> bool:
        texts = [word.text for word in words]
        at = next((i for i, text in enumerate(texts) if text.lower() == "set"), None)
        if at is None or at + 1 == len(texts):
            return False
        own = words[at + 1 :]
        while own and own[0].text.lower() in ("/a", "/p"):  # reckoned, asked for
            own, sure = own[1:], False
        name, sign, text = " ".join(word.text for word in own).partition("=")
        if not sign:
            return False
        raw = script[own[0].start : own[-1].end]
        around = raw.count('"') == 2 and raw[0] == raw[-1] == '"'  # set "NAME=value"
        value = Value(text, all(word.known for word in own), whole='"' in raw and not around)
        self._assign(name.strip(), value, sure and at == 0, False)
        return at == 0

    def _note_powershell(self, words: Sequence[Word], script: str, sure: bool) -> bool:
        raw = [script[word.start : word.end] for word in words]
        if len(raw) < 2 or raw[1] not in ("=", "+=") or (found := _NAME.fullmatch(raw[0])) is None:
            return False
        one = len(raw) == 3 and _ONE_LITERAL.fullmatch(raw[2]) is not None
        value = Value(words[2].text if one else "", one and words[2].known, whole=True)
        self._assign(found[1], value, sure and one and raw[1] == "=", False)
        return True

    def _assign(self, name: str, value: Value, sure: bool, more: bool) -> None:
        """One variable; where it is not sure that this is what it holds from now on, it is forgotten."""
        key = self._key(name)
        self._touch(key)
        before = self.values.get(key)
        if not sure or (more and (before is None or self._blocks)):
            self._forget([key])
            return
        text = (before.text if more and before is not None else "") + value.text
        known = value.known and len(text) <= MOST_VALUE and (not more or (before is not None and before.known))
        self.values[key] = Value(text[:MOST_VALUE], known, value.whole)
        self.lists.pop(key, None)

    def _key(self, name: str) -> str:
        return name if self.shell is SH else name.lower()

    def _touch(self, *names: str) -> None:
        if self._blocks:
            self._blocks[-1].update(names)

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            self.values.pop(name, None)
            self.lists.pop(name, None)
