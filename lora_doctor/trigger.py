"""Which word calls the character, induced from captions: the one in nearly all of them that no vocabulary knows. Pure.

| how much a word looks like a trigger | what it is |
|---|---|
| made up | digits among letters, no vowel, an underscore in prose, or no word of CLIP's vocabulary |
| rare | a word that CLIP knows but has met seldom: a given name |
| common | anything else; also every label, class word, quality tag and common tag |
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from lora_doctor.caption_words import CLASS_WORDS, COMMON
from lora_doctor.captions import prose_piece, said_tokens, stripped, texts, words_of
from lora_doctor.spelling import Spelling, other_spellings
from lora_doctor.token_count import word_rank
from lora_doctor.types import Dataset, LabelSet

MADE_UP, RARE, ORDINARY = 2, 1, 0
SOME, NEARLY_ALL = 0.4, 0.8
"""Share of the captions in which a made-up word, and a rare one, is taken for the trigger. A rule of reading: a made-up
word in four captions of ten is a trigger that the others lack; a rare word must be nearly everywhere to be one."""
APART = 0.1
"""Shares that differ by less are alike; then the word that stands earlier is the trigger."""
RARE_FROM, VOWELLESS_FROM, UNUSED_FROM = 10_000, 12_000, 40_000
"""Places in CLIP's vocabulary: `scarf` 13,365, `nk` 17,456, `sakura` 24,162, `ohwx` 47,993, `sks` 48,136."""
CANDIDATES = 5
LONGEST_NAME = 8
"""Words of a tag that is a name: `hoshino ai (oshi no ko)`, `yorha no. 2 type b`."""
_COUNTED = re.compile(r"\d+([kpds]|st|nd|rd|th|mm|cm|girls?|boys?|others?|years?|koma)?", re.IGNORECASE)
"""`1girl`, `4k`, `80s`, `35mm`: digits of a common word."""


class InducedTrigger(NamedTuple):
    """The trigger, or None; why; and what else it could be."""

    word: str | None
    """As most captions write it."""
    reason: str
    candidates: tuple[str, ...]
    """Likeliest first, the trigger itself among them."""
    public_reason: str | None = None
    """The reason without words of captions; None = it has none."""
    apart: tuple[str, ...] = ()
    """Words that call a part of the pictures each: several characters, or one under several names."""


def induce_trigger(
    dataset: Dataset, labels: Mapping[str, LabelSet], rank: Callable[[str], int | None] = word_rank
) -> InducedTrigger:
    """The trigger as the config says, or else as the captions tell.

    `labels`: the label sets whose words no trigger is. `rank`: a word's place in a vocabulary, or None. No word where
    two candidates are as good as each other and never stand together, and where only ordinary words are in the
    captions: a guess there would be wrong as often as right.
    """
    told = list(dict.fromkeys(subset.trigger for subset in dataset.subsets if subset.trigger))
    if len(told) == 1:
        return InducedTrigger(told[0], "the training config says so", (told[0],))
    captions = [(text, image.repeats / len(all_of)) for image in dataset.images if (all_of := texts(image))
                for text in all_of]  # fmt: skip
    if not captions:
        return InducedTrigger(None, "no picture has a caption", tuple(told))
    found = _ranked(_candidates(captions, Vocabulary(labels, rank), _hints(dataset)))
    words = tuple(dict.fromkeys([*told, *(one.text for one in found)]))[:CANDIDATES]
    if not found:
        return InducedTrigger(None, "every word that most captions hold is an ordinary one", words)
    best, *others = found
    for other in others:
        if other.level == best.level and not _together(best, other):
            says, both = "each stand in a part of the captions", (best.text, other.text)
            return InducedTrigger(None, f"{best.text} and {other.text} {says}", words, f"two words {says}", both)
    seen = {MADE_UP: "no vocabulary knows it", RARE: "it is a rare word"}[best.level]
    vocabulary = Vocabulary(labels, rank)
    word = _whole_tag(best, captions, vocabulary) or _with_neighbours(best, captions, vocabulary)
    parts = {best.text, *word.split(), *map(stripped, word.split())}
    words = (word, *(one for one in words if one not in parts))
    return InducedTrigger(word, f"it is in {best.share:.0%} of the captions, and {seen}", words)


