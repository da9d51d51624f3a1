"""Which pictures and which captions a training step shows, against the probabilities that were asked for."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_doctor.caption_sampling import NEGATIVE_SHARE, picture_shares, shown_caption
from lora_doctor.errors import InputRefused
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, DatasetImage, Role

CAPTION = "1girl, yuki_nk, white_hair, library, reading"
DRAWS = 4000
FOUR_SIGMA = 4 * 0.5 / DRAWS**0.5


def picture(role: Role | None, repeats: int = 1) -> DatasetImage:
    return DatasetImage(
        path=Path("x.png"), sha256="0", width=1, height=1, caption=CAPTION, repeats=repeats, role=role
    )  # fmt: skip


def captions(**options: Any) -> list[str]:
    rng = Random(7)
    return [shown_caption(CAPTION, rng, trigger="yuki_nk", **options) for _ in range(DRAWS)]


def share(found: list[str], token: str) -> float:
    return sum(token in caption.split(", ") for caption in found) / len(found)


def test_without_dropout_the_caption_is_shown_as_it_is() -> None:
    assert set(captions()) == {CAPTION}


def test_each_token_is_dropped_with_the_asked_probability() -> None:
    found = captions(token_dropout=0.3)
    for token in ("white_hair", "library", "reading"):
        assert abs(share(found, token) - 0.7) < FOUR_SIGMA
    both = sum("library" in caption and "reading" in caption for caption in found) / len(found)
    assert abs(both - 0.49) < FOUR_SIGMA  # independent of one another


@settings(deadline=None)
@given(st.floats(0, 1), st.integers(0, 2**32))
def test_class_token_and_trigger_are_never_dropped(dropout: float, seed: int) -> None:
    shown = shown_caption(CAPTION, Random(seed), trigger="yuki_nk", token_dropout=dropout)
    assert shown.startswith("1girl, yuki_nk")
    assert set(shown.split(", ")) <= set(CAPTION.split(", "))


@pytest.mark.parametrize("seed", range(20))
def test_a_trigger_inside_a_tag_is_never_dropped(seed: int) -> None:
    caption = "1girl, ohwx woman, library"
    shown = shown_caption(caption, Random(seed), trigger="ohwx", token_dropout=1.0, negative_tokens=("black_hair",))
    assert shown in ("1girl, ohwx woman", "1girl, ohwx woman, black_hair")


def test_whole_captions_are_dropped_with_the_asked_probability() -> None:
    found = captions(caption_dropout=0.2, token_dropout=0.5, negative_tokens=("black_hair",))
    assert abs(found.count("") / len(found) - 0.2) < FOUR_SIGMA


def test_negative_tokens_are_appended_to_a_share_of_the_captions() -> None:
    found = captions(negative_tokens=("black_hair", "brown_eyes"))
    counts = Counter(found)
    assert counts.keys() == {CAPTION, f"{CAPTION}, black_hair", f"{CAPTION}, brown_eyes"}
    assert abs(1 - counts[CAPTION] / len(found) - NEGATIVE_SHARE) < FOUR_SIGMA
    assert abs(share(found, "black_hair") - NEGATIVE_SHARE / 2) < FOUR_SIGMA


@pytest.mark.parametrize(
    ("caption", "tokens"), [("1girl, library", ("black_hair",)), (CAPTION, ("white_hair",)), (CAPTION, ())]
)
def test_negative_tokens_stay_away_from_captions_they_do_not_suit(caption: str, tokens: tuple[str, ...]) -> None:
    rng = Random(1)
    assert {shown_caption(caption, rng, trigger="yuki_nk", negative_tokens=tokens) for _ in range(200)} == {caption}


def test_a_picture_without_caption_is_shown_with_the_trigger() -> None:
    assert shown_caption(None, Random(0), trigger="yuki_nk", token_dropout=1.0) == "yuki_nk"


def test_without_a_ratio_pictures_count_by_their_repeats() -> None:
    assert picture_shares([picture(IDENTITY_EMPHASIS), picture(None, 3)], None) == (0.25, 0.75)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=8),
    st.lists(st.integers(1, 9), min_size=1, max_size=8),
    st.floats(0, 1),
)
def test_the_roles_get_their_ratio_and_pictures_their_repeats(
    identity: list[int], context: list[int], ratio: float
) -> None:
    images = [picture(IDENTITY_EMPHASIS, n) for n in identity] + [picture(IN_CONTEXT, n) for n in context]
    shares = picture_shares(images, ratio)
    assert sum(shares) == pytest.approx(1)
    assert sum(shares[: len(identity)]) == pytest.approx(ratio)
    assert shares[0] * identity[-1] == pytest.approx(shares[len(identity) - 1] * identity[0])


def test_drawing_by_the_shares_gives_the_identity_ratio() -> None:
    images = [picture(IDENTITY_EMPHASIS)] * 9 + [picture(IN_CONTEXT)]
    shares, rng = picture_shares(images, 0.25), Random(3)
    drawn = rng.choices(images, weights=shares, k=DRAWS)
    assert abs(sum(image.role == IDENTITY_EMPHASIS for image in drawn) / DRAWS - 0.25) < FOUR_SIGMA


@pytest.mark.parametrize(
    ("roles", "shares", "says"),
    [
        ([IN_CONTEXT, IN_CONTEXT], (0.5, 0.5), "every picture with a role is in-context"),
        ([IDENTITY_EMPHASIS, None], (1.0, 0.0), "without a role are never drawn"),
        ([None, None], (0.5, 0.5), "identity_ratio is ignored"),
    ],
)
def test_a_role_without_pictures_leaves_its_share_with_a_warning(
    roles: list[Role | None], shares: tuple[float, ...], says: str
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert picture_shares([picture(role) for role in roles], 0.33) == pytest.approx(shares)
    assert any(says in str(warning.message) for warning in caught)


def test_an_empty_dataset_is_refused() -> None:
    with pytest.raises(InputRefused, match="no picture"):
        picture_shares([], 0.33)
