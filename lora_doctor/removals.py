"""Findings of an audit -> the pictures that the next training should not see, and what is left to balance without them.

Pure. Where a set may hold several characters nothing is sure: what contradicts one is the other.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lora_doctor.ratio_ways import Ways, ways_to
from lora_doctor.types import Dataset, Finding

TWO_IDENTITIES = "two-identities"
"""The rule that speaks where the faces are of two people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Removal:
    """A picture that the next training should not see."""

    path: Path
    why: str
    sure: bool
    """False = somebody should look first."""


def several_characters(apart: Sequence[str], findings: Sequence[Finding]) -> str | None:
    """Why the set may hold more than one character, of whom one spec cannot be true; None = nothing says so.

    `apart`: words of captions that call a part of the pictures each.
    """
    if apart:
        return f"{' and '.join(apart)} each stand in a part of the captions"
    found = any(finding.rule == TWO_IDENTITIES and finding.state == "confirmed" for finding in findings)
    return "the pictures show two people" if found else None


def removals_of(dataset: Dataset, findings: Sequence[Finding], *, several: bool) -> tuple[Removal, ...]:
    """The pictures that findings ask to leave out, each once, by its surest finding; with `several` none is sure."""
    found: dict[Path, Removal] = {}
    for finding in sorted(findings, key=lambda each: each.state):  # `confirmed` comes first
        asked = finding.causes[0].fix.dataset.get("leave_out") if finding.causes else None
        pictures = finding.measurements[0].pictures if asked is not None and finding.measurements else ()
        sure = finding.state == "confirmed" and not several
        for index in pictures:
            path = dataset.images[index].path
            why = " ".join(finding.symptom.split()).rstrip(".")
            found.setdefault(path, Removal(path=path, why=f"{finding.rule}: {why}", sure=sure))
    return tuple(found.values())


def gone_of(removals: Sequence[Removal]) -> frozenset[Path]:
    """The pictures that are certain to go."""
    return frozenset(each.path for each in removals if each.sure)


def ways_without(dataset: Dataset, gone: Collection[Path], *, several: bool) -> Ways:
    """The ways to the source's identity ratio for the pictures that stay; none for `several` characters together."""
    if several:
        return Ways(says=(), repeats={})
    return ways_to(replace(dataset, images=tuple(one for one in dataset.images if one.path not in gone)))


def told_of(ways: Ways, gone: Collection[Path], several: str | None) -> tuple[str, ...]:
    """The ways as an audit tells them: for which pictures they are meant, or why there are none."""
    if several is not None:
        says = "audit the folder of each by itself, what is right for one is wrong for another."
        return (f"The set may hold several characters ({several}): {says}",)
    pictures = "the picture that is" if len(gone) == 1 else f"the {len(gone)} pictures that are"
    return (*((f"Without {pictures} certain to go:",) if gone else ()), *ways.says)
