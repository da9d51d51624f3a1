"""The labels that a caption says although the character has another: what an audit counts, and what `--fix` corrects.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from lora_doctor.caption_words import MULTICOLOURED
from lora_doctor.captions import says


def rivals(labels: Iterable[str], own: str, text: str) -> list[str]:
    """Those of `labels` that `text` says and that contradict `own`.

    Two labels are both true where one is only more precise (`long_hair` and `very_long_hair`), where they are no
    rivals (`slender, athletic`), or where the caption says that there are two colours.
    """
    said = [label for label in labels if says(text, label) and not _part_of(label, own)]
    if not said or not says(text, own):
        return said
    if _multicoloured(text):
        return []
    return [label for label in said if noun(label) == noun(own)]


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
