"""Policy files: which choice means a path, and on which line each key stands."""

from __future__ import annotations

import tomllib

import pytest

from lora_doctor.policy_file import PolicyFile, is_path, key_lines, read_file

TEXT = '''# a comment with [brackets] and = signs
extends = "standard"   # [x]
weights = [
    0.7,  # a = 1
    1.0,
]
note = """
fake = 1
[rules]
"""
"quoted" = 'a [ that stays open'

[rules]
hair-flip = "warn"
"body-drift" = "fail"

[[waivers]]
rule = "a"
where = { attribute = "b" }
[[waivers]]
rule = "b"
[waivers.where]
attribute = "c"
'''


def test_every_statement_has_its_line_and_nothing_inside_a_value_has_one() -> None:
    tomllib.loads(TEXT)
    assert key_lines(TEXT) == {
        ("extends",): 2,
        ("weights",): 3,
        ("note",): 7,
        ("quoted",): 11,
        ("rules",): 13,
        ("rules", "hair-flip"): 14,
        ("rules", "body-drift"): 15,
        ("waivers", 0): 17,
        ("waivers", 0, "rule"): 18,
        ("waivers", 0, "where"): 19,
        ("waivers", 1): 20,
        ("waivers", 1, "rule"): 21,
        ("waivers", 1, "where"): 22,
        ("waivers", 1, "where", "attribute"): 23,
    }


def test_a_key_without_a_line_of_its_own_is_found_at_the_table_around_it(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TEXT, "utf-8")
    read = read_file(path)
    assert isinstance(read, PolicyFile) and read.name == "mine"
    assert read.at("waivers", 0, "where", "attribute") == f"{path}:19"
    assert read.at("waivers", 1, "reason") == f"{path}:20"
    assert read.at("bears") == str(path)


@pytest.mark.parametrize(
    ("choice", "wanted"), [("strict", False), ("mine.toml", True), ("a/b", True), ("a\\b", True), ("v1.2", False)]
)
def test_a_choice_is_a_path_by_its_suffix_or_a_slash(choice: str, wanted: bool) -> None:
    assert is_path(choice) == wanted
