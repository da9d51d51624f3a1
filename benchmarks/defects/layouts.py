"""What can be wrong with how a dataset lies on the disk."""

from __future__ import annotations

from benchmarks.defects.draft import Defect, Draft, Severity

ENDING = ".tags"
"""Taggers write it; no trainer reads it unless it is told to."""
FEW = 2
"""Pictures of 42: just beyond one of a hundred."""


def another_ending(draft: Draft, severity: Severity) -> None:
    """Captions are there, with an ending that nobody reads: two of them, or all."""
    chosen = draft.rng.sample(draft.pictures, FEW) if severity == "mild" else draft.pictures
    for picture in chosen:
        draft.files[f"{picture.name}{ENDING}"] = (", ".join(picture.tokens or ()) + "\n").encode()
        picture.tokens = None


DEFECTS = (Defect("captions with another ending", "caption-extension-mismatch", another_ending),)
