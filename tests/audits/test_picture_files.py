"""Orientation, transparency, animation, colours and broken files of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lora_doctor.audits.picture_files import audit
from lora_doctor.types import Measurement, Skipped, Subset
from tests.audits.make_case import get
from tests.audits.make_pictures import File, case_of

OF_FACTS = {f"pictures.{what}_share" for what in ("rotated", "transparent", "animated", "grey", "odd_mode")}
COLOURED = {"colour": (50.0, 20.0, 5.0)}


def told(name: str, files: list[File], **options: Any) -> Measurement:
    return get(audit(case_of(files, **options)), f"pictures.{name}")


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("rotated_share", {"orientation": 6}, {"orientation": 1}),
        ("rotated_share", {"orientation": 2}, {}),
        ("transparent_share", {"transparent": 0.4}, {"transparent": 0.002}),
        ("animated_share", {"frames": 2}, {"frames": 1}),
        ("grey_share", {"mode": "L"}, COLOURED),
        ("grey_share", {"mode": "I;16", **COLOURED}, {"colour": (50.0, 0.2, 0.0)}),
        ("grey_share", {"colour": (50.0, 0.001, -0.002)}, {"mode": "P", **COLOURED}),
        ("odd_mode_share", {"mode": "CMYK"}, {"mode": "RGBA"}),
        ("odd_mode_share", {"mode": "I;16B"}, {"mode": "L"}),
        ("odd_mode_share", {"mode": "1"}, {"mode": "P"}),
    ],
)
def test_shares_are_weighted_by_repeats(name: str, bad: dict[str, Any], good: dict[str, Any]) -> None:
    found = told(name, [File(facts=good, repeats=3), File(facts=bad)])
    assert (found.value, found.n, found.pictures) == (0.25, 2, (1,))


def test_the_most_see_through_picture_comes_first() -> None:
    files = [File(facts={"transparent": share}) for share in (0.1, 0.9, 0.0, 0.5)]
    assert told("transparent_share", files).pictures == (1, 3, 0)


def test_facts_that_were_not_read_give_a_reason_not_zero() -> None:
    found = audit(case_of([File(facts=None)]))
    assert {one.name for one in found if one.value is None and one.reason} == OF_FACTS
    assert {one.name for one in found if one.value == 0} == {"pictures.unreadable", "pictures.unreadable_share"}
    assert len(found) == len(OF_FACTS) + 2


def test_an_empty_dataset_gives_reasons() -> None:
    found = audit(case_of([]))
    empty = {one.name for one in found if one.value is None and one.reason == "the dataset is empty"}
    assert empty == {*OF_FACTS, "pictures.unreadable_share"}
    assert [(one.name, one.value) for one in found if one.name not in empty] == [("pictures.unreadable", 0)]


@pytest.mark.parametrize(("obeys", "value"), [(True, 0.0), (False, 0.5), (None, 0.5)])
def test_a_trainer_that_turns_pictures_sees_them_upright(obeys: bool | None, value: float) -> None:
    subsets = (Subset(folder=Path("a"), obeys_orientation=obeys),)
    found = told("rotated_share", [File(facts={"orientation": 8}), File()], subsets=subsets)
    assert found.value == value
    assert (found.reason is not None) == (obeys is None)


def test_upright_pictures_need_no_assumption() -> None:
    found = told("rotated_share", [File(), File()])
    assert (found.value, found.reason) == (0.0, None)


def skipped(name: str, kind: Any = "picture") -> Skipped:
    return Skipped(path=Path(name), kind=kind, reason="does not decode.")


def test_broken_files_are_a_share_of_all_picture_files() -> None:
    left_out = (skipped("a.png"), skipped("b.png"), skipped("c.txt", "caption"), skipped("d", "folder"))
    assert told("unreadable_share", [File()] * 8, skipped=left_out).value == pytest.approx(0.2)
    assert told("unreadable", [File()] * 8, skipped=left_out).value == 2


def test_a_remark_on_a_picture_that_is_used_and_a_second_one_on_the_same_file_do_not_count() -> None:
    files = (skipped("000.png"), skipped("a.png"), skipped("a.png"))
    assert told("unreadable", [File()], skipped=files).value == 1


def test_a_dataset_of_broken_files_is_all_broken() -> None:
    assert told("unreadable_share", [], skipped=(skipped("a.png"),)).value == 1
