"""Where captions write the trigger, rightly or otherwise: another case, other separators, a slip of the pen. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from lora_doctor.caption_weights import unweighted
from lora_doctor.captions import UNSPACED, caption_tokens, cut, said_tokens, words_of

Kind = Literal["case", "separator", "typo"]
_PARTS = re.compile(r"[\s_\-.]+")
"""What stands between the parts of a trigger: `yuki_nk`, `yuki-nk`, `yuki nk`."""
_START, _END = rf"(?<![^\W{UNSPACED}])(?<!-)", rf"(?![^\W{UNSPACED}]|-)"
"""The ends of a word: no letter, digit or hyphen beside it, but for scripts that put no space there."""
_ESCAPED = re.compile(r"\\([()\[\]{}])")
"""`\\(fate\\)`: a bracket that is no weight, in prompts and in captions made of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spelling:
    """One way, not the right one, in which captions write the trigger."""

    text: str
    """As most captions write it."""
    kind: Kind
    """`case`: other capitals; `separator`: split, joined, or other marks between; `typo`: other letters."""
    captions: tuple[int, ...]
    """Indexes of the captions that write it so, and nowhere rightly."""
    places: tuple[int, int] | None = None
    """Of a word that means something by itself too: the first and the last piece of a caption, from 0, that is taken
    for the trigger where it is this word and nothing else. None = it is the trigger wherever it stands."""


def holds(caption: str, trigger: str) -> bool:
    """Whether the caption writes the trigger, be it as a tag, inside one (`ohwx man`) or in prose.

    Case does not matter, underscores and spaces are one, `\\(` is `(`. Of a trigger with commas, every piece must be
    there.
    """
    patterns = _exact(trigger)
    return bool(patterns) and all(pattern.search(caption) for pattern in patterns)


def writes(caption: str, trigger: str) -> bool:
    """Whether the caption writes the trigger as it is given, capitals and separators too, somewhere.

    Runs of space are one: to a tokenizer they are. Of a trigger with commas, every piece must be there.
    """
    patterns = [r"\s+".join(map(_brackets, piece.split())) for piece in caption_tokens(trigger)]
    return bool(patterns) and all(re.search(_bounded(pattern), caption) for pattern in patterns)


def calls(token: str, trigger: str) -> bool:
    """Whether one token writes the trigger, or a piece of a trigger with commas, be it among other words."""
    return any(pattern.search(token) for pattern in _exact(trigger))


def place(caption: str, trigger: str, separator: str = ",") -> int | None:
    """In which token of the caption the trigger stands, from 0; None = nowhere.

    Of a trigger with commas, the last of its pieces. `separator` is what the trainer cuts captions at; it cuts them at
    the mark of a kept part (`|||`) as well.
    """
    parts = re.split(rf"{re.escape(separator or ',')}|\|{{2,}}", caption)
    return place_in([token for part in parts if (token := part.strip())], trigger)


def place_in(tokens: Sequence[str], trigger: str) -> int | None:
    """The same among tokens that are cut already: `ohwx woman` is where `ohwx` stands."""
    found = [next((n for n, token in enumerate(tokens) if one.search(token)), None) for one in _exact(trigger)]
    known = [n for n in found if n is not None]
    return max(known) if known and len(known) == len(found) else None


def other_spellings(
    captions: Sequence[str],
    trigger: str,
    known: Callable[[str], bool] = lambda word: False,
    listed: Callable[[str], bool] = lambda text: False,
) -> tuple[Spelling, ...]:
    """Every other spelling of the trigger in the captions, the commonest first.

    Captions that also write it rightly do not count. A word at one edit from the trigger is taken for it, at two where
    the trigger has six letters or more. A word that means something by itself (`known`) only as a whole piece in the
    trigger's place, at one edit; a label or a common tag (`listed`) never: `hair` is no slip for `hana`. Of a trigger
    with commas only the first piece is looked for.
    """
    first = next(iter(caption_tokens(trigger)), "")
    if not first or len(_compact(first)) < 2:
        return ()
    lacking = [n for n, caption in enumerate(captions) if not _exact(first)[0].search(caption)]
    words = _Words(known, listed, _usual_places(captions, first))
    found: dict[tuple[str, Kind], dict[str, list[int]]] = {}
    for n in lacking:
        best = _nearest(captions[n], first, words)
        if best is not None:
            text, kind = best
            found.setdefault((_compact(text) if kind == "separator" else text.lower(), kind), {}).setdefault(
                text, []
            ).append(n)
    spellings = [_spelling(kind, ways, words) for (_, kind), ways in found.items()]
    spellings += _other_case(captions, first)
    return tuple(sorted(spellings, key=lambda one: (-len(one.captions), one.text)))


def respelt(caption: str, spelling: Spelling, trigger: str, label: Callable[[str], bool] = lambda piece: False) -> str:
    """The caption with the trigger for every mention of `spelling`; pieces that are a `label` stay as they are."""
    wrong, parts, at = re.compile(_pattern(spelling.text), re.IGNORECASE), cut(caption), -1
    for n, part in enumerate(parts):
        at += bool(part.strip()) and not n % 2
        if n % 2 or label(part):
            continue
        if spelling.places is None or (
            spelling.places[0] <= at <= spelling.places[1] and wrong.fullmatch(unweighted(part).strip())
        ):
            parts[n] = wrong.sub(lambda _: trigger, part)
    return "".join(parts)


