"""What a comparison needs of one finished run, and what runs must have in common to be compared. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lora_doctor.errors import UsageError
from lora_doctor.types import Cell, Diagnosis, LabelSet, Reading

OWN = ("lora", "dataset")
"""The keys of a run's fingerprint that may differ: the version itself, and what it was trained on."""
HOW = ("device", "precision", "tiles")
"""Those that change the last bits of a picture alone: they may differ, and it is said."""
_SAID = {
    "base": "another base model", "instruments": "other instruments", "seed": "another seed",
    "trigger": "another trigger", "size": "another picture size", "steps": "another number of steps",
    "guidance": "another guidance", "rendering": "another version of lora-doctor's rendering",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedRun:
    """One version of a character, as its run saw it."""

    name: str
    """The LoRA's file name; where several have the same, that of the run folder."""
    folder: Path
    fingerprint: Mapping[str, Any]
    """All that changes a render or a reading."""
    cells: Mapping[str, Cell]
    """Key -> cell, of all that were rendered or have a reason why not."""
    renders: Mapping[str, Reading]
    missing: Mapping[str, str]
    arms: Mapping[str, Cell] = field(default_factory=dict)
    """Key -> cell, of what was rendered beside the matrix; their readings are in `renders` and `missing` too."""
    labels: Mapping[str, Mapping[str, str]]
    """Cell key (of arms too) -> attribute -> label read, for the attributes that its framing shows."""
    references: Mapping[str, Reading]
    """Name of a dataset picture's content -> reading."""
    copies: tuple[tuple[str, ...], ...] = ()
    """Groups of them that are near-duplicates."""
    others: tuple[tuple[str, ...], ...] = ()
    """For each person beside the character who returns, those that show them."""
    least_face: float = 112.0
    """Pixels, shorter side: the smallest face that the identity instrument is made for."""
    similarity: Callable[[Any, Any], Any] | None = None
    """What compares two identity embeddings; None = they have unit length, and the cosine does."""
    label_sets: Mapping[str, LabelSet]
    spec: Mapping[str, str]
    ship_weights: tuple[float, ...]
    diagnosis: Diagnosis
    """Judged by the policy of the comparison."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """On which terms some runs are compared."""

    shared: frozenset[str]
    """Keys of the cells that every run has."""
    beside: frozenset[str] = frozenset()
    """Keys of the cells beside the matrix that every run has, with the same prompts and seeds."""
    spec: Mapping[str, str]
    same_dataset: bool
    with_others: bool = False
    """Whether every run was declared to be for pictures of other people too."""
    unreadable: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Attribute -> the framings in which some run's dataset shows that CLIP cannot tell it."""
    notes: tuple[str, ...] = field(default=())
    """What was restricted and why, a sentence each."""


def agree_on_terms(runs: Sequence[ComparedRun]) -> Terms:
    """What the runs share.

    Raises UsageError, naming the first run that differs and in what, for fewer than two runs, the same run twice,
    another base model, instruments, seed or way of rendering, and where no cell above weight 0 is shared.
    """
    if len(runs) < 2:
        raise UsageError("one run is nothing to compare.", advice="Name two or more finished runs.")
    first = runs[0]
    for number, run in enumerate(runs):
        if any(run.folder == other.folder for other in runs[:number]):
            raise UsageError("the same run is named twice.", path=run.folder, advice="Name each once.")
        _refuse_other_conditions(first, run)
    notes = [*_same_files(runs), *_rendered_otherwise(runs)]
    planned = [set(run.cells) for run in runs]
    shared = set.intersection(*planned)
    asked = {key for key in shared if any(_asked(r.cells[key]) != _asked(first.cells[key]) for r in runs)}
    shared -= asked
    if not any(first.cells[key].weight > 0 for key in shared):
        why = "other prompts or seeds" if asked else "another matrix"
        raise UsageError(f"the runs share no cell: {why}.", path=first.folder, advice=_ANEW)
    if asked:
        notes.append(f"{len(asked)} cells have other prompts or seeds in some run and were left out")
    union = set.union(*planned)
    if len(shared) < len(union):
        notes.append(f"the runs have different matrices: {len(shared)} of {len(union)} cells are shared and compared")
    spec, stray = _shared_spec(runs)
    if stray:
        notes.append(f"left out, as not every run demands the same of it: {', '.join(stray)}")
    same = len({run.fingerprint.get("dataset") for run in runs}) == 1
    if not same:
        notes.append("the runs were checked with different datasets: identity was scored again for all of them, on one "
                     "ruler made of all their pictures together; verdicts stand on each run's own ruler")  # fmt: skip
    claimed = [set(run.ship_weights) for run in runs]
    if not set.intersection(*claimed):
        notes.append("the runs claim different ship weights: each version is offered at its own")
    unreadable = {name: _unreadable(runs, name) for name in spec}
    return Terms(
        shared=frozenset(shared), beside=_shared_beside(runs), with_others=all(map(_with_others, runs)), spec=spec,
        same_dataset=same, notes=tuple(notes),
        unreadable={name: framings for name, framings in unreadable.items() if framings},
    )  # fmt: skip


def _shared_beside(runs: Sequence[ComparedRun]) -> frozenset[str]:
    """The cells of arms that every run has, asked for the same with the same seed."""
    first = runs[0].arms
    return frozenset(
        key for key in set.intersection(*(set(run.arms) for run in runs))
        if all(_asked(run.arms[key]) == _asked(first[key]) for run in runs)
    )  # fmt: skip


def _with_others(run: ComparedRun) -> bool:
    return any(m.name == "use.with_others" and m.value == 1 for m in run.diagnosis.measurements)


def _unreadable(runs: Sequence[ComparedRun], attribute: str) -> frozenset[str]:
    """The framings in which a check-up could not measure the attribute at the ship weights."""
    matches = (m for run in runs for m in run.diagnosis.measurements if m.name == "attribute.match")
    where = {"attribute": attribute, "weight": "ship"}
    silent = (m.where.get("framing") for m in matches if m.value is None and m.where.items() >= where.items())
    return frozenset(framing for framing in silent if framing is not None)


_ANEW = "Check all versions with the same lora-doctor.toml, base model and seed."


def _refuse_other_conditions(first: ComparedRun, run: ComparedRun) -> None:
    keys = sorted((first.fingerprint.keys() | run.fingerprint.keys()) - _untold(first, run))
    for key in keys:
        if key not in (*OWN, *HOW) and first.fingerprint.get(key) != run.fingerprint.get(key):
            what = _SAID.get(key, f"another {key.replace('_', ' ')}")
            raise UsageError(f"was checked with {what} than {first.folder}.", path=run.folder, advice=_ANEW)


def _untold(*runs: ComparedRun) -> set[str]:
    """What a run of an older lora-doctor does not say of itself, and so contradicts nobody in."""
    return {key for key in (*HOW, "rendering") if any(key not in run.fingerprint for run in runs)}


def _rendered_otherwise(runs: Sequence[ComparedRun]) -> list[str]:
    """A note where not all runs were rendered on one kind of device, in one precision."""
    differ = ways_apart([run.fingerprint for run in runs])
    what = "the runs were rendered in different ways, which changes the last bits of pictures"
    return [f"{what}: {differ}"] if differ else []


def ways_apart(ways: Sequence[Mapping[str, Any]]) -> str:
    """In what some ways of rendering differ, as `device cpu and cuda`; empty where they are alike, or do not say."""
    told = {key: dict.fromkeys(str(way[key]) for way in ways if key in way) for key in HOW}
    return ", ".join(f"{key} {' and '.join(values)}" for key, values in told.items() if len(values) > 1)


def _asked(cell: Cell) -> tuple[str, str, int]:
    return cell.prompt, cell.negative_prompt, cell.seed


def _same_files(runs: Sequence[ComparedRun]) -> list[str]:
    """A note for every LoRA that is there twice."""
    seen: dict[str, str] = {}
    notes = []
    for run in runs:
        digest = str(run.fingerprint.get("lora"))
        if digest in seen:
            notes.append(f"{run.name} is the same file as {seen[digest]}")
        seen.setdefault(digest, run.name)
    return notes


def _shared_spec(runs: Sequence[ComparedRun]) -> tuple[dict[str, str], list[str]]:
    """The attributes of which every run demands the same label, and the names of the others."""
    names = dict.fromkeys(name for run in runs for name in run.spec)
    shared = {name: runs[0].spec[name] for name in names if len({run.spec.get(name) for run in runs}) == 1}
    return shared, [name for name in names if name not in shared]
