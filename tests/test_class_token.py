"""Prompts call a character what its captions call it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from lora_doctor.caption_words import CLASS_WORDS
from lora_doctor.class_token import class_token_of, load_class_words
from lora_doctor.dataset_layout import read_dataset
from lora_doctor.errors import EnvironmentFailure
from lora_doctor.types import Dataset, DatasetImage

KNOWN = load_class_words()
PATIENTS = Path(__file__).parents[1] / "fixtures" / "miniature" / "patients"


def dataset(captions: Sequence[str | None], repeats: Sequence[float] = ()) -> Dataset:
    images = [
        DatasetImage(path=Path(f"{n}.png"), sha256=f"{n}", width=64, height=64, caption=caption,
                     repeats=repeats[n] if repeats else 1)
        for n, caption in enumerate(captions)
    ]  # fmt: skip
    return Dataset(path=Path("d"), images=tuple(images))


@pytest.mark.parametrize(
    ("captions", "token"),
    [
        (["1boy, male focus, ohwx, library"] * 3, "1boy"),
        (["ohwx woman"] * 2 + ["1girl, ohwx"], "woman"),
        (["a photo of ohwx man, in a library"] * 2, "man"),
        (["1girl, 1boy, ohwx", "1girl, ohwx"], "1girl"),
        (["ohwx, library", "snowman, iron manor"], ""),
        ([None, None], ""),
        (["ohwx, library"] * 19 + ["a man behind ohwx"], ""),
    ],
)
def test_the_word_that_most_captions_say_is_taken(captions: list[str | None], token: str) -> None:
    assert class_token_of(dataset(captions), None, KNOWN) == (token, None)


@pytest.mark.parametrize(
    ("others", "some"),
    [
        ("yuki_nk, white hair, sofa", "yuki_nk, white hair, sofa, holding cat"),
        ("yuki_nk sits on a sofa", "yuki_nk sits on a sofa with a dog"),
        ("yuki_nk, white hair, street", "yuki_nk, white hair, street, a man behind her"),
        ("yuki_nk, white hair, street", "yuki_nk, white hair, street, cat"),
    ],
)
def test_a_pet_and_a_passer_by_in_some_pictures_are_no_word_for_the_character(others: str, some: str) -> None:
    assert class_token_of(dataset([some] + [others] * 7), None, KNOWN) == ("", None)
    assert class_token_of(dataset([some] * 3 + [others] * 5), None, KNOWN) == ("", None)


def test_what_is_held_is_no_word_for_the_character_however_often() -> None:
    assert class_token_of(dataset(["yuki_nk, white hair, holding cat"] * 8), None, KNOWN) == ("", None)


@pytest.mark.parametrize(
    ("captions", "token"),
    [
        (["mimi_nk cat, sitting, sofa"] * 8, "cat"),
        (["a photo of mimi_nk, a black cat on a sofa"] * 8, "cat"),
        (["a photo of rex_nk dog in a park"] * 6 + ["rex_nk dog with a woman in a park"] * 2, "dog"),
    ],
)
def test_a_character_that_is_an_animal_is_called_so(captions: list[str | None], token: str) -> None:
    assert class_token_of(dataset(captions), None, KNOWN) == (token, None)


def test_words_of_one_kind_count_together_and_the_commonest_of_them_is_taken() -> None:
    captions = ["1girl, ohwx"] * 4 + ["photo of ohwx woman"] * 3 + ["ohwx, library"] * 3
    assert class_token_of(dataset(captions), None, KNOWN) == ("1girl", None)


def test_captions_that_mostly_name_somebody_else_still_tell_what_the_character_is() -> None:
    assert class_token_of(dataset(["1girl, 1boy, ohwx"] * 4 + ["1girl, 1other, ohwx"]), None, KNOWN)[0] == "1girl"
    assert class_token_of(dataset(["1girl, ohwx, holding cat"] * 8 + ["ohwx, close-up"] * 2), None, KNOWN)[0] == "1girl"


def test_pictures_that_are_shown_more_often_count_for_more() -> None:
    assert class_token_of(dataset(["1girl", "1girl", "1boy"], [1, 1, 5]), None, KNOWN)[0] == "1boy"


def test_a_token_that_hardly_any_caption_says_is_kept_and_warned_of() -> None:
    token, remark = class_token_of(dataset(["1boy, ohwx"] * 20), "1girl", KNOWN)
    assert token == "1girl" and remark is not None and "`1girl`" in remark and "0%" in remark


@pytest.mark.parametrize("given", ["1boy", "male focus", ""])
def test_a_token_that_captions_say_and_none_at_all_need_no_warning(given: str) -> None:
    assert class_token_of(dataset(["1boy, male focus, ohwx"] * 20), given, KNOWN) == (given, None)


@pytest.mark.parametrize("patient", sorted(path.name for path in PATIENTS.iterdir()))
def test_every_character_of_the_miniature_is_a_girl(patient: str) -> None:
    assert class_token_of(read_dataset(PATIENTS / patient / "dataset"), None, KNOWN) == ("1girl", None)


def test_a_list_of_words_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "words.toml").write_text("words = 3")
    with pytest.raises(EnvironmentFailure, match=r"words\.toml"):
        load_class_words(tmp_path / "words.toml")


def test_every_word_that_may_be_the_class_token_is_known_to_captions_as_one() -> None:
    assert set(KNOWN.words) <= CLASS_WORDS
