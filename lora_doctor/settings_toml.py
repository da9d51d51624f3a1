"""The text of a lora-doctor.toml -> its tables; a backslash in a path of Windows is told from one that is meant."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lora_doctor.errors import UsageError

WRITE = "Write / in its place, or put the text in single quotes."
"""What to do about a backslash in a text in double quotes."""
_ESCAPED = {"\b": r"\b", "\t": r"\t", "\n": r"\n", "\f": r"\f", "\r": r"\r"}
"""What TOML makes of two characters, as `C:\\new` has them, and those two."""
_LINE = re.compile(r"\(at line (\d+), ")


def parse(path: Path) -> dict[str, Any]:
    """The tables in the file at `path`; UsageError with the line, and what to write there, where it is no TOML."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _LINE.search(str(error))
        line = text.splitlines()[int(found[1]) - 1] if found else ""
        escaped = re.search(r'"[^"]*\\', line) is not None
        advice = rf"`\` begins a special character there. {WRITE}" if escaped else "Mend that line."
        raise UsageError(f"is not TOML: {error}.", path=path, advice=advice) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"is not UTF-8 at byte {error.start}.", path=path, advice="Save it as UTF-8.") from None
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}.", path=path) from None


def refuse_escapes(key: str, value: Any, path: Path) -> None:
    """Raises UsageError where a text in `value` holds a line end, a tab or another such: no setting has one."""
    if isinstance(value, str):
        if escaped := next((_ESCAPED[c] for c in value if c in _ESCAPED), None):
            meant = "".join(_ESCAPED.get(c, c) for c in value)
            what = f"`{key}` is {ascii(meant)[1:-1] if not meant.isprintable() else meant}, in double quotes:"
            raise UsageError(f"{what} `{escaped}` is no backslash there.", path=path, advice=WRITE)
    elif isinstance(value, Mapping):
        for inner in value.values():
            refuse_escapes(key, inner, path)
    elif isinstance(value, Sequence):
        for inner in value:
            refuse_escapes(key, inner, path)
