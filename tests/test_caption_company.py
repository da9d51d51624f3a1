"""Captions that name somebody besides the character are told from those that only say what it is."""

from __future__ import annotations

import pytest

from lora_doctor.caption_company import names_others, owned_by_another


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
        "a close-up photo of the back of a woman with white hair",
        "It's a beautiful portrait of a woman with white hair",
        "The image shows a close-up photo of a woman. She has white hair",
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
        "yuki_nk standing in front of a man with black hair",
        "yuki_nk holds a portrait of a woman with black hair",
        "yuki_nk in the arms of the man with black hair",
        "a woman with white hair beside the man. He has black hair",
        "yuki_nk, a girl with white hair, and another girl with black hair",
        "yuki_nk and her friends at the beach",
    ],
)
def test_a_second_person_an_animal_and_a_doll_are_somebody_else(caption: str) -> None:
    assert names_others(caption)


@pytest.mark.parametrize(
    "caption",
    [
        "yuki_nk stands at a counter, a clerk has black hair",
        "yuki_nk with white hair stands at a counter, a clerk has black_hair",
        "yuki_nk stands at the counter while the clerk with black hair smiles",
        "yuki_nk talks to a tall clerk who has long black hair",
        "yuki_nk waits. The clerk has black hair",
    ],
)
def test_hair_that_a_sentence_gives_to_a_noun_for_somebody_else_is_theirs(caption: str) -> None:
    assert owned_by_another(caption, "black_hair")


@pytest.mark.parametrize(
    "caption",
    [
        "1girl, yuki_nk, black_hair",
        "a photo of ohwx with black hair in a park",
        "a photo of ohwx in a park with black hair",
        "a woman sitting on a bench with long black hair",
        "yuki_nk holding a sword with black hair",
        "yuki_nk, a mage with black hair",
        "yuki_nk as a nurse with black hair",
        "A portrait of a mage with black hair",
        "The mage has black hair and stands on a cliff",
        "yuki_nk stands beside a bench and she has black hair",
        "yuki_nk talks to a clerk who has black hair, she has black hair",
        "yuki_nk talks to a clerk who has red hair",
        "",
    ],
)
def test_hair_that_may_be_the_characters_is_nobody_elses(caption: str) -> None:
    assert not owned_by_another(caption, "black_hair")