def spelt_otherwise(texts: Sequence[str], trigger: str, labels: Mapping[str, LabelSet]) -> tuple[Spelling, ...]:
    """The other spellings of the trigger in captions, the commonest first, by `Vocabulary`; none without a trigger."""
    words = Vocabulary(labels)
    return other_spellings(texts, trigger, words.knows, words.lists) if trigger else ()


class Vocabulary:
    """Tells made-up words from rare and ordinary ones."""

    def __init__(self, labels: Mapping[str, LabelSet], rank: Callable[[str], int | None] = word_rank) -> None:
        known = [_folded(label) for one in labels.values() for label in one.labels]
        words = (word for label in known for word in re.split(r"[\s-]+", label))
        self._known = COMMON | frozenset(known) | frozenset(words)
        self._rank = rank

    def knows(self, word: str) -> bool:
        """Whether the word means something by itself: a common one, or one that CLIP has met often."""
        return self.level(word) < MADE_UP

    def lists(self, text: str) -> bool:
        """Whether it is a label, a class word, a quality tag or another common word or tag."""
        return _folded(text) in self._known

    def level(self, word: str) -> int:
        """MADE_UP, RARE or ORDINARY: that of its least known part."""
        key = _folded(word)
        if key in self._known or len(key) < 2:
            return ORDINARY
        return max((self._part(part) for part in re.split(r"[\s-]+", key) if part), default=ORDINARY)

    def _part(self, part: str) -> int:
        if part in self._known or _COUNTED.fullmatch(part) or not any(letter.isalpha() for letter in part):
            return ORDINARY
        if any(letter.isdigit() for letter in part):
            return MADE_UP
        at = self._rank(part)
        if at is None or at >= UNUSED_FROM:
            return MADE_UP
        if part.isascii() and not set(part) & set("aeiouy") and at >= VOWELLESS_FROM:
            return MADE_UP
        return RARE if at >= RARE_FROM else ORDINARY


# ---------------------------------------------------------------- candidates


@dataclass(slots=True)
class _Candidate:
    """A word and where it stands."""

    level: int = ORDINARY
    share: float = 0.0
    """Of the captions, other spellings of it included."""
    captions: set[int] = field(default_factory=set)
    seen: int = 0
    """Captions that hold it in this spelling."""
    places: float = 0.0
    """Sum over those of the number of words before it."""
    ways: Counter[str] = field(default_factory=Counter)
    in_prose: bool = False

    @property
    def place(self) -> float:
        """How many words stand before it, on average."""
        return self.places / max(1, self.seen)

    @property
    def text(self) -> str:
        """As most captions write it."""
        return max(self.ways, key=lambda way: (self.ways[way], way))


def _candidates(
    captions: Sequence[tuple[str, float]], vocabulary: Vocabulary, hints: frozenset[str]
) -> list[_Candidate]:
    """Everything that is made up or rare and frequent enough, other spellings counted in."""
    found: dict[str, _Candidate] = {}
    for n, (text, _) in enumerate(captions):
        for at, (raw, prose) in enumerate(_words(text)):
            one = found.setdefault(_folded(raw), _Candidate())
            if n not in one.captions:
                one.places, one.seen = one.places + at, one.seen + 1
            one.captions.add(n)
            one.ways[raw] += 1
            one.in_prose |= prose
    total = sum(weight for _, weight in captions)
    for one in found.values():
        one.share = sum(captions[n][1] for n in one.captions) / total
    kept = [(key, one) for key, one in found.items() if one.share >= SOME / 2]
    for key, one in kept:
        one.level = vocabulary.level(one.text)
        if not vocabulary.lists(key):
            one.level = MADE_UP if one.in_prose and "_" in one.text else min(MADE_UP, one.level + (key in hints))
    likely = sorted((one for _, one in kept if one.level > ORDINARY), key=lambda one: (-one.level, -one.share))
    for one in likely[:CANDIDATES]:
        others = other_spellings([text for text, _ in captions], one.text, vocabulary.knows, vocabulary.lists)
        one.captions |= {n for spelling in others for n in spelling.captions}
        one.share = sum(captions[n][1] for n in one.captions) / total
    return [one for one in likely if one.share >= (SOME if one.level == MADE_UP else NEARLY_ALL)]


