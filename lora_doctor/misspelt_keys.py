"""A config that nobody recognises: which of its keys is nearly one that a trainer's config is recognised by. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any

_KEYS = {
    "datasets": "sd-scripts and musubi-tuner",
    "subsets": "sd-scripts",
    "image_dir": "sd-scripts",
    "image_directory": "musubi-tuner",
    "train_data_dir": "sd-scripts",
    "dataset_config": "sd-scripts and musubi-tuner",
    "process": "ai-toolkit",
    "folder_path": "ai-toolkit",
    "concepts": "OneTrainer",
    "concept_file_name": "OneTrainer",
    "data_backend_config": "SimpleTuner",
    "instance_data_dir": "SimpleTuner",
}
_LIKE = 0.85
"""Of two spellings, 1 = the same: one letter of seven may be missing, or two changed places."""
_MOST = 2000
"""Keys that are looked at."""
_DEEP = 6


def misspelt(config: Any) -> str:
    """A sentence about the key that is most like one that trainers know and is none; empty where there is none.

    `config` is what a parser made of the text: tables, lists, texts, numbers.
    """
    given = dict.fromkeys(key for _, key in zip(range(_MOST), _keys(config, _DEEP), strict=False))
    like = [(_likeness(key, known), key, known) for key in given if key not in _KEYS for known in _KEYS]
    best = max(like, default=(0.0, "", ""))
    if best[0] < _LIKE:
        return ""
    _, key, known = best
    return f"It says `{key}`: {_KEYS[known]} would say `{known}`."


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one.lower(), other, autojunk=False).ratio() if len(one) <= 2 * len(other) else 0.0


def _keys(value: Any, deep: int) -> Iterator[str]:
    """The keys of the tables in one another, outer ones first."""
    if deep and isinstance(value, dict):
        yield from (str(key) for key in value)
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if deep:
        for one in below:
            yield from _keys(one, deep - 1)
