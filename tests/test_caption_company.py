"""Captions that name somebody besides the character are told from those that only say what it is."""

from __future__ import annotations

import pytest

from lora_doctor.caption_company import names_others


@pytest.mark.parametrize(
    "caption",
    [
        "1girl, yuki_nk, white_hair, solo",
        "1girl, yuki_nk, cat_ears, fox_tail, girls_und_panzer, magical_girl",
        "photo of ohwx man in a park",
        "ohwx dog, sitting",
        "yuki_nk, a tall young woman with white hair. The woman wears her coat. She smiles at the viewer",
        "A full_body picture of yuki_nk. The girl is athletic and tall",
        "An illustration of a smiling young woman with red eyes, yuki_nk, wearing a boy's shirt",
        "Here yuki_nk is a athletic, tall woman who has white hair",
        "a portrait of a person with pale skin. She is a woman",
        "",
    ],
)
def test_what_the_character_is_called_is_nobody_else(caption: str) -> None:
    assert not names_others(caption)


@pytest.mark.parametrize(
    "caption",
    [
        "2girls, yuki_nk, white_hair, black_hair",
        "1girl, 1boy, yuki_nk, dark_skin",
        "6+girls, yuki_nk",
        "multiple_girls, yuki_nk",
        "1girl, solo_focus, yuki_nk",
        "1girl, yuki_nk, holding_cat",
        "yuki_nk, doll_with_black_hair",
        "yuki_nk hugging a man with black hair",
        "yuki_nk hugs a man with black hair",
        "yuki_nk, a girl with red eyes, holding a cat with green eyes",
        "A photo of yuki_nk. A boy with brown hair stands on the left. She is slender",
        "yuki_nk in front of a poster of a woman with pink hair",
        "a woman with white hair beside the man. He has black hair",
        "yuki_nk, a girl with white hair, and another girl with black hair",
        "yuki_nk and her friends at the beach",
    ],
)
def test_a_second_person_an_animal_and_a_doll_are_somebody_else(caption: str) -> None:
    assert names_others(caption)
