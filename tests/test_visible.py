"""What pictures show, with CLIP's doubts: a stray reading, a doubtful instrument, an instrument that captions test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lora_doctor.types import DatasetImage, FaceReading, LabelSet, Reading
from lora_doctor.visible import MISREAD, Visible, look, said
from tests.make_label_set import label_set

HAIR = label_set("hair", "identity", "white_hair black_hair red_hair green_hair")
BODY = label_set("body", "body", "slender curvy", ("full_body",))
FRAMING = label_set("framing", "framing", "close-up full_body")
SETS = {one.attribute: one for one in (HAIR, BODY, FRAMING)}


def picture(caption: str | None = None, repeats: float = 1) -> DatasetImage:
    return DatasetImage(path=Path("a.png"), sha256="", width=64, height=64, caption=caption, repeats=repeats)


def reading(**rows: list[float]) -> Reading:
    return Reading(
        width=64,
        height=64,
        face=FaceReading(faces=0),
        probabilities={name: np.array(row) for name, row in rows.items()},
    )


def hair(
    rows: list[list[float]], captions: list[str | None] | None = None, repeats: list[float] | None = None
) -> Visible:
    captions, repeats = captions or [None] * len(rows), repeats or [1.0] * len(rows)
    images = [picture(caption, repeat) for caption, repeat in zip(captions, repeats, strict=True)]
    return look(images, [reading(hair=row) for row in rows], SETS, HAIR)


def sure(label: int, p: float = 0.999, labels: LabelSet = HAIR) -> list[float]:
    count = len(labels.labels)
    return [p if i == label else (1 - p) / (count - 1) for i in range(count)]


def test_sure_readings_give_the_plain_share_by_repeats() -> None:
    share = hair([sure(0), sure(0), sure(1)] * 10, repeats=[1, 1, 2] * 10).share("white_hair")
    assert share is not None and share.value == pytest.approx(0.5, abs=0.02)
    assert share.low <= share.value <= share.high and share.high - share.low < 0.1


def test_shares_of_mirrored_labels_mirror() -> None:
    rows = [sure(0, 0.8), sure(0, 0.7), sure(1, 0.9), sure(0, 0.6)]
    swapped = [[row[1], row[0], *row[2:]] for row in rows]
    one, other = hair(rows).share("white_hair"), hair(swapped).share("black_hair")
    assert one is not None and other is not None
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))


def test_many_doubtful_readings_of_one_label_make_it_sure() -> None:
    """0.7 each: the odds multiply, and the share comes out as nearly 1, not as 0.7."""
    share = hair([sure(0, 0.7)] * 30).share("white_hair")
    assert share is not None and share.value > 0.97


def test_one_doubtful_stray_among_many_is_taken_for_a_misreading() -> None:
    seen = hair([sure(0)] * 20 + [sure(1, 0.7)])
    assert seen.told == ["white_hair"] * 21


def test_one_sure_stray_among_many_stays() -> None:
    assert hair([sure(0)] * 20 + [sure(1, 0.9999)]).told[-1] == "black_hair"


def test_an_instrument_that_tells_nothing_says_so() -> None:
    share = hair([[0.25] * 4] * 30).share("white_hair")
    assert share is not None and not share.told


def test_the_interval_covers_the_true_share_nine_times_in_ten() -> None:
    """Calibrated readings of a census: 200 data sets of 40 pictures, three quarters white, each truly drawn."""
    random, inside = np.random.default_rng(7), 0
    for _ in range(200):
        truth = random.choice(4, size=40, p=[0.75, 0.15, 0.05, 0.05])
        signal = np.eye(4)[truth] * 2.0 + random.normal(
            0, 1, (40, 4)
        )  # unit noise: softmax of 2 x is the true posterior
        odds = np.exp(2.0 * signal)
        share = hair((odds / odds.sum(axis=1, keepdims=True)).tolist()).share("white_hair")
        assert share is not None
        inside += share.low <= float((truth == 0).mean()) <= share.high
    assert inside >= 170


def test_only_framings_that_show_the_attribute_count() -> None:
    rows = [
        reading(body=[0.9, 0.1], framing=[0.9, 0.1]),
        reading(body=[0.9, 0.1], framing=[0.2, 0.8]),
        reading(body=[0.9, 0.1]),
    ]
    seen = look([picture()] * 4, [*rows, None], SETS, BODY)
    assert seen.pictures == (1, 2) and seen.unread == 1


def test_no_picture_gives_no_share() -> None:
    seen = look([], [], SETS, HAIR)
    assert seen.share("white_hair") is None and len(seen) == 0
    assert hair([sure(0)]).share("white_hair", rows=[]) is None


def test_the_captioned_share_counts_the_pictures_that_show_the_label() -> None:
    seen = hair([sure(0), sure(0), sure(1), sure(1)])
    share = seen.captioned("white_hair", np.array([1.0, 0.0, 1.0, 1.0]))
    assert share is not None and share.value == pytest.approx(0.5, abs=0.01)
    assert seen.captioned("green_hair", np.ones(4)) is None


@pytest.mark.parametrize(
    ("caption", "label"),
    [
        ("a woman with short blond hair", "blonde_hair"),
        ("1girl, gray_hair", "grey_hair"),
        ("Gray-haired", "grey_hair"),
        ("1girl, tanned skin", "tan"),
        ("long white hair", "long_hair"),
        ("1girl, Grey Hair", "gray_hair"),
    ],
)
def test_a_label_is_said_in_whichever_spelling(caption: str, label: str) -> None:
    assert said(caption, (label, "red_hair")) == {label}


def test_captions_that_clip_does_not_bear_out_widen_the_doubt() -> None:
    """Varied captions, of which CLIP reads three quarters: one reading in four is taken for wrong."""
    labels = [0, 1, 2, 3] * 4
    captions = [HAIR.labels[i] for i in labels]
    rows = [sure(i) for i in labels[:12]] + [sure((i + 1) % 4) for i in labels[12:]]
    tested = hair(rows, captions)
    assert tested.misread == pytest.approx(0.25, abs=0.01) and tested.caveat is None


def test_a_caption_of_habit_tests_nothing() -> None:
    """Every caption says white, the pictures show four colours: that is no news of the instrument."""
    assert hair([sure(i % 4) for i in range(16)], ["white_hair"] * 16).misread == MISREAD


def test_captions_that_clip_mostly_denies_leave_a_caveat() -> None:
    captions = [HAIR.labels[(i + 1) % 4] for i in range(16)]
    seen = hair([sure(i % 4) for i in range(16)], captions)
    assert seen.misread == MISREAD and seen.caveat == "of 16 captions that name one hair, CLIP bears out 0"


def test_draws_are_repeatable_and_follow_the_probabilities() -> None:
    seen = hair([sure(0, 0.9), sure(1, 0.9)] * 10)
    one, again = seen.draws(300, 3), seen.draws(300, 3)
    assert (one == again).all()
    assert float((one[:, 0] == 0).mean()) == pytest.approx(float(seen.probability[0, 0]), abs=0.06)


def test_what_a_picture_is_drawn_as_does_not_depend_on_its_place() -> None:
    readings = [sure(0, 0.9), sure(1, 0.7), sure(0, 0.6), sure(1, 0.95)]
    there, back = hair(readings * 3).draws(200, 3), hair((readings * 3)[::-1]).draws(200, 3)
    assert sorted(map(tuple, there.T)) == sorted(map(tuple, back.T))
