"""How well the dataset itself is read decides whether, and how, an attribute can be measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lora_doctor.metrics.calibration import Calibration, jeffreys
from lora_doctor.metrics.sensitivity import Sensitivity, calibration, false_flips, pictures, sensitivity
from lora_doctor.types import CLOSE_UP, FULL_BODY, UPPER_BODY, Cell, Reading
from tests.metrics.make_study import LABEL_SETS, make_study, reading, references


def read(framing: str, right: int, wrong: int) -> tuple[Reading, ...]:
    return references([framing] * right) + references([framing] * wrong, body="curvy", height="petite")


def of(refs: tuple[Reading, ...], attribute: str = "body", framing: str = FULL_BODY) -> Sensitivity:
    return sensitivity(make_study(refs=refs), LABEL_SETS[attribute], framing)


def test_it_is_the_share_of_the_framings_own_pictures() -> None:
    refs = read(FULL_BODY, 9, 1) + read(UPPER_BODY, 5, 5)
    assert of(refs) == Sensitivity(share=0.9, note=None)
    assert pictures(make_study(refs=refs), LABEL_SETS["body"]) == {UPPER_BODY: (10, 5), FULL_BODY: (10, 9)}


def test_pictures_that_do_not_show_an_attribute_do_not_count() -> None:
    assert of(read(FULL_BODY, 6, 0) + read(CLOSE_UP, 0, 30)).share == 1.0


def test_too_few_of_one_framing_borrow_from_the_others() -> None:
    found = of(read(FULL_BODY, 2, 0) + read(UPPER_BODY, 16, 2))
    assert found.share == pytest.approx(0.9)
    assert found.note == "sensitivity of CLIP from all framings: 2 pictures are full_body"


@pytest.mark.parametrize(("shown", "said"), [(0, "no picture shows it"), (2, "only 2 pictures show it")])
def test_a_dataset_of_faces_leaves_the_body_measurable_with_a_caveat(shown: int, said: str) -> None:
    found = of(read(CLOSE_UP, 38, 0) + read(FULL_BODY, shown, 0))
    assert found == Sensitivity(share=1.0, note=f"sensitivity of CLIP taken as 1: {said} in this dataset")


@pytest.mark.parametrize(("right", "wrong"), [(7, 3), (0, 2), (0, 30), (1, 3)])
def test_a_dataset_read_otherwise_than_the_spec_makes_it_unmeasurable(right: int, wrong: int) -> None:
    found = of(read(FULL_BODY, right, wrong))
    assert found.share is None
    seen = f"{right} of {right + wrong} pictures that show it are read as athletic"
    way_out = "without `body` in [character.spec] it is not asked for"
    assert found.note == f"not measurable by CLIP on this dataset: {seen}; {way_out}"


def test_one_slip_among_few_pictures_is_chance() -> None:
    assert of(read(FULL_BODY, 1, 1)).share == 1.0
    assert of(read(FULL_BODY, 3, 1)).share == 1.0


def certainly(framing: str, count: int, top: str) -> tuple[Reading, ...]:
    return tuple(
        reading(cosine=0.8, noise=60 + i, labels={"framing": framing, "top": (top, 0.99)}) for i in range(count)
    )


def test_pictures_that_certainly_show_another_outfit_say_nothing_about_the_instrument() -> None:
    refs = certainly(FULL_BODY, 7, "red_shirt") + certainly(FULL_BODY, 3, "blue_shirt")
    assert of(refs, "top").share == 1.0


def test_when_most_pictures_show_another_label_nothing_is_measurable() -> None:
    refs = certainly(FULL_BODY, 3, "red_shirt") + certainly(FULL_BODY, 7, "blue_shirt")
    assert of(refs, "top").share is None


def test_pictures_captioned_as_another_outfit_are_no_reference() -> None:
    refs = references([FULL_BODY] * 6) + references([FULL_BODY] * 3, top="blue_shirt")
    study = make_study(refs=refs)
    named = [replace(image, caption="1girl, blue_shirt") for image in study.dataset.images[6:]]
    study = replace(study, dataset=replace(study.dataset, images=(*study.dataset.images[:6], *named)))
    assert pictures(study, LABEL_SETS["top"])[FULL_BODY] == (6, 6)


def cells_of(framing: str) -> list[Cell]:
    return [cell for cell in make_study().cells if cell.framing == framing]


def test_the_uncertainty_is_that_of_the_pictures_behind_it() -> None:
    study = make_study(refs=read(FULL_BODY, 18, 2) + read(UPPER_BODY, 5, 5))
    found = calibration(study, LABEL_SETS["body"], cells_of(FULL_BODY))
    low, high = jeffreys(18, 20)
    assert (found.low, found.high) == pytest.approx((low / 0.9, high / 0.9))


def test_framings_calibrated_each_by_itself_steady_one_another_and_borrowed_ones_do_not() -> None:
    alike = make_study(refs=read(FULL_BODY, 18, 2) + read(UPPER_BODY, 18, 2))
    borrowed = make_study(refs=read(FULL_BODY, 18, 2) + read(UPPER_BODY, 0, 0))
    both = cells_of(FULL_BODY) + cells_of(UPPER_BODY)
    one = calibration(borrowed, LABEL_SETS["body"], cells_of(UPPER_BODY))
    assert 1 - calibration(alike, LABEL_SETS["body"], both).low == pytest.approx((1 - one.low) / 2**0.5)


def test_a_sensitivity_taken_as_1_is_taken_as_known() -> None:
    assert calibration(make_study(refs=read(FULL_BODY, 2, 0)), LABEL_SETS["body"], cells_of(FULL_BODY)) == Calibration()


def test_false_flips_are_confident_misreadings_of_the_datasets_own_pictures() -> None:
    refs = (
        *read(FULL_BODY, 17, 2),
        reading(cosine=0.8, noise=99, labels={"framing": FULL_BODY, "body": ("curvy", 0.4)}),
    )
    assert false_flips(make_study(refs=refs), LABEL_SETS["body"]) == (20, 2)


def test_what_clip_alone_is_certain_of_may_be_its_own_mistake() -> None:
    """Three in ten pictures are certainly read as another shirt: it may be one, or CLIP's way with this one."""
    refs = certainly(FULL_BODY, 21, "red_shirt") + certainly(FULL_BODY, 9, "blue_shirt")
    study, labels = make_study(refs=refs), LABEL_SETS["top"]
    assert pictures(study, labels)[FULL_BODY] == (21, 21) and of(refs, "top").share == 1.0
    assert pictures(study, labels, others_too=True)[FULL_BODY] == (30, 21)
    found = calibration(study, labels, cells_of(FULL_BODY))
    assert found.low == pytest.approx(0.7) and found.high == 1.0


def test_a_colour_has_a_second_opinion_and_keeps_its_calibration() -> None:
    def dyed(count: int, colour: str) -> tuple[Reading, ...]:
        return tuple(
            reading(cosine=0.8, noise=60 + i, labels={"framing": CLOSE_UP, "hair_colour": (colour, 0.99)})
            for i in range(count)
        )

    refs = dyed(21, "white_hair") + dyed(9, "black_hair")
    found = calibration(make_study(refs=refs), LABEL_SETS["hair_colour"], cells_of(CLOSE_UP))
    assert found.low > 0.85
