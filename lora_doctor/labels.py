"""Label files (TOML) -> the closed label sets that CLIP is asked about."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from lora_doctor.errors import UsageError
from lora_doctor.types import FRAMINGS, LabelSet

_KINDS = ("identity", "body", "outfit", "environment", "framing", "pose", "expression")


def load_labels(path: Path) -> dict[str, LabelSet]:
    """Attribute -> label set, in file order.

    A table holds `kind`, `labels`, and optionally `crop` (`whole` or `head`), `framings` (where the attribute can be
    read), `templates` (texts with `{label}`), `texts` (what stands for each label in the templates, when the label
    itself says too little) and `spaces` (true: underscores become spaces in the texts).
    Raises UsageError naming the file and the table.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot be read as a label file: {error}", path=path) from error
    return {name: _label_set(name, table, path) for name, table in tables.items()}


def _label_set(name: str, table: dict[str, Any], path: Path) -> LabelSet:
    known = {"kind", "labels", "crop", "framings", "templates", "texts", "spaces"}
    if unknown := set(table) - known:
        raise UsageError(f"[{name}] has an unknown key {sorted(unknown)[0]!r}", path=path)
    labels = tuple(table.get("labels", ()))
    if len(labels) < 2 or table.get("kind") not in _KINDS:
        raise UsageError(f"[{name}] needs two labels or more and a kind out of {', '.join(_KINDS)}", path=path)
    told = table.get("texts", labels)
    if len(told) != len(labels):
        raise UsageError(f"[{name}] has {len(labels)} labels and {len(told)} texts", path=path)
    texts = [text.replace("_", " ") if table.get("spaces") else text for text in told]
    templates = table.get("templates", ["{label}"])
    return LabelSet(
        attribute=name,
        labels=labels,
        prompts=tuple(tuple(t.replace("{label}", text) for t in templates) for text in texts),
        kind=table["kind"],
        crop=table.get("crop", "whole"),
        framings=tuple(table.get("framings", FRAMINGS)),
    )
