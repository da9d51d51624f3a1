"""Buckets as the trainers' own code chooses them; the pairs below were made by running it."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lora_doctor.buckets import Fit, fit

TRAINERS = ["sd-scripts", "ai-toolkit", "OneTrainer", "SimpleTuner", "musubi-tuner", "folder"]
SIZES = st.tuples(st.integers(1, 5000), st.integers(1, 5000))
SQUARE = (1024, 1024)


@pytest.mark.parametrize(
    ("picture", "bucket", "scaled"),
    [
        ((1024, 1024), (1024, 1024), (1024, 1024)),
        ((1920, 1080), (1344, 768), (1365, 768)),
        ((832, 1216), (832, 1216), (832, 1216)),
        ((3000, 4000), (896, 1152), (896, 1195)),
        ((500, 2000), (512, 2048), (512, 2048)),
        ((100, 100), (1024, 1024), (1024, 1024)),
    ],
)
def test_sd_scripts_takes_the_nearest_shape_of_equal_area(
    picture: tuple[int, int], bucket: tuple[int, int], scaled: tuple[int, int]
) -> None:
    one = fit(picture, SQUARE, step=64, bounds=(256, 2048))
    assert (one.bucket, one.scaled) == (bucket, scaled)


def test_sd_scripts_default_bounds_end_at_1024() -> None:
    assert fit((500, 2000), (512, 512)).bucket == (256, 1024)
    assert max(fit((100, 2000), SQUARE).bucket) == 1024


def test_without_upscaling_small_pictures_get_a_bucket_of_their_own() -> None:
    small = fit((300, 300), (512, 512), upscales=False)
    assert small.bucket == (256, 256) and small.scaled == (300, 300)  # what kohya_ss's notes give as example
    assert fit((300, 300), (512, 512)).bucket == (512, 512)
    large = fit((2000, 3000), SQUARE, upscales=False)
    assert large.bucket[0] * large.bucket[1] <= 1024 * 1024 and large.scale < 1


@pytest.mark.parametrize("trainer", TRAINERS)
def test_without_buckets_the_middle_square_is_left(trainer: str) -> None:
    one = fit((600, 1200), (512, 512), trainer=trainer, buckets=False)
    assert one.bucket == (512, 512)
    assert one.kept == pytest.approx((0, 0.25, 1, 0.75), abs=0.002)
    assert one.lost == pytest.approx(0.5, abs=0.002)


def test_ai_toolkit_never_makes_a_picture_much_larger() -> None:
    assert fit((500, 700), SQUARE, trainer="ai-toolkit").bucket == (512, 704)  # nearest in area
    assert fit((1536, 1024), SQUARE, trainer="ai-toolkit").bucket == (1216, 832)


def test_onetrainer_knows_nine_shapes() -> None:
    assert fit((1920, 1080), SQUARE, trainer="OneTrainer", step=64).bucket == (1344, 768)
    assert fit((1000, 9000), SQUARE, trainer="OneTrainer", step=64).bucket == (512, 2048)


@given(picture=SIZES, trainer=st.sampled_from(TRAINERS), buckets=st.booleans(), upscales=st.booleans())
@settings(max_examples=300, deadline=None)
def test_every_picture_covers_its_bucket_in_its_own_shape(
    picture: tuple[int, int], trainer: str, buckets: bool, upscales: bool
) -> None:
    one = fit(picture, (768, 512), trainer=trainer, buckets=buckets, upscales=upscales)
    assert all(side > 0 for side in one.bucket)
    assert one.scaled[0] >= one.bucket[0] and one.scaled[1] >= one.bucket[1]
    left, top, right, bottom = one.kept
    assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
    assert one.lost == pytest.approx(1 - (right - left) * (bottom - top))


@given(picture=SIZES, trainer=st.sampled_from(TRAINERS))
@settings(max_examples=200, deadline=None)
def test_a_picture_on_its_side_gets_its_bucket_on_its_side(picture: tuple[int, int], trainer: str) -> None:
    # Trainers round the ratio to two digits, which is coarse for 1 : 54 and fine for 54 : 1: no mirror image out there.
    assume(max(picture) <= 8 * min(picture))
    one, other = (fit(size, SQUARE, trainer=trainer) for size in (picture, picture[::-1]))
    # The nearest ratio is not the nearest inverse ratio: neighbours in the list are all that may differ.
    assert abs(one.bucket[0] - other.bucket[1]) <= 256 or one.lost > 0.2
    assert fit((700, 700), SQUARE, trainer=trainer).bucket[0] == fit((700, 700), SQUARE, trainer=trainer).bucket[1]


@pytest.mark.parametrize("trainer", TRAINERS)
def test_tiny_training_sizes_still_have_buckets(trainer: str) -> None:
    one = fit((64, 128), (64, 64), trainer=trainer)
    assert one.bucket[1] > one.bucket[0] and one.lost < 0.2


FIT = Fit(picture=(100, 200), bucket=(100, 100), scaled=(100, 200))


@pytest.mark.parametrize(
    ("box", "chance"),
    [
        ((0, 0, 1, 0.5), 1 / 101),  # only the topmost window
        ((0, 0.25, 1, 0.75), 1 / 101),
        ((0.2, 0.45, 0.8, 0.55), 81 / 101),  # windows from 10 to 90
        ((0, 0, 1, 0.6), 0.0),  # taller than the window
        ((0.4, 0.0, 0.6, 0.1), 1 / 101),
    ],
)
def test_the_chance_that_a_random_crop_keeps_a_box(box: tuple[float, float, float, float], chance: float) -> None:
    assert FIT.chance_of_keeping(box) == pytest.approx(chance)


@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 100), st.integers(0, 100))
@settings(deadline=None)
def test_the_chance_is_the_share_of_windows(bucket: int, spare: int, one: int, other: int) -> None:
    scaled = bucket + spare
    start, end = sorted((one * scaled // 100, other * scaled // 100))
    windows = [at for at in range(spare + 1) if at <= start and at + bucket >= end]
    told = Fit(picture=(scaled, 10), bucket=(bucket, 10), scaled=(scaled, 10))
    assert told.chance_of_keeping((start / scaled, 0, end / scaled, 1)) == pytest.approx(len(windows) / (spare + 1))
