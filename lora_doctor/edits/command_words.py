"""A script of commands -> its words with their places: sh, Windows batch files, PowerShell. Nothing is executed.

Variables and lists that the script itself sets are put in; what only a running shell knows stays as it is written, and
the word says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lora_doctor.edits.command_shells import BATCH, POWERSHELL, SH, Shell, Word
from lora_doctor.edits.command_variables import MOST_VALUE, PREFIXES, SETS, Value, Variables

MOST_BROKEN = 5
_BLANK = " \t\r"


_LIST = re.compile(r"[\"']?\$\{(\w+)\[[@*]\]\}[\"']?(?![^\s;&|()])")
_OPEN = re.compile(r"\$\(|\$\{|`|\$[@*#?!0-9]|%[*~0-9]|\$\w")
_LATE = re.compile(r"!\w+!")
"""A variable in a batch file that is put in when its line runs."""
_SPLAT = re.compile(r"@\w")
"""In PowerShell, the words of a list."""
_SPECIAL = {SH: "*?[", BATCH: '"&|<>^%'}
"""Signs that a shell looks at again once a variable's words are put in. PowerShell takes those for one word."""
_ASSIGNED = re.compile(r"[A-Za-z_]\w*\+?=")
_REDIRECTION = re.compile(r"\d*(?:>>|>&|<<<|<<|>|<)&?|&>>?")


def commands(script: str, shell: Shell) -> list[list[Word]]:
    """The commands in their order, as words. Raises ValueError for a quote or bracket that does not end."""
    return list(_Reader(script, shell, Variables(shell)).commands())


def readable_commands(script: str, shell: Shell) -> Iterator[list[Word]]:
    """The same of a script that need not be sound: a line with a quote or bracket that does not end is left out.

    Behind `MOST_BROKEN` such lines nothing more is read: that is no script.
    """
    reader = _Reader(script, shell, Variables(shell))
    for _ in range(MOST_BROKEN):
        try:
            yield from reader.commands()
            return
        except ValueError:
            end = script.find("\n", reader.opened)
            reader.at = len(script) if end < 0 else end


