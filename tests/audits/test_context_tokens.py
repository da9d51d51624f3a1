"""In-context captions name environment, pose and outfit, in the labels' words or others."""

from __future__ import annotations

import pytest

from lora_doctor.audits.context_tokens import audit
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT
from tests.audits.make_case import Picture, get, make_case

NAME = "captions.context_token_coverage"


@pytest.mark.parametrize(
    ("caption", "kinds"),
    [
        ("1girl, library", {"environment"}),
        ("1girl, night_sky", {"environment"}),
        ("1girl, simple_background", set()),
        ("1girl, hallway", {"environment"}),
        ("1girl, red_shirt", {"outfit"}),
        ("1girl, long_green_coat", {"outfit"}),
        ("1girl, kneeling", {"pose"}),
        ("A woman in a cardigan is sitting on the couch.", {"environment", "outfit", "pose"}),
        ("1girl, white_hair, blue_eyes", set()),
    ],
)
def test_a_kind_is_named_by_a_label_or_a_common_word(caption: str, kinds: set[str]) -> None:
    found = audit(make_case([Picture(caption=caption, role=IN_CONTEXT)]))
    assert {kind for kind in ("environment", "pose", "outfit") if get(found, NAME, kind=kind).value == 1.0} == kinds


def test_only_in_context_captions_count_and_lacking_ones_are_told() -> None:
    pictures = [Picture(caption="1girl", role=IDENTITY_EMPHASIS), Picture(caption="1girl", role=IN_CONTEXT, repeats=3),
                Picture(caption="1girl, library", role=IN_CONTEXT)]  # fmt: skip
    found = get(audit(make_case(pictures)), NAME, kind="environment")
    assert (found.value, found.pictures, found.n) == (0.25, (1,), 2)


def test_no_in_context_caption_is_a_reason() -> None:
    found = get(audit(make_case([Picture(caption="library", role=IDENTITY_EMPHASIS)])), NAME, kind="environment")
    assert (found.value, found.reason) == (None, "no in-context picture has a caption")
