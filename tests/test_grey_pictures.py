"""A picture without colours is known as one, and so are the traits that it cannot show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lora_doctor.grey_pictures import hides, is_grey, of_colour
from lora_doctor.labels import load_labels
from lora_doctor.plugins import data_folder
from lora_doctor.types import PictureFacts
from tests.audits.make_case import Picture, dataset_of

CHARACTER = load_labels(data_folder("rules") / "labels" / "character.toml")
MINIATURE = load_labels(data_folder("miniature") / "clip" / "labels.toml")


@pytest.mark.parametrize(
    ("facts", "grey"),
    [
        (PictureFacts(format="PNG", mode="L"), True),
        (PictureFacts(format="PNG", mode="I;16"), True),
        (PictureFacts(format="PNG", mode="RGB", colour=(50.0, 0.01, -0.02)), True),
        (PictureFacts(format="PNG", mode="RGB", colour=(50.0, 0.4, -0.2)), False),
    ],
)
def test_grey_is_told_by_mode_or_by_balance(facts: PictureFacts, grey: bool) -> None:
    assert is_grey(facts) is grey


def test_colours_of_hair_eyes_and_skin_need_colours_and_lengths_do_not() -> None:
    assert {name for name, labels in CHARACTER.items() if of_colour(labels)} == {"hair_colour", "eye_colour", "skin"}
    assert {name for name, labels in MINIATURE.items() if of_colour(labels)} == {"hair_colour", "eye_colour", "skin"}


def test_a_grey_picture_hides_colours_alone_and_one_without_facts_hides_nothing() -> None:
    [unknown] = dataset_of([Picture()]).images
    image = replace(unknown, facts=PictureFacts(format="PNG", mode="L"))
    assert hides(image, CHARACTER["hair_colour"]) and not hides(image, CHARACTER["hair_length"])
    assert not hides(unknown, CHARACTER["hair_colour"])
