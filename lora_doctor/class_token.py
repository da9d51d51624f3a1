"""What prompts call the character a kind of: the class word that the captions say, unless the user says another."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_doctor.caption_company import kind_of_being, names_others
from lora_doctor.captions import pieces, prose_piece, says, texts
from lora_doctor.errors import EnvironmentFailure
from lora_doctor.plugins import data_folder
from lora_doctor.types import Dataset

FILE = "class_words.toml"
_DONE_TO = frozenset(("holding", "carrying", "hugging", "petting", "stroking", "feeding", "riding", "stuffed", "toy"))
"""Before a word of a tag, where that is no word for the character: `holding cat`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassWords:
    """The words that there are, how common one must be, and how rare one may be."""

    words: tuple[str, ...]
    """Of two that are said as often, the earlier one is taken."""
    mostly: float
    """Share of the captioned exposures, 0 to 1, from which words of one kind say what the character is."""
    rarely: float
    """The same, below which a word that was set is not what was trained with."""


def load_class_words(path: Path | None = None) -> ClassWords:
    """From the file, or rules/class_words.toml; EnvironmentFailure when that cannot be read."""
    source = path or data_folder("rules") / FILE
    try:
        table = tomllib.loads(source.read_text(encoding="utf-8"))
        shares = {name: float(table[name]) for name in ("mostly", "rarely")}
        return ClassWords(words=tuple(map(str, table["words"])), **shares)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EnvironmentFailure(
            f"cannot be read: {error}", path=source, advice="Install lora-doctor again."
        ) from error


def class_token_of(dataset: Dataset, given: str | None, known: ClassWords) -> tuple[str, str | None]:
    """The class token, `given` or the commonest of the `known`; what to say of it.

    It is empty where captions do not mostly say what the character is: `a man behind her`, or a cat in some pictures,
    is no word for it. Captions that name somebody else too are passed over, unless most of them do.
    """
    if given is None:
        return _commonest(dataset, known), None
    share = said_share(dataset, given) if given else None
    if share is None or share >= known.rarely:
        return given, None
    return given, (
        f"`character.class_token` is `{given}`, and {share:.0%} of the captions say that: prompts ask for something "
        "that the LoRA was not trained with"
    )


def said_share(dataset: Dataset, word: str) -> float | None:
    """Share of the captioned exposures whose caption says the word, 0 to 1; None where there are no captions."""
    captioned = [(image.repeats, told) for image in dataset.images if (told := texts(image))]
    total = sum(repeats for repeats, _ in captioned)
    if not total:
        return None
    return sum(repeats for repeats, told in captioned if any(says(text, word) for text in told)) / total


def _commonest(dataset: Dataset, known: ClassWords) -> str:
    """The word that most captions call the character by; empty where too few use any of its kind (`woman`, `1girl`)."""
    captioned: Sequence[tuple[float, Sequence[str]]] = [
        (image.repeats, some) for image in dataset.images if (some := texts(image))
    ]
    alone = [
        (repeats, told) for repeats, some in captioned if (told := [text for text in some if not names_others(text)])
    ]
    if not (total := sum(repeats for repeats, _ in captioned)):
        return ""
    if (counted := sum(repeats for repeats, _ in alone)) >= known.mostly * total:
        captioned, total = alone, counted
    said = [(repeats, {word for text in some for word in _called(text, known.words)}) for repeats, some in captioned]
    kinds = {word: kind_of_being(word) for word in known.words}
    counts = {word: sum(repeats for repeats, words in said if word in words) for word in known.words}

    def of_its_kind(word: str) -> float:
        return sum(repeats for repeats, words in said if any(kinds[other] == kinds[word] for other in words)) / total

    found = [word for word in known.words if counts[word] and of_its_kind(word) >= known.mostly]
    return max(found, key=lambda word: counts[word], default="")


def _called(text: str, words: Sequence[str]) -> list[str]:
    """The words that the caption says of somebody."""
    said = ", ".join(piece for piece in pieces(text) if prose_piece(piece) or piece.split()[0] not in _DONE_TO)
    return [word for word in words if says(said, word)]
