"""Keeps what check-ups measured, so that tables of hours of work can be made again in seconds, by the rules of today.

A kept file holds the documents that are judged (`judgement.STORED`) without pictures: about 20 KB. Those that the
tables of the README come from are in `benchmarks/results/`. A LoRA of the miniature can be made again from its name,
to the bit on the same machine; what was measured on it need not be.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

from lora_doctor.judgement import STORED, Judges, diagnose_stored, load_judges
from lora_doctor.run_folder import RunFolder
from lora_doctor.types import Diagnosis

RESULTS = Path(__file__).parent / "results"
ENDING = ".json.gz"
PICTURES = "pictures"


def keep(run: Path, file: Path) -> None:
    """Write what a finished run folder measured to `file`, atomically; the same measurements are the same bytes."""
    with RunFolder(run, create=False) as folder:
        stored: dict[str, Any] = {name: folder.get_json(name) for name in STORED}
    facts = stored["facts"]
    stored[PICTURES] = [len(facts["cells"]), len(facts["arms"])]
    # Five hundred pictures have three hundred kilobytes of paths and prompts; only measurements are judged.
    stored["facts"] = {**facts, "cells": [], "arms": []}
    text = json.dumps(stored, separators=(",", ":"), sort_keys=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(file.name + ".new")
    beside.write_bytes(gzip.compress(text.encode("utf-8"), 9, mtime=0))
    beside.replace(file)


def recall(file: Path) -> Diagnosis:
    """The diagnosis that the rules of today make of a kept file; FileNotFoundError where there is none."""
    return diagnose_stored(_read(file), _judges())


def pictures(file: Path) -> tuple[int, int]:
    """How many pictures a kept check-up looked at: in the matrix, and beside it."""
    matrix, beside = _read(file)[PICTURES]
    return int(matrix), int(beside)


def kept_names(folder: Path) -> list[str]:
    """The names of what is kept in a folder, in order."""
    return sorted(path.name.removesuffix(ENDING) for path in folder.glob(f"*{ENDING}"))


def _read(file: Path) -> dict[str, Any]:
    stored = dict(json.loads(gzip.decompress(file.read_bytes())))
    return {**stored, "facts": with_nothing_doubled(with_nobody_second(stored["facts"]))}


def with_nothing_doubled(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts measured before there was `copies.doubled_excess`, with the 0 that it is where no picture has a copy."""
    found = {one["name"]: one for one in facts["measurements"]}
    doubled = found.get("pictures.duplicate_share")
    if "copies.doubled_excess" in found or doubled is None or doubled["value"] != 0:
        return facts
    nothing = {
        **doubled, "name": "copies.doubled_excess", "where": {"arm": "captions"}, "interval": [0.0, 0.0],
        "reason": None, "pictures": [],
    }  # fmt: skip
    return {**facts, "measurements": [*facts["measurements"], nothing]}


def with_nobody_second(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts measured before there was `identity.second_person`, with the 0 that it is where nobody second is known."""
    found = {one["name"]: one for one in facts["measurements"]}
    second = found.get("people.second_share")
    if "identity.second_person" in found or second is None or second["value"] != 0:
        return facts
    nobody = {
        **second, "name": "identity.second_person", "where": {"weight": "ship"}, "value": 0.0, "interval": [0.0, 0.0],
        "unit": "similarity", "reason": None, "pictures": [],
    }  # fmt: skip
    return {**facts, "measurements": [*facts["measurements"], nobody]}


@cache
def _judges() -> Judges:
    return load_judges(None, "standard")
