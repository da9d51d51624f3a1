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
    return {**stored, "facts": with_known_zeros(stored["facts"])}


ZEROS = (
    ("identity.second_person", {"weight": "ship"}, "similarity", "people.second_share"),
    ("copies.doubled_excess", {"arm": "captions"}, "share", "pictures.duplicate_share"),
)
"""Measurement, slice, unit -> the older measurement of the dataset that is 0 where the newer one is 0 by definition:
nobody returns beside the character, and no picture has a copy."""


def with_known_zeros(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts that were measured before there were some measurements, with those that are 0 whatever was rendered."""
    found = {one["name"]: one for one in facts["measurements"]}
    zeros = [
        {**known, "name": name, "where": where, "unit": unit, "value": 0.0, "interval": [0.0, 0.0], "reason": None,
         "pictures": []}
        for name, where, unit, of in ZEROS
        if name not in found and (known := found.get(of)) is not None and known["value"] == 0
    ]  # fmt: skip
    return {**facts, "measurements": [*facts["measurements"], *zeros]}


@cache
def _judges() -> Judges:
    return load_judges(None, "standard")
