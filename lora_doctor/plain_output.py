"""What is printed, where stdout cannot say every character: drawn in plain signs, spelled out, never a crash."""

from __future__ import annotations

import codecs
import io
from typing import TextIO

SPELLED_OUT = "lora-doctor.spelled-out"
"""Name of the error handler."""
_DRAWN = {"━": "=", "█": "#", "╌": ".", "░": ".", "▔": "^", "─": "-", "·": "|", "−": "-", "–": "-", "’": "'"}
"""Signs of bars, lines and print, and what stands for them. All else is spelled out, `\\u2501`: nothing is lost."""


def speak_plainly(*streams: TextIO) -> None:
    """Lets each stream take any text, whatever its encoding (that of a pipe on Windows is cp1252)."""
    codecs.register_error(SPELLED_OUT, _spelled_out)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=SPELLED_OUT)


def _spelled_out(error: UnicodeError) -> tuple[str | bytes, int]:
    """What stands for the characters that cannot be encoded, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    told = (error.object[at] for at in range(error.start, error.end))
    plain = "".join(_DRAWN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in told)
    return plain, error.end
