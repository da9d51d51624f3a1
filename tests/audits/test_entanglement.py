"""Attributes that never part, and those that do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lora_doctor.audits.entanglement import audit, light_of
from lora_doctor.types import IN_CONTEXT, Measurement, PictureFacts
from tests.audits.make_case import Picture, get, make_case


def scene(top: str, environment: str, hair: str = "white_hair") -> Picture:
    labels = {"top": top, "environment": environment, "hair_colour": hair, "framing": "full_body"}
    return Picture(role=IN_CONTEXT, labels=labels)


def found(pictures: list[Picture]) -> list[Measurement]:
    return audit(make_case(pictures))


def test_a_shirt_for_each_place_is_entangled() -> None:
    told = found([scene("red_shirt", "library"), scene("blue_shirt", "beach")] * 8)
    assert get(told, "dataset.entanglement", pair="top x environment").value == pytest.approx(1)
    assert (get(told, "dataset.entanglement_p", pair="top x environment").value or 1) < 0.01
    (cell,) = [m for m in told if m.name == "dataset.entangled_share"]
    assert cell.value == 1 and len(cell.pictures) == 8
    assert (cell.where["top"], cell.where["environment"]) in {("red_shirt", "library"), ("blue_shirt", "beach")}


def test_mixed_shirts_and_places_are_not() -> None:
    tops, places = ("red_shirt", "blue_shirt"), ("library", "beach")
    told = found([scene(top, place) for top in tops for place in places for _ in range(4)])
    assert get(told, "dataset.entanglement", pair="top x environment").value == 0
    assert (get(told, "dataset.entanglement_p", pair="top x environment").value or 0) > 0.5


def test_hair_that_goes_with_a_place_is_told_as_a_trait() -> None:
    told = found([scene("red_shirt", "library", "red_hair"), scene("red_shirt", "beach")] * 8)
    pairs = {m.where["pair"] for m in told if m.name == "dataset.trait_entanglement"}
    assert pairs == {"hair_colour x environment"}
    assert get(told, "dataset.entanglement", pair="any").value == 0


@pytest.mark.parametrize("strays", [0, 2])
def test_what_does_not_vary_is_not_entangled(strays: int) -> None:
    told = found([scene("red_shirt", "library")] * 20 + [scene("blue_shirt", "beach")] * strays)
    assert {(m.where["pair"], m.value) for m in told} == {("any", 0.0), ("any", 1.0)}


def test_a_few_pictures_get_a_reason() -> None:
    told = found([scene("red_shirt", "library"), scene("blue_shirt", "beach")] * 3)
    assert {(m.value, m.reason) for m in told} == {(None, "only 6 pictures could be read, and 10 are wanted")}


def test_repeats_are_no_further_evidence() -> None:
    pictures = [scene("red_shirt", "library"), scene("blue_shirt", "beach")] * 8
    assert found(pictures) == found([replace(picture, repeats=7) for picture in pictures])


def test_light_goes_with_shirts_but_not_with_places() -> None:
    case = make_case([scene("red_shirt", "library"), scene("blue_shirt", "beach")] * 8)
    images = tuple(
        replace(image, facts=PictureFacts(format="PNG", mode="RGB", colour=(80.0 if i % 2 else 20.0, 0, 0)))
        for i, image in enumerate(case.dataset.images)
    )
    told = audit(replace(case, dataset=replace(case.dataset, images=images)))
    assert {m.where["pair"] for m in told} == {"top x environment", "top x light", "any"}


@pytest.mark.parametrize(
    ("colour", "words"),
    [
        ((10, 0, 0), "dark neutral"),
        ((50, 3, -40), "medium blue"),
        ((100, 2, 30), "bright yellow"),
        ((50, 30, 3), "medium red"),
        ((50, -30, 3), "medium green"),
    ],
)
def test_a_mean_colour_has_a_name(colour: tuple[float, float, float], words: str) -> None:
    assert light_of(*colour) == words
