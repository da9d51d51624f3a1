"""Where captions write the trigger, rightly or otherwise: another case, other separators, a slip of the pen. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from lora_doctor.captions import caption_tokens, stripped

Kind = Literal["case", "separator", "typo"]
_PARTS = re.compile(r"[\s_\-.]+")
"""What stands between the parts of a trigger: `yuki_nk`, `yuki-nk`, `yuki nk`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spelling:
    """One way, not the right one, in which captions write the trigger."""

    text: str
    """As most captions write it."""
    kind: Kind
    """`case`: other capitals; `separator`: split, joined, or other marks between; `typo`: other letters."""
    captions: tuple[int, ...]
    """Indexes of the captions that write it so, and nowhere rightly."""


def holds(caption: str, trigger: str) -> bool:
    """Whether the caption writes the trigger, be it as a tag, inside one (`ohwx man`) or in prose.

    Case does not matter, underscores and spaces are one. Of a trigger with commas, every piece must be there.
    """
    patterns = _exact(trigger)
    return bool(patterns) and all(pattern.search(caption) for pattern in patterns)


def place(caption: str, trigger: str, separator: str = ",") -> int | None:
    """In which token of the caption the trigger stands, from 0; None = nowhere.

    Of a trigger with commas, the last of its pieces. `separator` is what the trainer cuts captions at.
    """
    tokens = [token for part in caption.split(separator or ",") if (token := part.strip())]
    found = [next((n for n, token in enumerate(tokens) if one.search(token)), None) for one in _exact(trigger)]
    known = [n for n in found if n is not None]
    return max(known) if known and len(known) == len(found) else None


def other_spellings(
    captions: Sequence[str], trigger: str, known: Callable[[str], bool] = lambda word: False
) -> tuple[Spelling, ...]:
    """Every other spelling of the trigger in the captions, the commonest first.

    Captions that also write it rightly do not count. A word at one or two edits from the trigger is taken for it (one
    edit where it has fewer than four letters); a word that means something by itself (`known`) only where it stands
    in the trigger's place. Of a trigger with commas only the first piece is looked for.
    """
    first = next(iter(caption_tokens(trigger)), "")
    if not first or len(_compact(first)) < 2:
        return ()
    lacking = [n for n, caption in enumerate(captions) if not _exact(first)[0].search(caption)]
    usual = _usual_places(captions, first)
    found: dict[tuple[str, Kind], dict[str, list[int]]] = {}
    for n in lacking:
        best = _nearest(captions[n], first, known, usual)
        if best is not None:
            text, kind = best
            found.setdefault((_compact(text) if kind == "separator" else text.lower(), kind), {}).setdefault(
                text, []
            ).append(n)
    spellings = [_spelling(kind, ways) for (_, kind), ways in found.items()]
    spellings += _other_case(captions, first)
    return tuple(sorted(spellings, key=lambda one: (-len(one.captions), one.text)))


def edits(one: str, other: str, most: int = 2) -> int:
    """The least number of insertions, deletions, replacements and swaps of neighbours; `most` + 1 for any more.

    The optimal string alignment distance: a metric but for the triangle inequality.
    """
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    last: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, last, row = last, row, [i]
        for j, b in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > most and min(last) > most:
            return most + 1
    return min(row[-1], most + 1)


# ---------------------------------------------------------------- parts


@lru_cache(maxsize=1024)
def _exact(trigger: str) -> tuple[re.Pattern[str], ...]:
    """One pattern for each piece between commas."""
    return tuple(re.compile(_pattern(piece), re.IGNORECASE) for piece in caption_tokens(trigger))


def _pattern(piece: str) -> str:
    parts = [re.escape(part) for part in re.split(r"[\s_]+", piece) if part]
    return r"(?<![\w-])" + r"[\s_]+".join(parts) + r"(?![\w-])"


@lru_cache(maxsize=1 << 16)
def _compact(text: str) -> str:
    return _PARTS.sub("", text.lower())


def _allowed(letters: int) -> int:
    """How many edits still mean the trigger: two, as caption-audit has it; one for what is almost nothing else."""
    return 2 if letters >= 4 else 1


def _windows(caption: str, parts: int) -> Iterator[tuple[int, int, str]]:
    """Piece, number of words and text of every run of at most `parts` + 1 words inside one piece."""
    for at, token in enumerate(caption_tokens(caption)):
        words = [word for raw in token.split() if (word := stripped(raw))]
        for size in range(1, parts + 2):
            for start in range(len(words) - size + 1):
                yield at, size, " ".join(words[start : start + size])


def _nearest(
    caption: str, trigger: str, known: Callable[[str], bool], usual: tuple[int, int]
) -> tuple[str, Kind] | None:
    """What of the caption comes nearest to the trigger, and how it differs; None = nothing does."""
    wanted, parts = _compact(trigger), len([part for part in _PARTS.split(trigger) if part])
    best: tuple[int, int, str] | None = None
    for at, size, text in _windows(caption, parts):
        compact = _compact(text)
        if abs(len(compact) - len(wanted)) > 2:
            continue
        # A run of several words is a slip only if it has as many as the trigger; else it must be the same letters.
        most = _allowed(len(wanted)) if size in (1, parts) else 0
        distance = _edits(compact, wanted)
        if distance > most or (distance and not _meant(text, at, known, usual)):
            continue
        if best is None or (distance, size) < best[:2]:
            best = (distance, size, text)
    return None if best is None else (best[2], "typo" if best[0] else "separator")


@lru_cache(maxsize=1 << 16)
def _edits(one: str, other: str) -> int:
    return edits(one, other)


def _meant(text: str, at: int, known: Callable[[str], bool], usual: tuple[int, int]) -> bool:
    return usual[0] <= at <= usual[1] or not all(known(part) for part in _PARTS.split(text) if part)


def _usual_places(captions: Sequence[str], trigger: str) -> tuple[int, int]:
    """The first and the last place in which most captions that hold the trigger have it: the middle nine tenths."""
    places = sorted(at for caption in captions if (at := place(caption, trigger)) is not None)
    if not places:
        return (0, 1)
    cut = len(places) // 20
    return places[cut], places[-1 - cut]


def _spelling(kind: Kind, ways: Mapping[str, Sequence[int]]) -> Spelling:
    text = max(ways, key=lambda way: (len(ways[way]), way))
    return Spelling(text=text, kind=kind, captions=tuple(sorted(n for some in ways.values() for n in some)))


def _other_case(captions: Sequence[str], trigger: str) -> list[Spelling]:
    """Folded the same, written otherwise: other capitals, or a space for an underscore."""
    found: dict[str, list[int]] = {}
    for n, caption in enumerate(captions):
        ways = {" ".join(match.group().split()) for match in _exact(trigger)[0].finditer(caption)}
        if ways and trigger not in ways:
            found.setdefault(min(ways), []).append(n)
    return [
        Spelling(text=text, kind="case" if text.lower() == trigger.lower() else "separator", captions=tuple(where))
        for text, where in found.items()
    ]
