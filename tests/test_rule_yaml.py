"""Rule files are read as YAML 1.2, as a slower reader reads them; what YAML leaves open is refused."""

from __future__ import annotations

import pytest
from ruamel.yaml import YAML

from lora_doctor.plugins import data_folder
from lora_doctor.rule_yaml import parse_rule_yaml

FILES = sorted(data_folder("rules").rglob("*.yaml"))


def slowly(text: str) -> object:
    return YAML(typ="safe", pure=True).load(text)


def test_every_rule_is_read_as_ruamel_reads_it() -> None:
    assert len(FILES) > 90
    assert [path.name for path in FILES if parse_rule_yaml(path.read_text()) != slowly(path.read_text())] == []


@pytest.mark.parametrize(
    "text",
    ["no", "on", "Yes", "true", "False", "~", "", "null", "0.5", ".5", "5.", "1e-3", "-2", "+7", "010", ".inf", "-.inf",
     "0.25 to 0.4", "2026-11-29", "1:30", "'1'", "a: 1", "{a: 0.1, b: [x, {c: no}]}", "|\n a\n b\n",
     ">-\n a\n b\n", "&x [1, 2]", "[&x 1, *x]"],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text: str) -> None:
    told = parse_rule_yaml(f"key: {text}" if ": " not in text else text)
    if text == "2026-11-29":  # ruamel makes a date of it, which the core schema does not know
        assert told == {"key": text}
    else:
        expected = slowly(f"key: {text}" if ": " not in text else text)
        assert told == expected and repr(told) == repr(expected)


@pytest.mark.parametrize(
    ("text", "said"),
    [("a: 1\nb: 2\na: 3\n", "line 3"), ("a: {b: 1, b: 2}", "twice"), ("a: [1, 2", "line 2"), ("a: b: c", "line 1"),
     ("a: !!python/object:os.system x", "python/object"), ("a: *nobody", "alias in line 1"), ("a: \x00", "control")],
)  # fmt: skip
def test_what_is_no_yaml_or_says_a_thing_twice_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        parse_rule_yaml(text)
    assert "\n" not in str(refused.value)
