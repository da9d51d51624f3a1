"""What prompts call the character a kind of: the class word that the captions say, unless the user says another."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from lora_doctor.captions import says, texts
from lora_doctor.errors import EnvironmentFailure
from lora_doctor.plugins import data_folder
from lora_doctor.types import Dataset

FILE = "class_words.toml"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassWords:
    """The words that there are, and how rare one may be."""

    words: tuple[str, ...]
    """Of two that are said as often, the earlier one is taken."""
    rarely: float
    """Share of the captioned exposures, 0 to 1, below which a word is not what was trained with."""


def load_class_words(path: Path | None = None) -> ClassWords:
    """From the file, or rules/class_words.toml; EnvironmentFailure when that cannot be read."""
    source = path or data_folder("rules") / FILE
    try:
        table = tomllib.loads(source.read_text(encoding="utf-8"))
        return ClassWords(words=tuple(map(str, table["words"])), rarely=float(table["rarely"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EnvironmentFailure(
            f"cannot be read: {error}", path=source, advice="Install lora-doctor again."
        ) from error


def class_token_of(dataset: Dataset, given: str | None, known: ClassWords) -> tuple[str, str | None]:
    """The class token, `given` or the commonest of the `known`, empty where captions say none; what to say of it."""
    if given is None:
        shares = {word: share for word in known.words if (share := said_share(dataset, word)) is not None}
        best = max(shares, key=lambda word: shares[word], default="")
        return (best, None) if best and shares[best] >= known.rarely else ("", None)
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
