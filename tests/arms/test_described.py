"""The traits are written out where the framing shows them, with and without the LoRA."""

from __future__ import annotations

from lora_doctor.arms.described import plan
from tests.arms.make_case import make_case


def test_the_prompt_names_the_traits_that_its_framing_shows() -> None:
    prompts = {cell.framing: cell.prompt for cell in plan(make_case())}
    assert "purple_hair" in prompts["close-up"] and "tall" not in prompts["close-up"]
    assert "purple_hair" in prompts["full_body"] and "tall" in prompts["full_body"]


def test_the_trigger_stays() -> None:
    assert all("yuki_nk" in cell.prompt for cell in plan(make_case()))


def test_with_and_without_the_lora_alone() -> None:
    assert {cell.weight for cell in plan(make_case())} == {0.0, 1.0}


def test_a_character_without_a_spec_has_nothing_to_describe() -> None:
    assert plan(make_case(spec={})) == ()
