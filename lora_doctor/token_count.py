"""How CLIP's text encoder cuts a caption into tokens, exactly, with the vocabulary that open_clip brings along."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

WINDOW = 75
"""Tokens a CLIP text encoder reads at once, start and end not counted."""
_SMALLEST = 256 * 2
"""Ids below are single bytes."""
_READ = 20_000
"""Characters; of a longer caption the beginning is counted, which is many times what any encoder reads."""
_LONGEST_WORD = 200
"""Characters; merging takes the square of a word's length, so a longer one is cut: no language has any."""


def clip_count(text: str) -> int:
    """How many tokens the text is, start and end not counted; of more than 20,000 characters, those of the first."""
    return sum(len(_ids(word)) for word in _words(text))


def clip_unread(text: str, limit: int) -> str:
    """The end of the text that is left when `limit` tokens are read, cleaned as CLIP cleans it; empty = all is read.

    A word of several tokens that is cut through counts as not read.
    """
    words = _words(text)
    count = 0
    for place, word in enumerate(words):
        count += len(_ids(word))
        if count > limit:
            return " ".join(words[place:]).replace(" , ", ", ")
    return ""


def word_rank(word: str) -> int | None:
    """The word's place in CLIP's vocabulary, 512 for the commonest to 49,151 for the rarest; None = no word of it.

    Merges were made by frequency, so a small number is a word that the encoder has met often.
    """
    found = _tokenizer().encoder.get(f"{word.lower()}</w>")
    return None if found is None else max(int(found), _SMALLEST)


def vocabulary_size() -> int:
    """How many tokens CLIP knows, start and end not counted: the rank of what is no word."""
    return len(_tokenizer().encoder) - 2


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    """open_clip's, built once (0.2 s); importing open_clip takes seconds the first time."""
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


def _words(text: str) -> list[str]:
    """The parts that are encoded one by one; words, single marks and digits."""
    tokenizer = _tokenizer()
    found = tokenizer.pat.findall(tokenizer.clean_fn(" ".join(text.split())[:_READ]))
    return [word[at : at + _LONGEST_WORD] for word in found for at in range(0, len(word), _LONGEST_WORD)]


@lru_cache(maxsize=1 << 16)
def _ids(word: str) -> tuple[int, ...]:
    tokenizer = _tokenizer()
    raw = "".join(tokenizer.byte_encoder[byte] for byte in word.encode("utf-8"))
    return tuple(tokenizer.encoder[part] for part in tokenizer.bpe(raw).split(" "))
