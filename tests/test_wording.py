"""Values as text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lora_doctor.wording import caption_text, dataset_text, how_to_go_on, setting_text
from tests.make_diagnosis import make_diagnosis


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not set"),
        (True, "yes"),
        (1e-4, "0.0001"),
        (20 / 21, "0.952"),
        (0.25, "0.25"),
        (48.0, "48"),
        (1234.0, "1234"),
        (1600, "1600"),
        (("a_hair", "b_hair"), "a_hair, b_hair"),
        ((), "none"),
        ({"name": "x", "max_size": 3}, "name: x; max size: 3"),
    ],
)
def test_settings_have_one_format(value: Any, text: str) -> None:
    assert setting_text(value) == text


@pytest.mark.parametrize(
    ("fix", "text"),
    [
        ({"add_tokens": "trigger", "tokens": [], "to": "all"}, "add trigger in the captions of all pictures"),
        (
            {"add_tokens": "body", "tokens": ["slender", "tall"], "to": "in-context"},
            "add slender, tall in the captions of in-context pictures",
        ),
        (
            {"correct_tokens": "eye_colour", "tokens": ["red_eyes"], "remove": ["blue_eyes"], "to": "all"},
            "name red_eyes and no other eye colour in the captions of all pictures",
        ),
        ({"correct_tokens": "eye_colour"}, "name the true eye colour and no other eye colour"),
        ({"remove_token": "red scarf"}, "take red scarf out where the picture does not show it"),
    ],
)
def test_a_fix_of_captions_is_a_sentence(fix: dict[str, Any], text: str) -> None:
    assert caption_text(fix) == f"Captions: {text}"


@pytest.mark.parametrize(
    ("outcome", "stopped", "told"),
    [
        ("INCONCLUSIVE", "all rounds", "`most_replicates = 12` under [matrix]"),
        ("INCONCLUSIVE", "budget", "a larger --budget"),
        ("INCONCLUSIVE", "out of reach", "would hardly decide it, nor would several times as many"),
        ("INCONCLUSIVE", "nothing left", ""),
        ("INCONCLUSIVE", "no ruler", ""),
        ("HOLD", "all rounds", ""),
        ("SHIP", "decided", ""),
    ],
)
def test_more_pictures_are_advised_only_where_their_number_ended_the_rendering(
    tmp_path: Path, outcome: Any, stopped: str, told: str
) -> None:
    one = make_diagnosis(tmp_path)
    rounds = {"looks": [2, 8], "bound": 2.6, "at_most": 8, "stopped": stopped}
    one = replace(one, verdict=replace(one.verdict, outcome=outcome), matrix={**one.matrix, "rounds": rounds})
    assert (told in how_to_go_on(one)) if told else how_to_go_on(one) == ""


def test_rounds_that_were_left_out_are_said_with_how_many_would_bring_it_in_reach(tmp_path: Path) -> None:
    one = make_diagnosis(tmp_path)
    rounds = {"looks": [2, 3, 4], "bound": 2.6, "at_most": 8, "stopped": "out of reach", "reach": 16}
    one = replace(one, verdict=replace(one.verdict, outcome="INCONCLUSIVE"), matrix={**one.matrix, "rounds": rounds})
    assert how_to_go_on(one).startswith(
        "The 4 rounds that are left would hardly decide it; more may, with some luck: with"
    )
    assert "`most_replicates = 16` under [matrix]" in how_to_go_on(one)


@pytest.mark.parametrize("stopped", ["all rounds", "budget"])
def test_after_a_retraining_more_pictures_are_an_option_of_its_command(tmp_path: Path, stopped: str) -> None:
    """Its check-up takes the settings of the one before, not those of a lora-doctor.toml."""
    one = make_diagnosis(tmp_path)
    matrix = {**one.matrix, "rounds": {"looks": [2, 8], "bound": 2.6, "at_most": 8, "stopped": stopped}}
    one = replace(one, verdict=replace(one.verdict, outcome="INCONCLUSIVE"), matrix=matrix, before={"outcome": "HOLD"})
    assert "with `--most-replicates 12` the same command goes on" in how_to_go_on(one)


@pytest.mark.parametrize(
    ("fix", "text"),
    [
        ({"add": "in-context", "until_share": 0.67}, "add in-context pictures until they are 67% of the set"),
        (
            {"add": "in-context", "framing": "full_body", "until_share": 0.4},
            "add in-context pictures in full body until they are 40% of the set",
        ),
        (
            {"add": "in-context", "environments_at_least": 4},
            "add in-context pictures until they show 4 environments or more",
        ),
        ({"leave_out": "pictures"}, "leave these pictures out"),
        ({"leave_out": "eye_colour"}, "leave the pictures that show another eye colour out"),
    ],
)
def test_a_fix_of_the_dataset_is_a_sentence(fix: dict[str, Any], text: str) -> None:
    assert dataset_text(fix) == f"Dataset: {text}"