class _Reader:
    """Reads a script once, from its beginning."""

    def __init__(self, script: str, shell: Shell, known: Variables) -> None:
        self.script, self.shell, self.known = script, shell, known
        self.at = 0
        self.opened = 0
        """Where the quote or bracket began that does not end."""
        self.sure = True
        """Whether the command does not stand behind `&&` or `||`."""

    def commands(self) -> Iterator[list[Word]]:
        """Each command's words, but for those that only set variables; a list's stand where the list is named."""
        words: list[Word] = []
        while self.at < len(self.script):
            if self._blank() or self._comment(words) or self._redirection():
                continue
            sign = self.script[self.at]
            if sign == "\n" or sign in self.shell.joins:
                if words and not self.known.note(words, self.script, self.sure, sign == "("):
                    yield words
                self._join(sign, bool(words))
                words = []
                continue
            for word in self._word(words):
                self.known.enter(words, word)
                words.append(word)
        if words and not self.known.note(words, self.script, self.sure, False):
            yield words

    def _join(self, sign: str, ended: bool) -> None:
        """Steps over what is between commands."""
        guarded = self.script[self.at : self.at + 2] in ("&&", "||")
        self.at += 1 + guarded
        if guarded or ended or sign != "\n":
            self.sure = not guarded
        if self.shell is BATCH and sign in "()":
            self.known.open() if sign == "(" else self.known.close()

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
            self._word([])
        return True

    def _word(self, before: Sequence[Word], *, in_list: bool = False) -> list[Word]:
        """The next word behind those `before` it in its command; several or none where a list or variable stands."""
        start, parts, known = self.at, list[str](), True
        splits = self._splits(before)
        if splits and (put_in := self._variable_alone()) is not None:
            return put_in
        named = _LIST.match(self.script, self.at) if self.shell is SH else None
        while self.at < len(self.script):
            sign = self.script[self.at]
            if sign == "(" and parts and parts[-1].endswith("=") and self.shell is SH and not in_list:
                self.known.set_list(parts[-1][:-1], self._list(), self.sure)
                return []
            if sign in _BLANK or sign == "\n" or sign in self.shell.joins or self._line_goes_on(self.at) is not None:
                break
            if sign in self.shell.quotes:
                part, sure = self._quoted(sign)
            elif sign == self.shell.escape and self.at + 1 < len(self.script):
                part, sure = self.script[self.at + 1], True
                self.at += 2
            else:
                part, sure = self._bare(splits)
            parts.append(part)
            known &= sure
        if named is not None and named[1] in self.known.lists:
            words = self.known.lists[named[1]]
            bare = self.script[start] == "$"
            if not bare or not any(set(word.text) & set(_BLANK + "\n" + _SPECIAL[SH]) for word in words):
                return words
        return [Word(start, self.at, "".join(parts), known)]

    def _splits(self, before: Sequence[Word]) -> bool:
        """Whether a bare variable here is cut into words: not where it is given to another one, nor in PowerShell."""
        if self.shell is BATCH:
            return not any(word.text.lower() == "set" for word in before)
        settled = (word.text in (*PREFIXES, *SETS) or _ASSIGNED.match(word.text) for word in before)
        assigned = _ASSIGNED.match(self.script, self.at) is not None and all(settled)
        return self.shell is SH and not assigned

    def _variable_alone(self) -> list[Word] | None:
        """The words that a variable makes which stands here by itself; None where none does that is known."""
        found = self.shell.variable.match(self.script, self.at)
        value = self.known.value(found) if found is not None else None
        if found is None or value is None:
            return None
        start, end = self.at, found.end()
        ends = _BLANK + "\n" + self.shell.joins
        if self.script[end : end + 1] not in ends and self._line_goes_on(end) is None:
            return None
        self.at = end
        if not value.whole and (set(value.text) & set(_SPECIAL[self.shell]) or not (value.known or _one(value))):
            return [Word(start, end, found[0], False)]
        return [Word(start, end, text, value.known) for text in value.words]

    def _list(self) -> list[Word]:
        """The words between the brackets of `NAME=( ... )`, over any number of lines."""
        opened = self.at
        self.at += 1
        words: list[Word] = []
        while self.at < len(self.script) and self.script[self.at] != ")":
            if self.script[self.at] == "\n":
                self.at += 1
            elif not self._blank() and not self._comment([]):
                before = self.at
                words += self._word([], in_list=True)
                self.at += self.at == before
        if self.at >= len(self.script):
            raise self._unended(opened)
        self.at += 1
        return words

    def _unended(self, opened: int) -> ValueError:
        """What began at `opened` does not end in this script."""
        self.opened = opened
        return ValueError("a quote or bracket does not end")

    def _quoted(self, mark: str) -> tuple[str, bool]:
        opened = self.at
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
        raise self._unended(opened)

    def _escapes(self, following: str) -> bool:
        """Within quotes sh's escape means itself, but for these."""
        return bool(following) and (self.shell is not SH or following in '$`"\\\n')

    def _bare(self, splits: bool) -> tuple[str, bool]:
        if self.shell is not BATCH and self.script.startswith("$(", self.at):
            return self._of_the_shell()
        stops = _BLANK + "\n" + self.shell.joins + self.shell.quotes + self.shell.escape
        start = self.at
        self.at += 1
        while self.at < len(self.script) and self.script[self.at] not in stops:
            if self.script.startswith("$(", self.at) and self.shell is not BATCH:
                break
            self.at += 1
        text = self.script[start : self.at]
        values = [self.known.value(found) for found in self.shell.variable.finditer(text)] if splits else []
        many = not all(value is None or _one(value) for value in values)
        if many or (self.shell is POWERSHELL and _SPLAT.match(text)):
            return text, False
        return self._filled(text, False)

    def _of_the_shell(self) -> tuple[str, bool]:
        """`$( ... )`, as it is written."""
        start, depth = self.at, 0
        while self.at < len(self.script):
            depth += {"(": 1, ")": -1}.get(self.script[self.at], 0)
            self.at += 1
            if depth == 0 and self.at > start + 2:
                return self.script[start : self.at], False
        raise self._unended(start)

    def _filled(self, text: str, literal: bool) -> tuple[str, bool]:
        """The text with the variables that are known, and whether nothing else is left for the shell."""
        if literal:
            return text, True
        values = [self.known.value(found) for found in self.shell.variable.finditer(text)]
        filled = self.shell.variable.sub(self._put_in, text)
        known = len(filled) <= MOST_VALUE and all(value is not None and value.known for value in values)
        left = self.shell.variable.sub("", text)
        late = self.shell is BATCH and _LATE.search(left) is not None
        return filled[:MOST_VALUE].replace("\0", "$"), known and not late and _OPEN.search(left) is None

    def _put_in(self, found: re.Match[str]) -> str:
        value = self.known.value(found)
        return found[0] if value is None else value.text


def _one(value: Value) -> bool:
    """Whether it stays one word outside quotes, or a part of one."""
    return value.whole or not set(value.text) & set(_BLANK + "\n")


def quoted(text: str, shell: Shell) -> str:
    """The text as one word of a script. Raises ValueError for a text that this language has no words for."""
    if "\n" in text or "\0" in text or (shell is BATCH and '"' in text):
        raise ValueError("it cannot be written in one word")
    if text and re.fullmatch(r"[\w@+:,./\\=-]+" if shell is BATCH else r"[\w@+:,./=-]+", text, re.ASCII):
        return text
    if shell is BATCH:
        return '"' + text.replace("%", "%%") + '"'
    return "'" + text.replace("'", "''" if shell is POWERSHELL else "'\"'\"'") + "'"
