"""Run folders -> what a comparison needs of them, all judged by one policy; a run is read and left as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lora_doctor.compared_run import ComparedRun
from lora_doctor.errors import InputRefused
from lora_doctor.judgement import Judges, diagnose, load_judges
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import from_plain
from lora_doctor.types import LabelSet, Reading


def read_runs(
    folders: Sequence[Path], *, rules: Path | None = None, policy: str | None = None
) -> tuple[ComparedRun, ...]:
    """The runs in these folders, in their order; `rules` and `policy` default to those of the first check-up.

    Raises InputRefused for a folder without a finished check-up, and what opening a run folder raises.
    """
    judges: Judges | None = None
    runs: list[ComparedRun] = []
    for folder in folders:
        with RunFolder(folder, create=False) as run:
            stored = run.get_json("settings")
            if stored is None or run.get_json("facts") is None:
                advice = "Run `lora-doctor check` to its end."
                raise InputRefused("holds no finished check-up.", path=folder, advice=advice)
            settings = from_plain(stored)
            judges = judges or load_judges(rules or settings.judge.rules, policy or settings.judge.policy)
            runs.append(_compared(run, judges, settings.matrix.ship_weights, [each.name for each in runs]))
    return tuple(runs)


def _compared(
    run: RunFolder, judges: Judges, ship_weights: tuple[float, ...], taken: Sequence[str]
) -> ComparedRun:  # fmt: skip
    diagnosis = diagnose(run, judges)
    fingerprint: dict[str, Any] = run.get_json("fingerprint") or {}
    done = run.renders()
    instruments = fingerprint.get("instruments")
    known = run.get_readings(f"render-{instruments}")
    return ComparedRun(
        name=_numbered(str(diagnosis.lora.get("name") or run.path.name), taken),
        folder=run.path.resolve(),
        fingerprint=fingerprint,
        cells={each.cell.key: each.cell for each in done if not each.cell.arm},
        renders={each.cell.key: known[each.cell.key] for each in done if each.cell.key in known and each.image},
        missing={each.cell.key: each.reason or "no image" for each in done if each.image is None},
        labels={cell["key"]: cell.get("labels") or {} for cell in diagnosis.cells},
        references=_references(run, f"dataset-{instruments}"),
        label_sets={
            name: LabelSet(attribute=name, labels=tuple(words), prompts=(), kind=kind, crop="whole")
            for name, (kind, *words) in (run.get_json("label_sets") or {}).items()
        },
        spec=dict(diagnosis.character.get("spec") or {}),
        ship_weights=ship_weights,
        diagnosis=diagnosis,
    )


def _references(run: RunFolder, kind: str) -> dict[str, Reading]:
    """The readings of the dataset's pictures; a run of an older lora-doctor does not say which, and has them all."""
    known, listed = run.get_readings(kind), run.get_json("references")
    return known if listed is None else {key: known[key] for key in listed if key in known}


def _numbered(name: str, taken: Sequence[str]) -> str:
    """The name, with a number behind it where it is taken."""
    names = [name, *(f"{name} ({number})" for number in range(2, len(taken) + 2))]
    return next(each for each in names if each not in taken)
