"""What a caption is made of, and whether it names something, be it a list of tags or prose. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import takewhile

from lora_doctor.caption_adjectives import ENDS_A_PHRASE, REACH, adjectives_joined, among_others, one_word, predicate
from lora_doctor.caption_weights import unweighted
from lora_doctor.caption_words import (
    BODIES,
    OF_BODIES,
)
from lora_doctor.types import DatasetImage

_LONGEST_TAG = 4
"""Words; a longer piece of a caption is prose."""
_SENTENCE = frozenset((
    "a", "an", "the", "of", "is", "are", "was", "were", "she", "he", "her", "his", "their", "its", "has", "and", "with",
    "who", "in",
))  # fmt: skip
"""A piece that holds one of these is prose however short it is: `photo of ohwx man`."""
_MARKS = ".,;:!?\"'`*“”‘’«»。，、；：！？「」『』（）"
_CUT = re.compile(r"([,，、；\n]|;(?=\s|$)|\|{2,})")
"""What stands between the things a caption says: commas and semicolons, Chinese and Japanese ones too, the ends of
lines, and the mark of sd-scripts' `keep_tokens_separator` (`1girl, yuki_nk ||| white_hair`). `;)` and `;d` are tags."""
_ONE_SPELLING = {"gray": "grey", "blond": "blonde", "tanned": "tan"}
"""Words that captions write either way; Danbooru has the second."""
_SPELT = re.compile(rf"\b(?:{'|'.join(_ONE_SPELLING)})\b")
UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Kana, Han and Hangul, for a regular expression: they stand beside a Latin word without a space."""
_BORDER = re.compile(rf"(?<=[A-Za-z0-9_])(?=[{UNSPACED}])|(?<=[{UNSPACED}])(?=[A-Za-z0-9_])")
_BRACKETS = (("(", ")"), ("[", "]"), ("{", "}"))
_ENDS = frozenset("()[]{}")
HAIR_THINGS = (
    r"(?:ties?|bands?|ribbons?|bows?|clips?|pins?|ornaments?|accessor(?:y|ies)|scrunchies?|beads|nets?|brush|flowers?"
    r"|extensions|dye|rings?|sticks?|tubes?|wigs?)\b"
)
"""What stands behind `hair` that is part of another thing's name, as a regular expression: black hair ties are no black
hair."""
_REMEMBERED = 1 << 15
"""Captions whose parts are kept: each is asked for hundreds of labels."""


def names(caption: str | None, text: str) -> bool:
    """Whether the caption names `text`: as a tag of its own, or as a phrase inside a piece of prose.

    Case does not matter, underscores and spaces are one. Of a text with commas, every piece must be there.
    """
    tags, prose = _parts(caption or "")
    wanted = _folded(text)
    return bool(wanted) and all(
        f"\n{w}\n" in tags or (f" {w} " in prose and (w not in OF_BODIES or _of_a_body(w, prose))) for w in wanted
    )


def says(caption: str | None, label: str) -> bool:
    """Whether the caption says that `label` holds: it names it, or something more precise, or a word made of it.

    `ice_blue_eyes` says `blue_eyes`, `a white-haired girl` says `white_hair`, `tall_female` says `tall`, `long white
    hair` and `her hair is white and long` say `long_hair`; `off-white_hair` does not say `white_hair`, nor `a tan coat`
    `tan`.
    """
    tags, prose = _parts(caption or "")
    wanted = _folded(label)
    return bool(wanted) and all(
        f"\n{w}\n" in tags
        or _more_precise(w, tags, prose)
        or one_word(w, tags, prose)
        or among_others(w, tags, prose)
        or predicate(w, prose)
        for w in wanted
    )


def named(caption: str | None, labels: Iterable[str]) -> list[str]:
    """The labels that the caption names, in their own order."""
    return [label for label in labels if names(caption, label)]


def swapped(caption: str, label: str, other: str) -> str:
    """The caption with another label wherever it names this one, written with underscores or spaces."""
    written = r"[_\s]+".join(map(re.escape, label.replace("_", " ").split()))
    return re.sub(rf"(?<!\w){written}(?!\w)", lambda _: other, caption, flags=re.IGNORECASE)


def pieces(caption: str) -> list[str]:
    """What the caption says, piece by piece: in lower case, underscores and runs of space as one space, no weights,
    one spelling of a word (`grey` for `gray`)."""
    return said_tokens(one_spelling(caption))


def one_spelling(caption: str) -> str:
    """The caption in lower case, with spaces for underscores and one spelling of a word (`grey` for `gray`)."""
    return _SPELT.sub(lambda found: _ONE_SPELLING[found[0]], caption.lower().replace("_", " "))


def said_tokens(caption: str) -> list[str]:
    """The same as it is written: what stands between commas and marks like them, without weights and full stops."""
    return [token for part in cut(unweighted(caption))[::2] if (token := " ".join(part.split()).rstrip(" .。"))]


def cut(caption: str) -> list[str]:
    """The caption's parts and, between them, the marks that it is cut at; joined they are the caption again."""
    return _CUT.split(caption)