def rightly_spelt(
    caption: str, trigger: str, others: Iterable[Spelling], label: Callable[[str], bool] = lambda piece: False
) -> tuple[str, Spelling] | None:
    """The caption with the trigger for one of its `others`, the longest first, and which; None where it has none."""
    for wrong in sorted(others, key=lambda one: len(one.text), reverse=True):
        if (mended := respelt(caption, wrong, trigger, label)) != caption:
            return mended, wrong
    return None


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
    parts = [_brackets(part) for part in re.split(r"[\s_]+", piece) if part]
    return _bounded(r"[\s_]+".join(parts))


def _bounded(pattern: str) -> str:
    """The pattern between the ends of a word.

    A Latin one ends where Han or kana begin; one of those stands among others without a space (`米拉坐在海滩`), but
    for a single letter, which is part of many words.
    """
    start, end = (r"(?<![\w-])", r"(?![\w-])") if len(pattern) == 1 else (_START, _END)
    return start + pattern + end


def _brackets(text: str) -> str:
    """As a pattern: each bracket with or without a backslash before it."""
    return re.sub(r"\\([()\[\]{}])", r"\\\\?\\\1", re.escape(_ESCAPED.sub(r"\1", text)))


@lru_cache(maxsize=1 << 16)
def _compact(text: str) -> str:
    return _PARTS.sub("", text.lower())


def _parts(text: str) -> list[str]:
    return [part for part in _PARTS.split(text) if part]


def _allowed(letters: int) -> int:
    """How many edits still mean the trigger: two, as caption-audit has it, from six letters on; in shorter words two
    lead to half of all names, and to `long` from `luna`."""
    return 2 if letters >= 6 else 1


class _Words(NamedTuple):
    """What is known of the captions' words, and where the trigger usually stands."""

    known: Callable[[str], bool]
    listed: Callable[[str], bool]
    usual: tuple[int, int]

    def mean_something(self, text: str) -> bool:
        """Whether every part of the text means something by itself, and no underscore makes one name of them."""
        return "_" not in text and all(self.known(part) for part in _parts(text))

    def all_listed(self, text: str) -> bool:
        """Whether every part of the text is of labels and common tags: `red_cape`."""
        return all(self.listed(part) for part in _parts(text))


class _Window(NamedTuple):
    """A run of words inside one piece of a caption."""

    at: int
    """In which piece, from 0."""
    size: int
    """How many words."""
    whole: bool
    """Whether these are all words of the piece."""
    text: str


def _windows(caption: str, parts: int) -> Iterator[_Window]:
    """Every run of at most `parts` + 1 words inside one piece."""
    for at, token in enumerate(said_tokens(caption)):
        words = words_of(token)
        for size in range(1, parts + 2):
            for start in range(len(words) - size + 1):
                yield _Window(at, size, size == len(words), " ".join(words[start : start + size]))


def _nearest(caption: str, trigger: str, words: _Words) -> tuple[str, Kind] | None:
    """What of the caption comes nearest to the trigger, and how it differs; None = nothing does."""
    wanted, parts = _compact(trigger), len(_parts(trigger))
    best: tuple[int, int, str] | None = None
    for one in _windows(caption, parts):
        compact = _compact(one.text)
        if abs(len(compact) - len(wanted)) > 2:
            continue
        # A run of several words is a slip only if it has as many as the trigger; else it must be the same letters.
        most = _allowed(len(wanted)) if one.size in (1, parts) else 0
        distance = _edits(compact, wanted)
        if distance > most or not _meant(one, distance, parts, words):
            continue
        if best is None or (distance, one.size) < best[:2]:
            best = (distance, one.size, one.text)
    return None if best is None else (best[2], "typo" if best[0] else "separator")


@lru_cache(maxsize=1 << 16)
def _edits(one: str, other: str) -> int:
    return edits(one, other)


def _meant(one: _Window, distance: int, parts: int, words: _Words) -> bool:
    """Whether words so near to the trigger are meant for it, rather than for what they mean by themselves."""
    if words.listed(one.text) or (distance and words.all_listed(one.text)):
        return False
    if not words.mean_something(one.text):
        return True
    if not distance:
        return one.whole or one.size <= parts  # `black cat` in a sentence is no `blackcat`
    return distance == 1 and one.whole and words.usual[0] <= one.at <= words.usual[1]


def _usual_places(captions: Sequence[str], trigger: str) -> tuple[int, int]:
    """The first and the last place in which most captions that hold the trigger have it: the middle nine tenths."""
    places = sorted(at for caption in captions if (at := place(caption, trigger)) is not None)
    if not places:
        return (0, 1)
    cut = len(places) // 20
    return places[cut], places[-1 - cut]


def _spelling(kind: Kind, ways: Mapping[str, Sequence[int]], words: _Words) -> Spelling:
    text = max(ways, key=lambda way: (len(ways[way]), way))
    places = words.usual if kind == "typo" and words.mean_something(text) else None
    where = tuple(sorted(n for some in ways.values() for n in some))
    return Spelling(text=text, kind=kind, captions=where, places=places)


def _other_case(captions: Sequence[str], trigger: str) -> list[Spelling]:
    """Folded the same, written otherwise: other capitals, or a space for an underscore."""
    found: dict[str, list[int]] = {}
    for n, caption in enumerate(captions):
        ways = {" ".join(match.group().split()) for match in _exact(trigger)[0].finditer(caption)}
        if ways and not any(writes(way, trigger) for way in ways):
            found.setdefault(min(ways), []).append(n)
    return [
        Spelling(text=text, kind="case" if text.lower() == trigger.lower() else "separator", captions=tuple(where))
        for text, where in found.items()
    ]
