"""Pictures that certainly show another trait than the character's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lora_doctor.audits.off_spec import audit
from lora_doctor.types import Case, Measurement, PictureFacts
from tests.audits.make_case import LABEL_SETS, Picture, get, make_case


def seen(hair: str, framing: str = "close-up", **other: str) -> Picture:
    return Picture(labels={"hair_colour": hair, "framing": framing, **other})


def sure(case: Case, probability: float = 0.99) -> Case:
    """The case with every reading that probable."""

    def row(values: np.ndarray) -> np.ndarray:
        rest = (1 - probability) / (len(values) - 1)
        return np.where(values == values.max(), probability, rest)

    references = tuple(
        None if r is None else replace(r, probabilities={k: row(v) for k, v in r.probabilities.items()})
        for r in case.references
    )
    return replace(case, references=references)


def hair(*pictures: Picture, probability: float = 0.99) -> Measurement:
    return get(audit(sure(make_case(pictures), probability)), "dataset.off_spec_share", attribute="hair_colour")


def test_the_share_counts_repeats():
    white, red = seen("white_hair"), seen("red_hair")
    assert hair(white, white, white, red).value == 0.25
    assert hair(white, replace(red, repeats=3), replace(white, repeats=5)).value == pytest.approx(1 / 3)
    assert hair(white).value == 0.0


def test_a_picture_without_colours_is_in_no_colours_share():
    case = sure(make_case([*[seen("white_hair")] * 4, seen("red_hair"), seen("red_hair")]))
    grey = replace(case.dataset.images[5], facts=PictureFacts(format="PNG", mode="RGB", colour=(50.0, 0.0, 0.0)))
    case = replace(case, dataset=replace(case.dataset, images=(*case.dataset.images[:5], grey)))
    found = get(audit(case), "dataset.off_spec_share", attribute="hair_colour")
    assert (found.value, found.n, found.pictures) == (0.2, 5, (4,))


def test_an_uncertain_reading_is_no_other_trait():
    assert hair(seen("white_hair"), seen("white_hair"), seen("red_hair"), probability=0.9).value == 0.0


def test_most_pictures_against_the_spec_put_the_spec_in_doubt():
    found = hair(seen("white_hair"), seen("red_hair"), seen("red_hair"))
    assert found.value is None and found.reason is not None and "the spec is in doubt" in found.reason


def test_only_pictures_whose_framing_shows_the_trait_count():
    pictures = [seen("white_hair", "upper_body", body="athletic")] * 3
    pictures += [seen("white_hair", "upper_body", body="curvy"), seen("white_hair", "close-up", body="curvy")]
    found = get(audit(sure(make_case(pictures))), "dataset.off_spec_share", attribute="body")
    assert (found.value, found.n) == (0.25, 4)


def test_no_readable_picture_gives_a_reason_not_zero():
    found = hair(Picture(readable=False))
    assert found.value is None and found.reason == "no picture that shows hair_colour could be read"


def test_clothes_may_change():
    names = {m.where["attribute"] for m in audit(make_case([seen("white_hair")], spec={"top": "red_shirt"}))}
    assert names == set() and "top" in LABEL_SETS


def test_certain_strangers_are_named_surest_first_and_lie_inside_the_interval():
    found = hair(*[seen("white_hair")] * 18, *[seen("red_hair")] * 2)
    assert found.pictures == (18, 19) and found.interval is not None
    low, high = found.interval
    assert low <= 0.1 <= high and high < 0.15


def test_doubtful_readings_leave_room_above():
    found = hair(*[seen("white_hair")] * 10, *[seen("red_hair")] * 5, probability=0.9)
    assert found.value == 0 and found.interval is not None and found.interval[1] > 0.2
