"""Tokens in most captions are told, but for those that are meant to be there."""

from __future__ import annotations

import pytest

from lora_doctor.audits.fused_tokens import TOLD, audit
from lora_doctor.types import Measurement
from tests.audits.make_case import Picture, make_case

PLACES = ("library", "beach", "night_sky", "city", "garden", "stage")


def told(found: list[Measurement]) -> dict[str, float]:
    return {m.where["token"]: m.value or 0.0 for m in found}


def test_a_token_in_every_caption_is_told_with_its_pictures() -> None:
    pictures = [Picture(caption=f"1girl, solo, yuki_nk, white_hair, tall, red_scarf, {place}") for place in PLACES]
    found = audit(make_case([*pictures, Picture(caption="1girl, yuki_nk, white_hair")]))
    assert told(found) == {"red_scarf": pytest.approx(6 / 7)}
    assert found[0].pictures == (0, 1, 2, 3, 4, 5)


def test_a_phrase_of_prose_is_told() -> None:
    pictures = [Picture(caption=f"A photo of yuki_nk, a tall young woman with long white hair. She wears a red silk "
                                f"scarf in the {place}.") for place in PLACES]  # fmt: skip
    assert told(audit(make_case(pictures))) == {"red silk scarf": 1.0}


def test_a_label_is_told_as_the_label_is_written() -> None:
    found = audit(make_case([Picture(caption=f"1girl, Night Sky, x{n}") for n in range(5)]))
    assert told(found) == {"night_sky": 1.0}


def test_a_word_that_many_labels_end_in_is_no_token_of_its_own() -> None:
    captions = ["She wears a red shirt on the road today.", "She wears a blue shirt by the sea again."] * 3
    assert "shirt" not in told(audit(make_case([Picture(caption=caption) for caption in captions])))


@pytest.mark.parametrize(
    "token",
    ["1girl", "masterpiece", "white_hair", "ice_white_hair", "black_hair", "freckles", "full_body", "yuki_nk dress"],
)
def test_what_is_meant_to_be_everywhere_is_not_told(token: str) -> None:
    found = audit(make_case([Picture(caption=f"yuki_nk, {token}, {place}") for place in PLACES]))
    assert set(told(found)) <= set(PLACES)


def test_a_quiet_dataset_still_gives_a_number() -> None:
    found = audit(make_case([Picture(caption=f"1girl, yuki_nk, {place}") for place in PLACES]))
    assert list(told(found).values()) == [pytest.approx(1 / 6)]
    assert audit(make_case([Picture(caption="1girl, yuki_nk")] * 3)) == []


def test_repeats_count_and_no_more_than_twenty_are_told() -> None:
    found = audit(make_case([Picture(caption="scarf, b1", repeats=3), Picture(caption="hat")]))
    assert told(found) == {"scarf": 0.75, "b1": 0.75}
    many = ", ".join(f"thing{n}" for n in range(40))
    assert len(audit(make_case([Picture(caption=many)] * 2))) == TOLD
