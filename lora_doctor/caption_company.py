"""Whether a caption names somebody besides the character: a second person, an animal, a doll. Pure.

What it says of hair, eyes or skin may then be theirs. Words are looked up in lists and nothing is parsed: where it is
open whether `a man` is the character, a caption counts as naming somebody else, and nobody loses a trait.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from lora_doctor.caption_words import ANATOMY, CLASS_WORDS, FUNCTION_WORDS, GENERAL_WORDS, OUTFIT_WORDS, kind_words
from lora_doctor.captions import pieces, prose_piece, sentences


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COUNTED = re.compile(r"(\d+)(\+?)(girl|boy|other)s?")
"""Danbooru's own count: `1girl`, `6+girls`."""
_SEVERAL = frozenset((
    "multiple girls", "multiple boys", "multiple others", "solo focus", "couple", "hetero", "yuri", "yaoi", "crowd",
    "everyone", "duo", "trio", "group",
))  # fmt: skip
"""Tags of pictures that show more than one."""
_ELSE = "somebody else"
_OTHERS = _words("""
girls boys women men ladies guys females males people persons friends strangers others twins sisters brothers siblings
children kids babies teenagers adults crowd couple group everyone bystanders passersby students soldiers classmates
cats dogs puppies kittens animals birds horses dolls
friend stranger bystander companion classmate sister brother mother father husband wife boyfriend girlfriend daughter
son waiter waitress bartender
doll mannequin statue figurine puppet poster plush plushie toy teddy
""")
"""Words that never mean the character alone: of more than one, of who belongs to it, of what only looks like one."""
_KINDS = {
    "female": _words("woman girl lady female queen princess"),
    "male": _words("man boy guy male gentleman king prince"),
    "person": _words("person child kid baby toddler teenager adult human"),
    "animal": _words("""
        cat kitten dog puppy animal bird horse rabbit bunny fox wolf bear owl parrot crow snake pony lion tiger mouse
        rat hamster sheep goat cow pig monkey fish dragon unicorn
    """),
}
"""Words for one being, by its kind: what the character may be called, if only one kind is named."""
_BEINGS = {word: kind for kind, words in _KINDS.items() for word in words} | dict.fromkeys(_OTHERS, _ELSE)
_PRONOUNS = {"she": "female", "her": "female", "hers": "female", "he": "male", "his": "male", "him": "male"}
_NO_BEING = (
    ANATOMY
    | OUTFIT_WORDS
    | CLASS_WORDS
    | _words("""
tails paw paws fur print costume ornament joints joint theme themed hood tag food style mask bag keychain stripes
""")
)
"""Before one of these a word names no being: `cat ears`, `dog tag`."""
_INDEFINITE = frozenset(("a", "an", "one", "another", "some"))
_ARTICLES = _INDEFINITE | {"the", "this", "that"}
_IS = _words("is was be as named called")
"""Before `a woman`, where that is somebody who was named already."""
_SHOWS = _words("of see shows depicts features featuring captures showing depicting portrays presents")
"""Before `a woman`, where that is who the picture is of; after any other word it is somebody: `hugs a woman`."""
_POINTS = _words("it this that here there")
"""Before `a portrait` where that is the picture itself: `it's a portrait of a woman`."""
_BESIDE = _words("front top side ahead instead arm arms hand hands lap shoulder shoulders feet company presence")
"""Before `of the man`, where that is no picture of him: `in front of a man`, `in the arms of the man`."""
_FARTHEST = 4
"""Words between an article and its noun."""
_HAVE = _words("has had have")
_OWNS = _HAVE | _words("with having whose")
"""Between an owner and what it has."""
_INTRODUCES = _words("while when to and or but for")
"""Before somebody who is met: `talks to a clerk with black hair`. Behind other words `with` may speak of the character:
`a woman sitting on a bench with black hair`, `holding a sword with black hair`."""
_CHARACTER = (
    frozenset(_BEINGS)
    | CLASS_WORDS
    | GENERAL_WORDS
    | ANATOMY
    | OUTFIT_WORDS
    | kind_words("environment")
    | _words("heroine hero protagonist model cosplayer idol")
)
"""Nouns that call the character, or can have no hair: what `a woman` has is told by `names_others`."""


