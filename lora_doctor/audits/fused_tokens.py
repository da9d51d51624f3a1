"""Tokens that stand in so many captions that the trigger and they are one: they can neither be asked for nor left out.

Shares are weighted by repeats, and have no interval: the dataset is a census. Whether such a token is in the pictures,
too, is measured elsewhere (`captions.token_visible_share`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from lora_doctor.caption_share import captioned
from lora_doctor.caption_words import (
    ANATOMY,
    CLASS_WORDS,
    CONNECTORS,
    FRAMING_WORDS,
    FUNCTION_WORDS,
    GENERAL_WORDS,
    QUALIFIERS,
    QUALITY_TAGS,
)
from lora_doctor.captions import pieces, says, texts
from lora_doctor.frequent_tokens import frequent_tokens
from lora_doctor.spelling import holds
from lora_doctor.token_count import word_rank
from lora_doctor.trigger import RARE_FROM
from lora_doctor.types import Case, Measurement

LEAST = 0.35
"""Share from which a token is told: the least that caption-audit 1.3 tells."""
_RARE = 0.05
TOLD = 20


def audit(case: Case) -> list[Measurement]:
    """`captions.token_frequency` by token, for the 20 most frequent that are not meant to be everywhere.

    Those are the trigger, class words, quality tags, framings, labels of face, hair and figure, the spec's tokens, and
    whatever ends in a word for a part of face, hair or figure. A token that is a label is told as the label is written.
    """
    among = captioned(case.dataset)
    captions = [(index, text) for index in among for text in texts(case.dataset.images[index])]
    images = case.dataset.images
    weighed = [(text, images[index].repeats / len(texts(images[index]))) for index, text in captions]
    expected, own = _expected(case), _own(case)
    found = frequent_tokens(weighed, LEAST, expected, own)
    if not found:  # the most frequent one is told, so that a rule is quiet because of a number
        found = dict(list(frequent_tokens(weighed, _RARE, expected, own).items())[:1])
    labels = {tuple(pieces(label)): label for one in case.label_sets.values() for label in one.labels}
    return [
        Measurement(
            name="captions.token_frequency", value=min(1.0, share), unit="share", n=len(among),
            where={"token": labels.get(tuple(pieces(token)), token)},
            pictures=tuple(dict.fromkeys(captions[number][0] for number in holders)),
        )
        for token, (share, holders) in list(found.items())[:TOLD]
    ]  # fmt: skip


def _own(case: Case) -> Callable[[str], bool]:
    """Which tokens, folded, tell of the character's own face, hair and figure, or of its outfit as the spec has it."""
    traits = [label for one in case.label_sets.values() if one.kind in ("identity", "body") for label in one.labels]
    labels = list(dict.fromkeys([*case.spec.values(), *traits]))
    return lambda token: token.rpartition(" ")[2] in ANATOMY or any(says(token, label) for label in labels)


def _expected(case: Case) -> Callable[[str], bool]:
    """Which other tokens, folded, are meant to be everywhere, or are no token by themselves."""
    labels = ["".join(pieces(label)) for one in case.label_sets.values() for label in one.labels]
    # `shirt` alone is many things that differ: what is always the same is found as `red shirt`.
    heads = {word for word, count in Counter(label.split()[-1] for label in labels).items() if count > 1}
    framings = {"".join(pieces(label)) for one in case.label_sets.values() if one.kind == "framing"
                for label in one.labels}  # fmt: skip
    whole = CLASS_WORDS | QUALITY_TAGS | FRAMING_WORDS | framings | heads
    empty = FUNCTION_WORDS | CONNECTORS | QUALIFIERS | CLASS_WORDS
    meant = empty | {word for label in case.spec.values() for piece in pieces(label) for word in piece.split()}
    general = empty | GENERAL_WORDS
    called = _trigger_words(case.trigger)

    def expected(token: str) -> bool:
        words = token.split()
        if token in whole or called & set(words) or (case.trigger and holds(token, case.trigger)):
            return True
        return all(word in meant for word in words) or all(word in general for word in words)

    return expected


def _trigger_words(trigger: str) -> set[str]:
    """The parts of the trigger that are no everyday words: a phrase with one of them is a piece of the trigger."""
    parts = {word for piece in pieces(trigger) for word in piece.split()}
    return {part for part in parts if (rank := word_rank(part)) is None or rank >= RARE_FROM}
