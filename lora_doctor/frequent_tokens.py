"""Tokens and phrases that stand in a large part of the captions, whatever they mean. Pure.

A token of a list of tags counts whole, and by the phrases of two or three words inside it; prose counts by words and
phrases of two and three words, never across a comma or the end of a sentence. A fragment of a phrase that is nearly
always that phrase is left out: `silk` and `red silk` are told as `red silk scarf`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from lora_doctor.caption_words import CONNECTORS, FUNCTION_WORDS
from lora_doctor.captions import prose_piece, said_tokens, sentences

LONGEST = 3
"""Words of a phrase."""
SAME = 0.95
"""Share of a fragment's captions that hold the longer phrase, from which the two are one finding."""
_EMPTY = FUNCTION_WORDS | CONNECTORS


def frequent_tokens(
    captions: Sequence[tuple[str, float]],
    least: float,
    expected: Callable[[str], bool] = lambda token: False,
    own: Callable[[str], bool] = lambda token: False,
) -> dict[str, tuple[float, list[int]]]:
    """Token as most captions write it -> share of the captions that hold it, where that is `least` or more, and which.

    `captions`: text and weight each. The most frequent first, longer phrases before shorter ones. `expected`: tokens
    (folded: lower case, spaces for underscores) that are meant to be everywhere; they hide no fragment of theirs, but
    for those that are the character's `own`: `ice white` goes with `ice white hair`.
    """
    total = sum(weight for _, weight in captions)
    if not total:
        return {}
    parsed = [(list(_units(text)), weight) for text, weight in captions]
    common = _words_of_captions(parsed, least * total)
    holders: dict[str, list[int]] = {}
    ways: dict[str, Counter[str]] = {}
    for index, (units, _) in enumerate(parsed):
        for key, raw in dict(phrase for unit in units for phrase in _phrases(*unit, common)).items():
            holders.setdefault(key, []).append(index)
            ways.setdefault(key, Counter())[raw] += 1
    shares = {key: sum(captions[index][1] for index in held) / total for key, held in holders.items()}
    shares = {key: share for key, share in shares.items() if share >= least - 1e-9}
    kept = {key: share for key, share in shares.items() if not own(key) and not expected(key)}
    hiding = kept | {key: share for key, share in shares.items() if own(key)}
    whole = {key: share for key, share in kept.items() if not _is_fragment(key, share, hiding)}
    ordered = sorted(whole.items(), key=lambda item: (-item[1], -len(item[0].split()), item[0]))
    return {max(ways[key], key=lambda way: (ways[key][way], way)): (share, holders[key]) for key, share in ordered}


def _units(caption: str) -> Iterator[tuple[str, list[str], bool]]:
    """For every token, or sentence of a prose token: as it is written, its folded words, and whether it is prose."""
    for token in said_tokens(caption):
        prose = prose_piece(token)
        for words in sentences(token) if prose else [token.split()]:
            yield token, [part for word in words for part in word.lower().replace("_", " ").split()], prose


def _words_of_captions(parsed: Sequence[tuple[list[tuple[str, list[str], bool]], float]], least: float) -> set[str]:
    """Words in enough captions: a phrase can be no more frequent than any of its words."""
    counts: dict[str, float] = {}
    for units, weight in parsed:
        for word in {word for _, words, _ in units for word in words}:
            counts[word] = counts.get(word, 0.0) + weight
    return {word for word, count in counts.items() if count >= least - 1e-9}


def _phrases(token: str, words: list[str], prose: bool, common: set[str]) -> Iterator[tuple[str, str]]:
    """Key and spelling of every phrase worth counting."""
    if not prose:
        whole = " ".join(words)
        if all(word in common for word in words):
            yield whole, token
        if len(words) < LONGEST:
            return
    for size in range(1 if prose else 2, LONGEST + 1):
        for start in range(len(words) - size + 1):
            run = words[start : start + size]
            if run[0] in _EMPTY or run[-1] in _EMPTY or not all(word in common for word in run):
                continue
            key = " ".join(run)
            if prose or key != whole:
                yield key, key


def _is_fragment(key: str, share: float, shares: dict[str, float]) -> bool:
    return any(
        len(other) > len(key) and f" {key} " in f" {other} " and more >= SAME * share for other, more in shares.items()
    )
