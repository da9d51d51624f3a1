"""Training configs in YAML say to lora-doctor what they say to the trainer that reads them."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.trainer_yaml import parse_trainer_yaml


def as_trained(text: str) -> Any:
    """PyYAML with one more pattern for numbers, as ai-toolkit has it."""

    class Loader(yaml.SafeLoader):
        pass

    numbers = r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"^(?:{numbers})$"), list("-+0123456789."))
    return yaml.load(text, Loader=Loader)


@pytest.mark.parametrize(
    ("text", "value"),
    [("off", False), ("No", False), ("yes", True), ("on", True), ("n", "n"), ("010", 8), ("08", "08"), ("1e-4", 1e-4),
     ("1E5", 1e5), ("1.5e3", 1500.0), ("1_000", 1000), ("0x10", 16), ("~", None), ("", None), ("'off'", "off")],
)  # fmt: skip
def test_words_and_numbers_are_those_of_the_trainer(text: str, value: object) -> None:
    told = parse_trainer_yaml(f"key: {text}")
    assert told == {"key": value} and type(told["key"]) is type(value)


@given(st.text("0123456789_.eE+-:xofnyes", min_size=1, max_size=8))
def test_any_scalar_is_what_the_trainer_takes_it_for(text: str) -> None:
    try:
        expected = as_trained(f"key: {text}")
    except (yaml.YAMLError, ValueError):
        return
    if isinstance(expected, dict) and list(expected) == ["key"]:
        told = parse_trainer_yaml(f"key: {text}")
        assert repr(told) == repr(expected)


def test_a_table_may_say_again_what_a_table_that_it_merges_says() -> None:
    text = "x:\n  a: &a {<<: {k: 1, j: 0}, k: 2}\nb: {<<: *a, k: 3}\n"
    assert parse_trainer_yaml(text) == {"x": {"a": {"j": 0, "k": 2}}, "b": {"j": 0, "k": 3}}


@pytest.mark.parametrize(
    ("text", "said"),
    [("a: 1\nb: 2\na: 3\n", "twice in line 3"), ("a: [1, 2", "line 1"), ("a: b: c", "line 1"),
     ("? [a]\n: 1", "unhashable"), ("a: !!python/object:os.system x", "python/object"), ("a: 2026-99-99", "month"),
     ("a: *nobody", "alias")],
)  # fmt: skip
def test_what_is_no_config_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        parse_trainer_yaml(text)
    assert "\n" not in str(refused.value)
