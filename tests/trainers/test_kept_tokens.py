"""How many tokens must stay so that the trigger does."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_doctor.trainers.kept_tokens import FARTHEST, kept_tokens
from lora_doctor.types import Dataset, DatasetImage


def captioned(*captions: str | None) -> Dataset:
    images = [
        DatasetImage(path=Path(f"/data/{n}.png"), sha256="", width=8, height=8, caption=one)
        for n, one in enumerate(captions)
    ]
    return Dataset(path=Path("/data"), images=tuple(images))


@pytest.mark.parametrize(("caption", "count"), [
    ("yuki_nk, white_hair, park", 1),
    ("1girl, solo, yuki_nk, park", 3),
    ("photo of yuki_nk in a park, white_hair", 1),
    ("1girl, YUKI NK, park", 2),
    ("1girl, yuki_nk woman, park", 2),
])  # fmt: skip
def test_the_tokens_up_to_the_trigger_stay(caption: str, count: int) -> None:
    kept = kept_tokens(captioned(caption, None), "yuki_nk")
    assert (kept.count, kept.late) == (count, "")
    assert f"keep_tokens raised to {count}" in kept.note("keep_tokens") and "by convention" not in kept.why


def test_a_trigger_of_several_tokens_stays_whole() -> None:
    assert kept_tokens(captioned("yuki, 1girl, red scarf, park"), "yuki, red scarf").count == 3


def test_another_separator_parts_other_tokens() -> None:
    assert kept_tokens(captioned("1girl, solo|yuki|park"), "yuki", "|").count == 2


def test_where_the_trigger_stands_at_several_places_the_farthest_is_kept_and_said() -> None:
    kept = kept_tokens(captioned("yuki, park", "1girl, solo, yuki, park", "park"), "yuki")
    assert kept.count == 3 and "token 1 to 3" in kept.why and not kept.late


def test_a_trigger_far_back_is_told_and_not_kept_for() -> None:
    far = ", ".join([*map(str, range(FARTHEST)), "yuki", "park"])
    kept = kept_tokens(captioned("1girl, yuki, park", far), "yuki")
    assert kept.count == 2 and kept.late.startswith("In 1 of 2 captions")


@pytest.mark.parametrize("known", [
    (None, "yuki"), (captioned("park"), "yuki"), (captioned("park"), None), (captioned(None), "yuki"),
])  # fmt: skip
def test_a_trigger_that_no_caption_has_is_taken_for_the_first_token_and_that_is_said(
    known: tuple[Dataset | None, str | None],
) -> None:
    kept = kept_tokens(*known)
    assert kept.count == 1 and "by convention" in kept.note("keep_tokens")
