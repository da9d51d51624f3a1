"""The labels that a caption says although the character has another: what an audit counts, and what `--fix` corrects.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from lora_doctor.caption_company import names_others, owned_by_another
from lora_doctor.caption_words import MULTICOLOURED
from lora_doctor.captions import says


def rivals(labels: Iterable[str], own: str, text: str) -> list[str]:
    """Those of `labels` that `text` says and that contradict `own`.

    Two labels are both true where one is only more precise (`long_hair` and `very_long_hair`), where they are no
    rivals (`slender, athletic`), where the caption says that there are two colours, where somebody else is said to have
    the label (`a clerk has black hair`), or where the caption says `own` too and names somebody besides the character,
    whose it may be.
    """
    found = [label for label in claims(labels, own, text) if not owned_by_another(text, label)]
    return [] if found and of_others(own, text) else found


def claims(labels: Iterable[str], own: str, text: str) -> list[str]:
    """The same, whoever may be meant."""
    said = [label for label in labels if says(text, label) and not _part_of(label, own)]
    if not said or not says(text, own):
        return said
    if _multicoloured(text):
        return []
    return [label for label in said if noun(label) == noun(own)]


def of_others(own: str, text: str) -> bool:
    """Whether another label than `own` may be somebody else's: `text` says `own`, and names more than the character."""
    return says(text, own) and names_others(text)


def two_colours(own: str, text: str) -> bool:
    """Whether another colour than `own` may be true too: the other half of `heterochromia`."""
    return noun(own) in ("hair", "eyes") and _multicoloured(text)


def noun(label: str) -> str:
    """Its last word: `hair` of `white_hair`."""
    return label.replace(" ", "_").rpartition("_")[2]


def _multicoloured(text: str) -> bool:
    return any(says(text, both) for both in MULTICOLOURED)


@lru_cache(maxsize=4096)
def _part_of(label: str, own: str) -> bool:
    """Whether one label is the other, or only more precise: `long_hair` and `very_long_hair`."""
    return says(label, own) or says(own, label)
