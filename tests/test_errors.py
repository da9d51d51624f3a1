"""Expected errors are one line, start with the path, and cannot drive the terminal."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor import errors
from lora_doctor.errors import printable


def test_the_message_is_path_what_and_advice_on_one_line():
    error = errors.InputRefused("is\nbroken.", path=Path("a.safetensors"), advice="Mend\n it.")
    assert str(error) == "a.safetensors: is broken. Mend it."


def test_control_characters_of_a_file_name_are_escaped():
    error = errors.InputRefused("is broken.", path="a\x1b[2Jb.safetensors")
    assert "\x1b" not in str(error) and "\\x1b" in str(error)


@pytest.mark.parametrize(
    ("kind", "code"),
    [("UsageError", 2), ("InputRefused", 4), ("EnvironmentFailure", 5), ("FolderBusy", 6)],
)
def test_each_child_has_its_exit_code(kind, code):
    assert getattr(errors, kind)("x").exit_code == code


@given(st.one_of(st.binary(max_size=30).map(os.fsdecode), st.text(st.characters(), max_size=30)))
def test_any_name_can_be_shown(name: str) -> None:
    assert printable(name).isprintable()
    printable(name).encode("utf-8")


def test_a_plain_name_is_shown_as_it_is() -> None:
    assert printable("少女 café (1).png") == "少女 café (1).png"
    assert printable(os.fsdecode(b"caf\xe9\n")) == r"caf\xe9\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("bad shape\nTraceback ..."), "bad shape"),
        (OSError("\n \n  no such file  \nmore"), "no such file"),
        (RuntimeError(), "RuntimeError"),
        (MemoryError(" \n"), "MemoryError"),
    ],
)
def test_the_first_line_of_an_error_is_the_first_that_says_anything(error: Exception, line: str) -> None:
    assert errors.first_line(error) == line


def test_the_nearest_known_word_is_asked_after_and_where_none_is_near_all_are_named() -> None:
    assert errors.nearest("wite_hair", ["black_hair", "white_hair"]) == "Did you mean white_hair?"
    assert errors.nearest("zzz", ["black_hair", "white_hair"]) == "Known: black_hair, white_hair."
