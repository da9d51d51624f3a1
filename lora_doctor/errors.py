"""Expected errors, one child per exit code. Each message is one line: the path, what is wrong, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path


class LoraDoctorError(Exception):
    """An expected error; `cli` prints it as one line and exits with `exit_code`."""

    exit_code = 70

    def __init__(self, what: str, *, path: Path | str | None = None, advice: str = "") -> None:
        """`what` is wrong with `path`, and `advice` says what to do, as a sentence of its own."""
        self.what, self.path, self.advice = what, path, advice
        where = f"{path}: " if path is not None else ""
        super().__init__(_one_line(f"{where}{what}") + (f" {_one_line(advice)}" if advice else ""))


def _one_line(text: str) -> str:
    """As `printable`, with white space folded."""
    return printable(" ".join(bytes_shown(text).split()))


def first_line(error: BaseException) -> str:
    """The first line of an error's text that says anything; of one that says nothing, its kind."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def nearest(word: str, known: Sequence[str], otherwise: str | None = None) -> str:
    """`Did you mean ...?`; where none is near, `otherwise`, or the known ones without that."""
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if found:
        return f"Did you mean {found[0]}?"
    return f"Known: {', '.join(known)}." if otherwise is None else otherwise


def printable(text: str) -> str:
    """`text` as it can be shown anywhere: bytes in no encoding as `\\xNN`, characters that move a cursor escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in bytes_shown(text))


def bytes_shown(text: str) -> str:
    """Text of a file name with the bytes that are in no encoding written as `\\xNN`."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a surrogate pair
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


class UsageError(LoraDoctorError):
    """The command line or the settings file asks for something that does not exist or does not fit."""

    exit_code = 2


class InputRefused(LoraDoctorError):
    """A LoRA, dataset or run folder that cannot be what it claims to be."""

    exit_code = 4


class EnvironmentFailure(LoraDoctorError):
    """The machine failed (disk full, out of memory, missing model): the same command resumes."""

    exit_code = 5


class FolderBusy(LoraDoctorError):
    """Another lora-doctor is working in the same run folder."""

    exit_code = 6