def _ranked(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """Made-up words first, then the more frequent, then the earlier; other spellings of a commoner one left out."""

    def order(one: _Candidate) -> tuple[float, ...]:
        return (-one.level, -round(one.share / APART), one.place, -one.share)

    kept: list[_Candidate] = []
    for one in sorted(candidates, key=lambda one: -one.seen):
        if not any(other_spellings([one.text], commoner.text) for commoner in kept):
            kept.append(one)
    return sorted(kept, key=order)


def _together(one: _Candidate, other: _Candidate) -> bool:
    """Whether the two stand in the same captions more often than not."""
    return 2 * len(one.captions & other.captions) > min(len(one.captions), len(other.captions))


def _words(caption: str) -> list[tuple[str, bool]]:
    """Every word of the caption but the names of artists, underscores kept, and whether it stands in prose."""
    found = []
    for token in said_tokens(caption):
        words, prose = words_of(token), prose_piece(token)
        found += [(word, prose) for before, word in pairwise(("", *words)) if not _is_artist(before, word)]
    return found


def _is_artist(before: str, word: str) -> bool:
    """Whether a word says who drew the picture: `by greg`, `artist:greg`."""
    return before.lower() == "by" or word.lower().startswith("artist:")


def _whole_tag(one: _Candidate, captions: Sequence[tuple[str, float]], vocabulary: Vocabulary) -> str | None:
    """The tag that the word is part of nearly everywhere, `hoshino ai (oshi no ko)`; None in prose, and where the tag
    has a class word (`ohwx woman`) or means something by itself."""
    tags = Counter[str]()
    for n in one.captions:
        for token in said_tokens(captions[n][0]):
            words = words_of(token)
            if one.text in words and len(words) <= LONGEST_NAME and not any(map(prose_piece, words)):
                tags[token] += 1
    tag, count = next(iter(tags.most_common(1)), ("", 0))
    classes = CLASS_WORDS.intersection(_folded(stripped(word)) for word in tag.split())
    if count < NEARLY_ALL * sum(one.ways.values()) or vocabulary.lists(tag) or classes:
        return None
    return stripped(tag)


def _with_neighbours(one: _Candidate, captions: Sequence[tuple[str, float]], vocabulary: Vocabulary) -> str:
    """`Yuki Tanaka` where one name never stands without the other; words that any vocabulary lists are not part."""
    before, after = Counter[str](), Counter[str]()
    for n in one.captions:
        for token in said_tokens(captions[n][0]):
            words = words_of(token)
            for at, word in enumerate(words):
                if word == one.text:
                    before.update(words[at - 1 : at] if at else ())
                    after.update(words[at + 1 : at + 2])
    least = NEARLY_ALL * sum(one.ways.values())

    def always(counted: Counter[str]) -> str:
        word, count = next(iter(counted.most_common(1)), ("", 0))
        return word if count >= least and vocabulary.level(word) > ORDINARY else ""

    return " ".join(filter(None, (always(before), one.text, always(after))))


def _folded(word: str) -> str:
    return word.lower().replace("_", " ")


def _hints(dataset: Dataset) -> frozenset[str]:
    """What a trainer or a folder's name says of the character: the words of `10_yuki_nk woman` without the class."""
    told = [subset.class_tokens or "" for subset in dataset.subsets]
    told += [match[1] for subset in dataset.subsets if (match := re.fullmatch(r"\d+_(.+)", subset.folder.name))]
    words = (word for text in told for word in text.split() if word.lower() not in CLASS_WORDS)
    return frozenset(_folded(word) for word in words)
