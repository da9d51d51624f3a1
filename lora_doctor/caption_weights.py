"""The weights of prompts in captions, `(white hair:1.2)`, `((white hair))`, `white hair:1.2`: no part of what is said.

Source: the syntax of AUTOMATIC1111's prompts (modules/prompt_parser.py), which sd-scripts reads in captions with
`weighted_captions`; without brackets a number weighs nothing there, and is written all the same. Brackets that belong
to a word stay: `2b_(nier:automata)`, and escaped ones, `saber \\(fate\\)`. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_PAIRS = {")": "(", "]": "[", "}": "{"}
_OPENING = frozenset(_PAIRS.values())
_NUMBER = re.compile(r":\s*\d*\.?\d+\s*\Z")
_BARE = re.compile(r"(?<=[^\W\d]):\d?\.\d{1,3}(?=[ \t]*(?:[,，、；;|\n]|\Z))")
"""A weight without brackets at a piece's end; with a point, for `16:9` and `rating:1` are none."""
_LONGEST = 24
"""Letters of a weight, its colon and spaces included."""
_DEEPEST = 8
"""Brackets inside each other; what is deeper stays as it is."""
CUTS = ",，、；;|\n"
"""What a bracket around a whole piece stands beside."""


def unweighted(caption: str) -> str:
    """The caption without weights and the brackets of emphasis: `(white hair:1.2), [smile]` is `white hair, smile`.

    A bracket is one of emphasis where it has a number (`:1.2`) or holds whole pieces of the caption.
    """
    caption = _BARE.sub("", caption)
    if _OPENING.isdisjoint(caption):
        return caption
    left_out = bytearray(len(caption))
    for start, end in sorted(_pairs(caption)):
        number = _NUMBER.search(caption, max(start + 1, end - _LONGEST), end) if caption[start] == "(" else None
        if number and any(map(str.isalpha, caption[start + 1 : number.start()])):
            left_out[number.start() : end] = b"\1" * (end - number.start())
        elif number or not (_ends_a_piece(caption, left_out, start, -1) and _ends_a_piece(caption, left_out, end, 1)):
            continue
        left_out[start] = left_out[end] = 1
    return "".join(letter for letter, out in zip(caption, left_out, strict=True) if not out)


def _pairs(caption: str) -> Iterator[tuple[int, int]]:
    """Where brackets that belong to no word open and close."""
    opened: list[int] = []
    for at, letter in enumerate(caption):
        if (letter not in _OPENING and letter not in _PAIRS) or caption[at - 1 : at] == "\\":
            continue
        if letter in _OPENING:
            opened.append(at)
        elif opened and caption[opened[-1]] == _PAIRS[letter]:
            start = opened.pop()
            before = caption[start - 1 : start]
            if len(opened) < _DEEPEST and not (before.isalnum() or before == "_"):
                yield start, at


def _ends_a_piece(caption: str, left_out: bytearray, at: int, step: int) -> bool:
    """Whether nothing stands between the bracket and the piece's end on that side."""
    at += step
    while 0 <= at < len(caption) and (left_out[at] or (caption[at].isspace() and caption[at] not in CUTS)):
        at += step
    return not 0 <= at < len(caption) or caption[at] in CUTS
