"""Expected errors are one line, start with the path, and cannot drive the terminal."""

from pathlib import Path

import pytest

from lora_doctor import errors


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