def words_of(token: str) -> list[str]:
    """The words of a token: without marks around them, cut where a script without spaces begins (`yuki_nk站在`)."""
    parts = token.split() if token.isascii() else [part for raw in token.split() for part in _BORDER.split(raw)]
    return [word for part in parts if (word := stripped(part))]


def caption_tokens(caption: str) -> list[str]:
    """The tokens that trainers cut a caption into, as they are written, in order: split at commas, white space folded,
    empty ones left out."""
    return [token for part in caption.split(",") if (token := " ".join(part.split()))]


def texts(image: DatasetImage) -> tuple[str, ...]:
    """Every caption that the trainer may show with the picture; none where there is none, or nothing in it."""
    all_of_them = image.variants or (() if image.caption is None else (image.caption,))
    return tuple(text for text in all_of_them if text.strip(" ,\t\r\n\f\v\ufeff"))


def sentences(piece: str) -> list[list[str]]:
    """The words of a piece, sentence by sentence: marks and possessive endings stripped, nothing else changed."""
    split = ([stripped(word) for word in part.split()] for part in re.split(r"[.;:!?]+(?:\s|$)|[。；：！？]+", piece))
    return [words for part in split if (words := [word for word in part if word])]


def stripped(word: str) -> str:
    """The word without the marks around it and without a possessive `'s`.

    Of brackets, those go that enclose the whole word or have no partner in it: `saber_(fate)` keeps its own.
    """
    word, before = word.strip(_MARKS), None
    while word != before and (word[:1] in _ENDS or word[-1:] in _ENDS):
        before, word = word, _unbracketed(word).strip(_MARKS)
    return word[:-2] if word.endswith(("'s", "’s")) else word


def _unbracketed(word: str) -> str:
    """Without one pair around it, or one bracket at an end that has no partner."""
    for opening, closing in _BRACKETS:
        if word.startswith(closing):
            return word[1:]
        if word.endswith(opening):
            return word[:-1]
        if word.startswith(opening) and (at := _closed_at(word, opening, closing)) in (None, len(word) - 1):
            return word[1:] if at is None else word[1:-1]
        if word.endswith(closing) and _closed_at(word[::-1], closing, opening) is None:
            return word[:-1]
    return word


def _closed_at(word: str, opening: str, closing: str) -> int | None:
    """Where the bracket that the word begins with is closed."""
    depth = 0
    for at, letter in enumerate(word):
        depth += (letter == opening) - (letter == closing)
        if not depth:
            return at
    return None


def prose_piece(piece: str) -> bool:
    """Whether a piece between two commas is prose: more than four words, or words that only sentences have.

    Underscores join: `lady_of_lake` is one word, as it is written, and a tag.
    """
    words = piece.lower().split()
    return len(words) > _LONGEST_TAG or any(stripped(word) in _SENTENCE for word in words)


def is_prose(caption: str) -> bool:
    """Whether most words of the caption stand in pieces of prose."""
    words = [(len(piece.split()), prose_piece(piece)) for piece in cut(caption)[::2]]
    return sum(count for count, prose in words if prose) * 2 > sum(count for count, _ in words)


@lru_cache(maxsize=_REMEMBERED)
def _parts(caption: str) -> tuple[str, str]:
    """The pieces, a line each; and the words of those that are prose between spaces, `|` where a sentence ends."""
    said = _things_joined(adjectives_joined(pieces(caption)))
    prose = (" ".join(words) for piece in said if prose_piece(piece) for words in sentences(piece))
    return "".join(f"\n{piece}\n" for piece in said), "".join(f" {piece} |" for piece in prose)


@lru_cache(maxsize=_REMEMBERED)
def _folded(text: str) -> tuple[str, ...]:
    return tuple(_things_joined(pieces(text)))


def _things_joined(said: Iterable[str]) -> list[str]:
    """With `hair ties` as one word, so that no label ends in the middle of it."""
    return [_HAIR_OF_A_THING.sub("hair-", piece) for piece in said]


def _more_precise(label: str, tags: str, prose: str) -> bool:
    """Whether a tag ends with the label or prose has it; of a body's word, whether it is said of one."""
    if label in OF_BODIES:
        return _of_a_body(label, prose + tags.replace("\n", " | "))
    return f" {label}\n" in tags or f" {label} " in prose


def _of_a_body(word: str, said: str) -> bool:
    """Whether one of the word's mentions is of somebody: before a word for a being or a figure, or where nothing that
    it could be said of follows (`she is tan and slender`), but not what is worn (`dressed in tan`)."""
    if f" {word} " not in said:
        return False
    words = said.split()
    return any(
        _behind_a_body(words[at + 1 : at + 1 + REACH]) and words[at - 1 : at] not in (["in"], ["wearing"])
        for at, one in enumerate(words) if one == word
    )  # fmt: skip


def _behind_a_body(following: list[str]) -> bool:
    near = list(takewhile(lambda word: word not in ENDS_A_PHRASE, following))
    return not near or not BODIES.isdisjoint(near)


_HAIR_OF_A_THING = re.compile(rf"\bhair (?={HAIR_THINGS})")
