"""How many environments the in-context pictures show, and whether their captions name them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lora_doctor.audits.environments import audit
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT
from tests.audits.make_case import LABEL_SETS, Picture, get, make_case


def scene(environment: str, caption: str | None = "", repeats: int = 1) -> Picture:
    return Picture(role=IN_CONTEXT, caption=caption, repeats=repeats, labels={"environment": environment})


def test_equal_shares_count_fully_and_rare_ones_little() -> None:
    three = audit(make_case([scene("library"), scene("beach"), scene("night_sky")]))
    assert get(three, "dataset.environments").value == pytest.approx(3)
    assert get(three, "dataset.environment_share", environment="beach").value == pytest.approx(1 / 3)
    one = audit(make_case([scene("library")] * 5))
    assert get(one, "dataset.environments").value == pytest.approx(1)
    mostly = audit(make_case([scene("library", repeats=9), scene("beach")]))
    assert 1 < (get(mostly, "dataset.environments").value or 0) < 2
    assert get(mostly, "dataset.environment_share", environment="library").value == 0.9


def test_portraits_and_plain_backdrops_are_no_environment() -> None:
    portrait = Picture(role=IDENTITY_EMPHASIS, labels={"environment": "beach"})
    found = audit(make_case([scene("library"), scene("simple_background"), portrait]))
    assert get(found, "dataset.environments").value == pytest.approx(1)
    assert {m.where["environment"] for m in found if m.name == "dataset.environment_share"} == {"library"}


@pytest.mark.parametrize(
    ("caption", "named"),
    [
        ("1girl, library, sitting", 1.0),
        ("1girl, night sky", 1.0),
        ("A girl reads in a quiet library at night", 1.0),
        ("1girl, library_card", 0.0),
        ("1girl, simple_background", 0.0),
        (None, 0.0),
    ],
)
def test_a_caption_names_an_environment_or_not(caption: str | None, named: float) -> None:
    found = audit(make_case([scene("library", caption)]))
    assert get(found, "dataset.environment_captioned_share").value == named


@pytest.mark.parametrize(
    ("pictures", "reason"),
    [
        ([], "the dataset has no in-context picture"),
        ([Picture(role=IDENTITY_EMPHASIS)], "the dataset has no in-context picture"),
        ([scene("simple_background")], "every in-context picture has a plain background"),
        ([Picture(role=IN_CONTEXT, readable=False)], "no in-context picture could be read"),
    ],
)
def test_no_environment_is_a_reason_not_a_zero(pictures: list[Picture], reason: str) -> None:
    found = audit(make_case(pictures))
    assert [(m.value, m.reason) for m in found] == [(None, reason)] * 2


def test_pictures_that_could_not_be_read_are_counted() -> None:
    found = audit(make_case([scene("library"), Picture(role=IN_CONTEXT, readable=False)]))
    one = get(found, "dataset.environments")
    assert (one.n, one.reason) == (1, "1 of 2 in-context pictures could not be read")


def test_without_labels_there_is_a_reason() -> None:
    without = {name: labels for name, labels in LABEL_SETS.items() if name != "environment"}
    found = audit(make_case([Picture(role=IN_CONTEXT)], label_sets=without))
    assert all(m.value is None and "there is no label set of environments" in (m.reason or "") for m in found)


def test_without_labels_whole_pictures_are_compared_and_that_is_said() -> None:
    without = {name: labels for name, labels in LABEL_SETS.items() if name != "environment"}
    case = make_case([Picture(role=IN_CONTEXT)] * 6, label_sets=without)
    rows = (np.eye(6), np.eye(6)[[0] * 6])
    apart, alike = (
        replace(case, references=tuple(r and replace(r, embedding=row[i]) for i, r in enumerate(case.references)))
        for row in rows
    )
    many, one = (get(audit(each), "dataset.environments") for each in (apart, alike))
    assert one.value == pytest.approx(1) and (many.value or 0) > 3 and one.reason == many.reason is not None


def test_a_doubtful_stray_is_no_environment() -> None:
    case = make_case([scene("library")] * 15 + [scene("beach")])
    stray = case.references[-1]
    assert stray is not None
    doubtful = replace(stray, probabilities={"environment": np.array([0.35, 0.6, 0.03, 0.02])})
    found = audit(replace(case, references=(*case.references[:-1], doubtful)))
    assert get(found, "dataset.environments").value == pytest.approx(1)
