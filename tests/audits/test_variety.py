"""Effective numbers of outfits, poses, expressions, framings and lights of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from lora_doctor.audits.variety import audit
from lora_doctor.types import IN_CONTEXT, Case, PictureFacts
from tests.audits.make_case import LABEL_SETS, Picture, get, make_case


def worn(top: str, caption: str = "", framing: str = "full_body") -> Picture:
    return Picture(caption=caption, labels={"top": top, "framing": framing})


def with_colours(case: Case, colours: Sequence[tuple[float, float, float]]) -> Case:
    images = tuple(
        replace(image, facts=PictureFacts(format="PNG", mode="RGB", colour=colour))
        for image, colour in zip(case.dataset.images, colours, strict=True)
    )
    return replace(case, dataset=replace(case.dataset, images=images))


def test_two_outfits_in_equal_parts_are_two() -> None:
    told = audit(make_case([worn("red_shirt"), worn("blue_shirt")] * 8))
    assert get(told, "dataset.outfits").value == pytest.approx(2)


def test_one_outfit_is_one_and_close_ups_show_none() -> None:
    told = audit(make_case([worn("red_shirt")] * 8 + [worn("blue_shirt", framing="close-up")] * 8))
    one = get(told, "dataset.outfits")
    assert one.value == pytest.approx(1) and one.n == 8


def test_one_doubtful_stray_makes_no_outfit() -> None:
    case = make_case([worn("red_shirt")] * 15 + [worn("blue_shirt")])
    stray = case.references[-1]
    assert stray is not None
    doubtful = replace(stray, probabilities={**stray.probabilities, "top": np.array([0.4, 0.6])})
    told = audit(replace(case, references=(*case.references[:-1], doubtful)))
    assert get(told, "dataset.outfits").value == pytest.approx(1)


def test_the_captions_of_outfits_are_counted() -> None:
    told = audit(make_case([worn("red_shirt", "red_shirt"), worn("red_shirt", "blue_shirt"), worn("red_shirt")] * 2))
    one = get(told, "dataset.outfit_captioned_share")
    assert one.value == pytest.approx(2 / 3) and one.pictures == (2, 5)


def test_framings_are_counted_and_weighted() -> None:
    pictures = [replace(worn("red_shirt", framing="close-up"), repeats=9), worn("red_shirt")]
    value = get(audit(make_case(pictures)), "dataset.framings").value
    assert value == pytest.approx(np.exp(-0.9 * np.log(0.9) - 0.1 * np.log(0.1)))


def test_what_no_label_set_has_gets_a_reason() -> None:
    told = audit(make_case([worn("red_shirt")]))
    assert get(told, "dataset.expressions").reason == "there is no label set of expressions"
    assert get(told, "dataset.lights").reason == "the colours of the pictures were not measured"
    without = audit(make_case([worn("red_shirt")], label_sets={"framing": LABEL_SETS["framing"]}))
    assert get(without, "dataset.outfits").reason == "there is no label set of outfits"


def test_lights_are_counted_by_mean_colour() -> None:
    case = make_case([worn("red_shirt")] * 9)
    one = audit(with_colours(case, [(70, 2, 3)] * 9))
    assert get(one, "dataset.lights").value == pytest.approx(1)
    three = audit(with_colours(case, [(20, 0, -40), (90, 0, 0), (60, 30, 40)] * 3))
    assert get(three, "dataset.lights").value == pytest.approx(3, abs=0.01)


def test_without_pose_labels_whole_pictures_are_compared_and_that_is_said() -> None:
    case = make_case([Picture(role=IN_CONTEXT, labels={"framing": "full_body"})] * 6)
    same = np.eye(8)[0]
    alike = tuple(None if r is None else replace(r, embedding=same) for r in case.references)
    one = get(audit(replace(case, references=alike)), "dataset.poses")
    assert one.value == pytest.approx(1) and one.reason is not None and "no label set of poses" in one.reason
    apart = tuple(None if r is None else replace(r, embedding=-np.eye(8)[i]) for i, r in enumerate(case.references))
    assert (get(audit(replace(case, references=apart)), "dataset.poses").value or 0) > 3
