"""The split is that of what the trainer sees: repeats count, and pictures nobody could read are named."""

from __future__ import annotations

import pytest

from lora_doctor.audits.identity_ratio import audit
from lora_doctor.types import CLOSE_UP, FULL_BODY, IDENTITY_EMPHASIS, IN_CONTEXT, UPPER_BODY
from tests.audits.make_case import Picture, get, make_case

FACE = Picture(role=IDENTITY_EMPHASIS, labels={"framing": CLOSE_UP})
BODY = Picture(role=IN_CONTEXT, labels={"framing": FULL_BODY})
HALF = Picture(role=IN_CONTEXT, labels={"framing": UPPER_BODY}, face=None)


def test_the_articles_split_is_a_third() -> None:
    found = audit(make_case([FACE] * 10 + [BODY] * 15 + [HALF] * 5))
    assert get(found, "dataset.images").value == 30
    assert get(found, "dataset.identity_ratio").value == pytest.approx(1 / 3)
    assert get(found, "dataset.framing_share", framing=FULL_BODY).value == 0.5
    assert get(found, "dataset.body_visible_share").value == pytest.approx(2 / 3)
    assert get(found, "dataset.no_face_share").value == pytest.approx(1 / 6)
    assert all(m.interval is None and m.reason is None for m in found)


def test_framing_shares_sum_to_one() -> None:
    found = audit(make_case([FACE] * 3 + [BODY] * 4 + [HALF] * 6))
    shares = [get(found, "dataset.framing_share", framing=f).value or 0 for f in (CLOSE_UP, UPPER_BODY, FULL_BODY)]
    assert sum(shares) == pytest.approx(1)


def test_repeats_are_what_the_trainer_sees() -> None:
    folder = [Picture(role=IDENTITY_EMPHASIS, repeats=10, labels={"framing": CLOSE_UP})]
    found = audit(make_case([*folder, *[BODY] * 10]))
    assert get(found, "dataset.identity_ratio").value == 0.5
    assert get(found, "dataset.framing_share", framing=CLOSE_UP).value == 0.5
    assert get(found, "dataset.images").value == 11


def test_pictures_nobody_could_read_are_named() -> None:
    found = audit(make_case([FACE, BODY, BODY, Picture(readable=False)]))
    ratio = get(found, "dataset.identity_ratio")
    assert ratio.value == pytest.approx(1 / 3)
    assert ratio.n == 3
    assert ratio.reason == "1 of 4 pictures could not be given a role"
    assert get(found, "dataset.no_face_share").reason == "1 of 4 pictures could not be read"


def test_nothing_read_gives_reasons_not_zeros() -> None:
    found = audit(make_case([Picture(readable=False)] * 2))
    assert get(found, "dataset.images").value == 2
    rest = [m for m in found if m.name != "dataset.images"]
    assert all(m.value is None and (m.reason or "").startswith("2 of 2 pictures") for m in rest)
