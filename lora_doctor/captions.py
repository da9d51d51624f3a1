"""What a caption is made of, and whether it names something, be it a list of tags or prose. Pure."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST_TAG = 4
"""Words; a longer piece of a caption is prose."""


def names(caption: str | None, text: str) -> bool:
    """Whether the caption names `text`: as a tag of its own, or as a phrase inside a piece of prose.

    Case does not matter, underscores and spaces are one. Of a text with commas, every piece must be there.
    """
    said = pieces(caption or "")
    prose = [piece for piece in said if len(piece.split()) > _LONGEST_TAG]
    wanted = pieces(text)
    return bool(wanted) and all(w in said or any(f" {w} " in f" {p} " for p in prose) for w in wanted)


def named(caption: str | None, labels: Iterable[str]) -> list[str]:
    """The labels that the caption names, in their own order."""
    return [label for label in labels if names(caption, label)]


def pieces(caption: str) -> list[str]:
    """The comma-separated pieces in lower case, underscores and runs of space as one space."""
    folded = (" ".join(piece.split()) for piece in caption.lower().replace("_", " ").split(","))
    return [piece for piece in folded if piece]


def caption_tokens(caption: str) -> list[str]:
    """The caption's tokens as they are written, in order: split at commas, white space folded, empty ones left out."""
    return [token for part in caption.split(",") if (token := " ".join(part.split()))]
