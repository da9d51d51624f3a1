"""The word that calls the character."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_doctor.layouts.trigger_words import common_trigger, trigger_of
from lora_doctor.types import Subset


@pytest.mark.parametrize(
    ("words", "trigger"),
    [
        ("ohwx woman", "ohwx"), ("a photo of ohwx person", "ohwx"), ("1girl, yuki_nk", "yuki_nk"), ("woman", None),
        ("", None), (None, None), ("closeup", None), ("2024", None), ("<ohwx> style", "ohwx"),
        ("a photograph of a beautiful ohwx woman", "ohwx"), ("masterpiece, best quality, 1girl, mira_nk", "mira_nk"),
        ("a man in a suit", None),
    ],
)  # fmt: skip
def test_the_first_word_that_is_not_an_ordinary_one(words: str | None, trigger: str | None) -> None:
    assert trigger_of(words) == trigger


def test_subsets_must_agree_and_regularisation_does_not_count() -> None:
    one, other = (
        Subset(folder=Path("a"), class_tokens="ohwx woman"),
        Subset(folder=Path("b"), class_tokens="yuki woman"),
    )
    reg = Subset(folder=Path("c"), class_tokens="zwx woman", regularisation=True)
    assert common_trigger([one, one, reg]) == "ohwx"
    assert common_trigger([one, other]) is None
    assert common_trigger([Subset(folder=Path("d"), trigger="yuki", class_tokens="ohwx")]) == "yuki"
