"""`metadata.jsonl` and `metadata.csv`: pictures and captions in a table, as Hugging Face's imagefolder has them.

Source: datasets' folder_based_builder (a column `file_name`, relative to the table; pictures that are not in the table
are left out); diffusers examples/dreambooth (`--caption_column`), examples/text_to_image (a list of captions: any).
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_doctor.errors import InputRefused, UsageError
from lora_doctor.layouts.config_text import read_text
from lora_doctor.layouts.folders import lies_in

NAMES = ("metadata.jsonl", "metadata.csv")
UNREAD = "metadata.parquet"
MAX_TABLE = 2**26
"""Bytes: 6 kilobytes for each of ten thousand pictures."""
MAX_ROWS = 500_000
COLUMNS = ("text", "caption", "captions", "prompt", "description")
"""Columns that hold captions, likeliest first, where nobody says which one does."""
MAX_COPIES = 100
"""Rows of one picture that are told apart; trainers that have no repeats are given a picture by several rows."""


@dataclass(frozen=True, slots=True)
class Table:
    """Pictures of one folder, with their captions."""

    rows: Mapping[str, tuple[str, ...]]
    """Name below the table's folder -> its caption in each of its rows; an empty text where the row has none."""
    column: str | None
    """Which one holds the captions; None = none does."""
    outside: int = 0
    """Rows that name a picture somewhere else."""
    lacking: int = 0
    """Pictures with nothing in the column of the captions, where others have something there."""

    def grouped(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """How many rows, and the pictures that have so many."""
        groups: dict[int, list[str]] = {}
        for name, captions in self.rows.items():
            groups.setdefault(min(len(captions), MAX_COPIES), []).append(name)
        yield from ((rows, tuple(names)) for rows, names in sorted(groups.items()))

    def captions(self, names: Iterable[str]) -> dict[str, str]:
        """Name -> its captions, a line each, of those that have one; what was a line's end inside one is a space."""
        found = {}
        for name in names:
            lines = [" ".join(caption.split()) for caption in self.rows[name]]
            if any(lines):
                found[name] = "\n".join(dict.fromkeys(line for line in lines if line))
        return found


def table_in(folder: Path, *, column: str | None = None, usual: str | None = None) -> Table | None:
    """The table in `folder`, the first of `NAMES`; None where there is none that names pictures.

    `column` holds the captions; None = `usual` where any row has it, else that of `COLUMNS` which most rows have.
    Raises InputRefused for a table that cannot be read, UsageError for one without `column`.
    """
    path = next((folder / name for name in NAMES if lies_in(folder, name)), None)
    if path is None:
        return None
    try:
        text = read_text(path, limit=MAX_TABLE)
        rows = _json_lines(text) if path.suffix == ".jsonl" else _csv_rows(text)
    except UsageError as error:
        raise InputRefused(error.what, path=path, advice="Mend it, or take it out of the dataset.") from None
    except ValueError as error:
        raise InputRefused(f"cannot be read: {error}.", path=path, advice="Mend it, or take it out.") from None
    return _table(path, rows, column, usual)


def json_lines(path: Path, text: str) -> list[dict[str, Any]]:
    """The objects of a text that has one in each line. Raises UsageError, with the line."""
    try:
        return _json_lines(text)
    except ValueError as error:
        raise UsageError(f"cannot be read: {error}.", path=path, advice="Mend it.") from None


def inside(name: object) -> str | None:
    """A name below a folder, with `/` between folders; None for one that leads out of it, or is none."""
    if not isinstance(name, str) or not name or "\0" in name or len(name) > 4096:
        return None
    plain = os.path.normpath(name.replace("\\", "/"))
    out = plain.startswith(("/", "../")) or plain in ("..", ".") or plain[1:2] == ":"
    return None if out else plain


def _table(path: Path, rows: Sequence[Mapping[str, Any]], column: str | None, usual: str | None) -> Table | None:
    if not any("file_name" in row for row in rows):
        return None
    chosen = column or _likeliest(rows, usual)
    if column is not None and not any(column in row for row in rows):
        raise UsageError(f"has no column {column!r}.", path=path, advice="Name the one that holds the captions.")
    found: dict[str, list[str]] = {}
    outside = 0
    for row in rows:
        name = inside(row.get("file_name"))
        if name is None:
            outside += 1
        else:
            found.setdefault(name, []).append(_caption(row.get(chosen) if chosen else None))
    lacking = sum(not any(map(str.strip, captions)) for captions in found.values()) if chosen else 0
    return Table({name: tuple(captions) for name, captions in found.items()}, chosen, outside, lacking)


def _likeliest(rows: Sequence[Mapping[str, Any]], usual: str | None) -> str | None:
    """The column of the captions: the one that most rows have, of two the likelier; None where no row has any."""
    counts = {name: sum(bool(row.get(name)) for row in rows) for name in COLUMNS}
    if usual and counts.get(usual):
        return usual
    best = max(COLUMNS, key=lambda name: counts[name])
    return best if counts[best] else None


def _caption(value: Any) -> str:
    """The caption of a row; of several, a line each."""
    if isinstance(value, list):
        return "\n".join(" ".join(one.split()) for one in value if isinstance(one, str))
    return value if isinstance(value, str) else ""


def _json_lines(text: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise ValueError(f"line {number} is not JSON") from None
        if not isinstance(row, dict):
            raise ValueError(f"line {number} is not an object")
        if len(rows) == MAX_ROWS:
            raise ValueError(f"it has more than {MAX_ROWS} lines")
        rows.append(row)
    return rows


def _csv_rows(text: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    try:
        reader = csv.DictReader(io.StringIO(text), strict=True)
        for row in reader:
            if len(rows) == MAX_ROWS:
                raise ValueError(f"it has more than {MAX_ROWS} lines")
            if any(row.get(None, ())):  # what no column of the header names
                raise ValueError(
                    f"line {reader.line_num} has more columns than the header: a text with commas stands between "
                    'quotation marks, "..."'
                )
            rows.append({key: value for key, value in row.items() if isinstance(key, str)})
    except csv.Error as error:
        raise ValueError(f"line {len(rows) + 2}: {error}") from None
    return rows
