"""Which places a matrix has: those the dataset shows often, those it never shows, and none in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lora_doctor.errors import UsageError
from lora_doctor.matrix_plan import asking, plan_matrix, require_places, shown_places
from lora_doctor.settings import CharacterSettings, InstrumentSettings, MatrixSettings, Settings
from lora_doctor.types import Dataset, DatasetImage, FaceReading, Reading
from tests.metrics.make_study import LABEL_SETS, probabilities

PLACES = LABEL_SETS["environment"]
SETTINGS = Settings(
    model=Path("m"), trigger="yuki", dataset=Path("d"), out=Path("o"), character=CharacterSettings(class_token="1girl")
)


def dataset(captions: Sequence[str | tuple[str, ...]]) -> Dataset:
    """A picture for each caption, or for the captions that the trainer chooses from."""
    texts = [(one,) if isinstance(one, str) else one for one in captions]
    images = [
        DatasetImage(path=Path(f"{n}.png"), sha256=f"{n}", width=64, height=64, caption=one[0],
                     variants=one if len(one) > 1 else ())
        for n, one in enumerate(texts)
    ]  # fmt: skip
    return Dataset(path=Path("d"), images=tuple(images))


def read_as(places: Sequence[str | None]) -> list[Reading | None]:
    made: dict[str, Any] = {"width": 64, "height": 64, "face": FaceReading(faces=0)}
    return [None if p is None else Reading(**made, probabilities=probabilities({"environment": p})) for p in places]


def planned(pictures: Dataset, places: Sequence[str | None], **matrix: Any) -> tuple[set[str], set[str], str]:
    """Trained places, new ones, and what is said of them."""
    settings = replace(SETTINGS, matrix=MatrixSettings(**matrix))
    cells, said = plan_matrix(settings, pictures, read_as(places), PLACES, asking(settings, LABEL_SETS, {}))
    trained, new = ({cell.environment for cell in cells if cell.trained is kind} for kind in (True, False))
    return trained, new, "; ".join(said)


def test_a_place_that_a_single_caption_names_is_not_new() -> None:
    captions = ["library"] * 100 + ["beach"] * 97 + ["snow", ("at home", "city"), "forest"]
    trained, new, said = planned(dataset(captions), [None] * 200)
    assert trained == {"library", "beach"} and new == {"desert"} and not said


def test_a_place_that_clip_alone_reads_counts_from_a_twentieth_of_the_pictures_on() -> None:
    pictures = dataset([""] * 100)
    seen = read_as(["library"] * 91 + ["beach"] * 5 + ["snow"] * 4)
    assert shown_places(pictures, seen, PLACES) == {"library": 91, "beach": 5}


def test_a_picture_whose_caption_and_clip_agree_counts_once() -> None:
    assert shown_places(dataset(["beach", "beach", ""]), read_as(["beach", "snow", None]), PLACES) == {"beach": 2}


def test_that_no_place_is_left_is_said_in_words() -> None:
    captions = [place for place in PLACES.labels for _ in range(3)]
    trained, new, said = planned(dataset(captions), [None] * len(captions))
    assert len(trained) == 2 and not new and "all 6 places" in said and "matrix.novel_environments" in said


def test_a_place_that_the_user_calls_new_and_captions_name_is_remarked() -> None:
    pictures = dataset(["library"] * 17 + ["beach, moon_base", "moon base", "beach"])
    seen = ["library"] * 14 + ["desert"] * 6
    _, new, said = planned(pictures, seen, novel_environments=("moon_base", "desert", "snow"))
    assert new == {"moon_base", "desert", "snow"}
    assert "`moon_base`" in said and "2 captions" in said and "`desert`" in said and "6 pictures" in said
    assert "snow" not in said


def test_a_label_file_without_places_is_refused_in_one_line() -> None:
    labels = {name: one for name, one in LABEL_SETS.items() if name != "environment"}
    settings = replace(SETTINGS, instruments=InstrumentSettings(labels=Path("mine.toml")))
    with pytest.raises(UsageError, match=r"mine\.toml.*\[environment\]") as refused:
        require_places(labels, settings)
    assert "\n" not in str(refused.value)


def test_a_colour_that_is_called_like_a_place_is_no_place_of_the_dataset() -> None:
    captions = ["a photo of yuki with snow white hair, she stands in a library"] * 30 + ["yuki, beach"] * 10
    trained, new, said = planned(dataset(captions), ["library"] * 30 + ["beach"] * 10)
    assert trained == {"library", "beach"} and "snow" not in new
    assert "captions say `snow`" in said


def test_a_place_in_prose_that_a_picture_is_read_as_is_one_of_the_dataset() -> None:
    captions = ["a photo of yuki standing in the snow"] * 30 + ["yuki, beach"] * 10
    trained, _, said = planned(dataset(captions), ["snow"] + ["library"] * 29 + ["beach"] * 10)
    assert "snow" in trained and not said


def test_a_place_that_is_a_tag_is_one_of_the_dataset_whatever_is_read() -> None:
    trained, _, said = planned(dataset(["yuki, snow"] * 30 + ["yuki, beach"] * 10), ["library"] * 30 + ["beach"] * 10)
    assert "snow" in trained and not said


def test_where_no_picture_is_read_the_word_of_the_captions_counts() -> None:
    trained, _, _ = planned(dataset(["a photo of yuki standing in the snow"] * 10), [None] * 10)
    assert trained == {"snow"}


def test_a_dataset_without_a_place_is_told_what_cannot_be_compared() -> None:
    trained, new, said = planned(dataset(["1girl, simple_background"] * 40), ["simple_background"] * 40)
    assert not trained and len(new) >= 3
    assert said.startswith("the dataset shows no place that can be recognised")
