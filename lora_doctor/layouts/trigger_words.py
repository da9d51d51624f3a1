"""The word that calls the character, out of the words a config gives to all its pictures: `ohwx` of `ohwx woman`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from lora_doctor.caption_words import COMMON
from lora_doctor.types import Subset

_ORDINARY = (
    "a an the of in on with and by photo photograph picture image portrait painting drawing illustration style "
    "woman man girl boy female male person people lady guy character 1girl 1boy solo subject concept object class "
    "images image img imgs pictures pics photos data dataset train training close closeup close-up face faces body "
    "full fullbody upper half head portrait portraits context hq lq misc other new all set high low quality"
)
"""Words of DreamBooth prompts and of folders' names that call nobody in particular, besides those of any caption."""
_NO_TRIGGER = frozenset((*_ORDINARY.split(), *(word for tag in COMMON for word in tag.split())))
_WORD = re.compile(r"[^\s,()\[\]{}<>:;|/\\]+")


def trigger_of(words: str | None) -> str | None:
    """The first word that is not an ordinary one; None where all are."""
    found = (match[0].strip(".!?'\"") for match in _WORD.finditer((words or "")[:1000]))
    return next((word for word in found if word and word.lower() not in _NO_TRIGGER and not word.isdigit()), None)


def trigger_source(subsets: Iterable[Subset]) -> Literal["config", "words"]:
    """Whether their trainer writes the trigger itself, or only shows class tokens where a caption is missing."""
    return "config" if any(subset.trigger for subset in subsets if not subset.regularisation) else "words"


def common_trigger(subsets: Iterable[Subset]) -> str | None:
    """The trigger that all trained subsets give, by what their trainer writes or by their class tokens; else None."""
    found = {
        subset.trigger or trigger_of(subset.class_tokens)
        for subset in subsets
        if not subset.regularisation and (subset.trigger or subset.class_tokens)
    }
    return found.pop() if len(found) == 1 else None
