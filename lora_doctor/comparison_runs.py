"""Run folders -> what a comparison needs of them, all judged by one policy; a run is read and left as it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lora_doctor.compared_run import ComparedRun
from lora_doctor.errors import InputRefused
from lora_doctor.face_views import NATIVE_FACE
from lora_doctor.identity_instruments import name_of, similarity_of
from lora_doctor.instrument_files import warn
from lora_doctor.judgement import Judges, diagnose, load_judges
from lora_doctor.metrics.identity_choice import seen_by
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import Settings, from_plain
from lora_doctor.types import LabelSet, Reading

CHECKUP = "-checkup"
"""How the name of a run folder ends that nobody named otherwise."""


def read_runs(
    folders: Sequence[Path], *, rules: Path | None = None, policy: str | None = None
) -> tuple[ComparedRun, ...]:
    """The runs in these folders, in their order; `rules` and `policy` default to those of the first check-up.

    Raises InputRefused for a folder without a finished check-up, and what opening a run folder raises.
    """
    judges: Judges | None = None
    identity: _Identity | None = None
    runs: list[ComparedRun] = []
    for folder in folders:
        with RunFolder(folder, create=False, write=False) as run:
            stored = run.get_json("settings")
            if stored is None or run.get_json("facts") is None:
                advice = "Run `lora-doctor check` to its end."
                raise InputRefused("holds no finished check-up.", path=folder, advice=advice)
            settings = from_plain(stored, run=folder)
            judges = judges or load_judges(rules or settings.judge.rules, policy or settings.judge.policy)
            identity = identity or _identity(run, settings)
            ship_weights = settings.matrix.ship_weights
            runs.append(_compared(run, judges, identity, ship_weights))
    names = told_apart([run.name for run in runs], [run.folder for run in runs])
    return tuple(replace(run, name=name) for run, name in zip(runs, names, strict=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Identity:
    """The instrument that measured the first run's identity: all runs are compared with it."""

    name: str | None = None
    """None = the face instrument."""
    similarity: Callable[[Any, Any], Any] | None = None

    def sees(self, readings: Mapping[str, Reading]) -> dict[str, Reading]:
        """The readings with this instrument's embeddings."""
        return dict(readings) if self.name is None else {k: seen_by(one, self.name) for k, one in readings.items()}


def _identity(run: RunFolder, settings: Settings) -> _Identity:
    chosen = (run.get_json("identity") or {}).get("measured_with")
    for text in settings.instruments.identity:
        if name_of(text) == chosen:
            return _Identity(name=chosen, similarity=similarity_of(text, warn))
    return _Identity()


def _compared(
    run: RunFolder, judges: Judges, identity: _Identity, ship_weights: tuple[float, ...]
) -> ComparedRun:  # fmt: skip
    diagnosis = diagnose(run, judges)
    fingerprint: dict[str, Any] = run.get_json("fingerprint") or {}
    done = run.renders()
    instruments = fingerprint.get("instruments")
    known = identity.sees(run.get_readings(f"render-{instruments}"))
    told = run.get_json("identity") or {}
    return ComparedRun(
        name=str(diagnosis.lora.get("name") or run.path.name),
        folder=run.path.resolve(),
        fingerprint=fingerprint,
        cells={each.cell.key: each.cell for each in done if not each.cell.arm},
        renders={each.cell.key: known[each.cell.key] for each in done if each.cell.key in known and each.image},
        missing={each.cell.key: each.reason or "no image" for each in done if each.image is None},
        arms={each.cell.key: each.cell for each in done if each.cell.arm},
        labels={cell["key"]: cell.get("labels") or {} for cell in (*diagnosis.cells, *diagnosis.arms)},
        references=identity.sees(_references(run, f"dataset-{instruments}")),
        copies=tuple(tuple(group) for group in told.get("copies", ())),
        others=tuple(tuple(group) for group in told.get("others", ())),
        least_face=0.0 if identity.name is not None else float(told.get("least_face", NATIVE_FACE)),
        similarity=identity.similarity,
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


def told_apart(names: Sequence[str], folders: Sequence[Path]) -> tuple[str, ...]:
    """The versions' names: their files', and where several have one name, for all of those that of the run folder.

    Of a folder's path the last component, without `-checkup`, and as many before it as tell the folders apart.
    """
    alike = [[f for f, other in zip(folders, names, strict=True) if other == name] for name in names]
    return tuple(
        name if len(group) == 1 else _by_folder(folder, [*(f for f in group if f != folder)], set(names))
        for name, folder, group in zip(names, folders, alike, strict=True)
    )


def _by_folder(folder: Path, others: Sequence[Path], taken: Collection[str]) -> str:
    for depth in range(1, len(folder.parts)):
        whole = {"/".join(other.parts[-depth:]) for other in others}
        short = {each.removesuffix(CHECKUP) for each in whole}
        name = "/".join(folder.parts[-depth:])
        if (shorter := name.removesuffix(CHECKUP)) not in whole | short | set(taken):
            return shorter
        if name not in whole | set(taken):
            return name
    return str(folder)
