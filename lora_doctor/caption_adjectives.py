"""How a caption says a label by an adjective: `white-haired`, `long white hair`, `her hair is white`. Pure.

`tags`: the pieces of a caption, folded, a line each. `prose`: the words of those that are prose, between spaces, `|`
where a sentence ends. A label's last word is the noun (`white hair`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from lora_doctor.caption_words import COLOURS, CONNECTORS, FUNCTION_WORDS, SHADES, SHAPES, kind_words

REACH = 4
"""Words behind an adjective in which its noun may stand: `a slender young ohwx woman`."""
ENDS_A_PHRASE = FUNCTION_WORDS | CONNECTORS | kind_words("pose") | {"|"}
"""Words, and the end of a sentence, that no noun of an adjective before them follows."""
_REMEMBERED = 1 << 12
"""Labels whose patterns are kept."""
_ADJECTIVES = {"hair": "haired", "eyes": "eyed", "skin": "skinned"}
_BETWEEN = {True: SHAPES | SHADES, False: SHAPES | SHADES | COLOURS}
"""What may stand between a label's words, by whether it is a colour: of two colours one is no hair's."""
_OF_A_SHADE = "medium"
"""`medium brown hair` is of a medium brown."""
_OF_PREDICATES = SHAPES | SHADES | COLOURS | {"and", "but", "a", "quite", "rather", "slightly", "so"}
"""What may stand between a verb and the word that it says of hair, eyes or skin."""


def adjectives_joined(said: Sequence[str]) -> Iterator[str]:
    """The pieces, but `a girl with long` and `white hair` as one: that comma stands between adjectives of one noun."""
    waiting = ""
    for piece in said:
        whole = f"{waiting} {piece}".strip()
        if _WAITS_FOR_ITS_NOUN.search(whole):
            waiting = whole
            continue
        yield from (waiting, piece) if waiting and not _IS_ITS_NOUN.match(piece) else (whole,)
        waiting = ""
    if waiting:
        yield waiting


def one_word(label: str, tags: str, prose: str) -> bool:
    """`white hair` as `white-haired`."""
    word = _adjective(label)
    return bool(word) and (f" {word} " in prose or f"\n{word} " in tags or f" {word} " in tags or f"{word}\n" in tags)


def among_others(label: str, tags: str, prose: str) -> bool:
    """`long hair` as `long white hair`, `red eyes` as `red glowing eyes`."""
    first, _, noun = label.rpartition(" ")
    if not first or noun not in _ADJECTIVES:
        return False
    return any(f"{first} " in said and _among(first, noun).search(said) for said in (tags, prose))


def predicate(label: str, prose: str) -> bool:
    """`long hair` as `her hair is white and long`, and no `red hair` in `her hair is black and red eyes shine`."""
    first, _, noun = label.rpartition(" ")
    if not first or noun not in _ADJECTIVES or f" {noun} " not in prose or f" {first} " not in prose:
        return False
    return any(_ends_here(prose, found.end()) for found in _predicate(first, noun).finditer(prose))


def _any_of(words: frozenset[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_WAITS_FOR_ITS_NOUN = re.compile(rf"\b(?:with|has|have|having|her|his|their|whose)(?: (?:{_any_of(SHAPES)}))+$")
_IS_ITS_NOUN = re.compile(rf"(?:(?:{_any_of(SHAPES | SHADES | COLOURS)}) )*(?:{'|'.join(_ADJECTIVES)})\b")


@lru_cache(maxsize=_REMEMBERED)
def _adjective(label: str) -> str:
    first, _, last = label.rpartition(" ")
    return f"{first.replace(' ', '-')}-{_ADJECTIVES[last]}" if first and last in _ADJECTIVES else ""


@lru_cache(maxsize=_REMEMBERED)
def _among(first: str, noun: str) -> re.Pattern[str]:
    between = _BETWEEN[first in COLOURS] - (COLOURS if first == _OF_A_SHADE else frozenset())
    return re.compile(rf"(?<![^ \n]){re.escape(first)}(?: (?:{_any_of(between)})){{1,{REACH}}} {noun}(?![^ \n])")


@lru_cache(maxsize=_REMEMBERED)
def _predicate(first: str, noun: str) -> re.Pattern[str]:
    words = _any_of(_OF_PREDICATES)
    return re.compile(rf" {noun} (?:is|are|was|were|looks?)(?: (?:{words})){{0,{REACH}}} {re.escape(first)}(?= )")


def _ends_here(prose: str, at: int) -> bool:
    """Whether the phrase ends there, or goes on with what else the same thing is."""
    following = prose[at:].split(maxsplit=2)[:2]
    said = following[1:] if following[:1] in (["and"], ["but"]) else following
    return not said or said[0] in ENDS_A_PHRASE or said[0] in _OF_PREDICATES
