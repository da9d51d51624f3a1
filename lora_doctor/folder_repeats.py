"""What sd-scripts reads out of the name of a folder of pictures: `10_ohwx person`, `5`. Pure.

Source: kohya-ss/sd-scripts library/config_util.py (generate_dreambooth_subsets_config_by_subdirs).
"""

from __future__ import annotations

MOST = 10**6
"""Repeats; more are read as so many."""


def folder_repeats(name: str) -> tuple[int, str] | None:
    """How often each picture is shown in an epoch, 0 or more, and the words behind the number: the caption of pictures
    without one. None for a name that does not begin with a number, whose folder is left out."""
    number, _, words = name.partition("_")
    try:
        return max(0, min(int(number[:20]), MOST)), words
    except ValueError:
        return None
