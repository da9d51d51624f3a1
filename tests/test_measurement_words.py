"""Measurements in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_doctor.errors import EnvironmentFailure
from lora_doctor.measurement_words import limit_text, name_text, words_in
from lora_doctor.plugins import data_folder
from lora_doctor.rule_files import load_rules


def test_a_name_is_told_in_words_with_the_attribute_of_its_slice() -> None:
    words = {"attribute.flip_rate": "{attribute} flips to another label"}
    assert name_text("attribute.flip_rate", words, "hair_colour") == "Hair colour flips to another label"
    assert name_text("attribute.other", words, "hair_colour") == "attribute.other"


def test_a_limit_is_told_as_a_rule_asks_for_it() -> None:
    assert limit_text({"above": 0.15}) == "above 0.15"
    assert limit_text({"at_least": 0.25, "at_most": 0.4}) == "at least 0.25 and at most 0.4"
    assert limit_text({}) == ""


def test_words_that_are_missing_are_told_with_their_file(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match=r"measurements\.toml"):
        words_in(tmp_path)


def test_every_number_that_a_blocker_leads_with_has_words() -> None:
    """The first condition of a rule is what its finding shows first."""
    words = words_in(data_folder("reports"))
    leading = {_first(rule.when) for rule in load_rules(data_folder("rules")) if rule.severity == "blocker"}
    assert leading and leading <= words.keys()


def _first(condition: object) -> str:
    while not (name := getattr(condition, "measurement", "")):
        condition = (*getattr(condition, "all", ()), *getattr(condition, "any", ()), *getattr(condition, "none", ()))[0]
    return str(name)