@lru_cache(maxsize=1 << 15)
def names_others(caption: str) -> bool:
    """Whether the caption names more than one person, or an animal or a doll besides the one it is about."""
    said = pieces(caption)
    counted = {match[0]: int(match[1]) + len(match[2]) for piece in said if (match := _COUNTED.fullmatch(piece))}
    if sum(counted.values()) > 1 or not _SEVERAL.isdisjoint(said):
        return True
    kinds = {"female" if tag.endswith("girl") else "male" for tag in counted if not tag.endswith("other")}
    introduced = 0
    for piece in said:
        if not prose_piece(piece):
            kinds |= _of_tag(piece)
            continue
        for words in sentences(piece):
            found, articles = _of_sentence(words)
            kinds, introduced = kinds | found, introduced + articles
    return _ELSE in kinds or introduced > 1 or len(kinds - {"person"}) > 1


def owned_by_another(caption: str, label: str) -> bool:
    """Whether whatever the caption says of `label` is said of a noun for somebody else: `a clerk has black hair`.

    Nouns are endless (barista, knight), so it is the sentence that tells: an article before one that no list has for
    the character, and `has` or `with` behind it. Not the first thing a caption speaks of, nor what the character is
    said to be (`yuki_nk as a nurse with black hair`, `yuki_nk, a knight with black hair`).
    """
    wanted = pieces(label)[0].split() if pieces(label) else []
    found = [
        _owned(words, at, first=not number)
        for number, words in enumerate(words for piece in pieces(caption) for words in sentences(piece))
        for at in range(len(words) - len(wanted) + 1)
        if wanted and words[at : at + len(wanted)] == wanted
    ]
    return bool(found) and all(found)


def _owned(words: Sequence[str], at: int, *, first: bool) -> bool:
    """Whether what stands at `at` is had by a noun of its sentence for somebody else; `first`: of the caption."""
    verb = next((n for n in range(at - 1, max(0, at - 2 - _FARTHEST), -1) if words[n] in _OWNS), 0)
    noun = verb - 2 if verb > 1 and words[verb - 1] in ("who", "that", "which") else verb - 1
    if noun < 1 or not _nobody_known(words[noun]):
        return False
    article = next((n for n in range(noun - 1, max(-1, noun - 2 - _FARTHEST), -1) if words[n] in _ARTICLES), None)
    if article is None or not all(_nobody_known(word) for word in words[article + 1 : noun]):
        return False
    before = words[article - 1] if article else ""
    if not before:
        return not first and words[verb] in _HAVE
    return before in _INTRODUCES or (before not in _IS | _SHOWS and words[verb] in _HAVE)


def _nobody_known(noun: str) -> bool:
    return noun not in _CHARACTER and noun not in _PRONOUNS and noun not in FUNCTION_WORDS and noun.isalpha()


def kind_of_being(word: str) -> str:
    """`female`, `male`, `person` or `animal` for a word that one being is called by (`1girl`, `woman`); else empty."""
    counted = _COUNTED.fullmatch(word)
    named = _BEINGS.get(counted[3] if counted else word, "person" if counted else "")
    return "" if named == _ELSE else named


def _of_tag(piece: str) -> set[str]:
    """The kind of being that a tag names by its last word: `holding cat`, and no `girls und panzer`."""
    last = piece.rpartition(" ")[2]
    return {_BEINGS[last]} if last in _BEINGS else set()


def _of_sentence(words: Sequence[str]) -> tuple[set[str], int]:
    """The kinds of being in a sentence, and how many of them are introduced by `a` or `an`."""
    kinds, introduced = {_PRONOUNS[word] for word in words if word in _PRONOUNS}, 0
    for at, word in enumerate(words):
        if word not in _BEINGS or (words[at + 1 : at + 2] and words[at + 1] in _NO_BEING):
            continue
        kinds.add(_BEINGS[word])
        if (place := _article(words, at)) is None:
            continue
        before = words[place - 1] if place else ""
        if before == "of" and place > 1 and (words[place - 2] in _BESIDE or _is_in_the_picture(words, place - 2)):
            kinds.add(_ELSE)
        if words[place] in _INDEFINITE and before not in _IS:
            introduced += 1
            if words[place] == "another" or (before and before not in _SHOWS):
                kinds.add(_ELSE)
    return kinds, introduced


def _is_in_the_picture(words: Sequence[str], at: int) -> bool:
    """Whether what stands at `at` is something in the picture: `holds a portrait`, and not `this is a portrait`."""
    place = _article(words, at)
    return place is not None and place > 0 and words[place - 1] not in _IS | _SHOWS | _POINTS


def _article(words: Sequence[str], at: int) -> int | None:
    """Where the article of the noun at `at` stands; None where it has none."""
    return next((place for place in range(at - 1, max(-1, at - 2 - _FARTHEST), -1) if words[place] in _ARTICLES), None)
