"""What of a dataset was left out, or is not as it is meant: collected by name, or refused at the first one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lora_doctor.errors import InputRefused
from lora_doctor.types import Skipped

MAX_NAMED = 10_000
"""Files that are named; of more, only the number is told: a tree may hold half a million."""
MAX_REASON = 400
"""Characters."""

Kind = Literal["picture", "caption", "folder"]


@dataclass(kw_only=True, slots=True)
class Skips:
    """The files of a dataset that could not be used, or not as they are meant, so far."""

    strict: bool = False
    """True = the first that cannot be used is refused; remarks are collected all the same."""
    named: list[Skipped] = field(default_factory=list)
    unnamed: int = 0
    """Those beyond `MAX_NAMED`."""

    def skip(self, error: InputRefused, kind: Kind) -> None:
        """Notes what `error` says of its path; raises it when strict."""
        if self.strict:
            raise error
        self._note(Path(error.path or ""), kind, f"{error.what} {error.advice}", remark=False)

    def remark(self, path: Path, kind: Kind, says: str) -> None:
        """Notes that something is odd about a file that does no harm."""
        self._note(path, kind, says, remark=True)

    def _note(self, path: Path, kind: Kind, says: str, *, remark: bool) -> None:
        if len(self.named) >= MAX_NAMED:
            self.unnamed += 1
            return
        line = str(InputRefused(says))  # one line, printable
        reason = line if len(line) <= MAX_REASON else f"{line[: MAX_REASON - 3]}..."
        self.named.append(Skipped(path=path, kind=kind, reason=reason, remark=remark))
