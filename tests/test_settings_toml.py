"""Paths of Windows in double quotes are told as such; other mistakes by their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_doctor.errors import UsageError
from lora_doctor.settings_toml import WRITE, parse, refuse_escapes


def source(folder: Path, text: str) -> Path:
    (folder / "lora-doctor.toml").write_text(text, "utf-8")
    return folder / "lora-doctor.toml"


@pytest.mark.parametrize("path", [r"C:\models", r"D:\users\me", r"C:\Users\me"])
def test_a_backslash_that_begins_no_escape_is_told_with_what_to_write(tmp_path: Path, path: str) -> None:
    with pytest.raises(UsageError, match=r"is not TOML.*at line 2") as caught:
        parse(source(tmp_path, f'trigger = "a"\nbase = "{path}"\n'))
    assert str(caught.value).endswith(WRITE)


@pytest.mark.parametrize("text", ["trigger = ", "trigger = 'C:\\models", "a = 1\na = 2"])
def test_another_mistake_is_not_blamed_on_a_backslash(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"Mend that line\.$"):
        parse(source(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (r'dataset = "C:\new\train"', r"`dataset` is C:\new\train, in double quotes: `\n` is no backslash"),
        (r'base = "D:\test"', r"`base` is D:\test, in double quotes: `\t`"),
        (r'base = "D:\bases/é"', r"`base` is D:\bases/é, in double quotes: `\b`"),
        (r'command = ["python", "C:\flux\train.py"]', r"`command` is C:\flux\train.py, in double quotes: `\f`"),
    ],
)
def test_a_path_that_an_escape_has_changed_is_shown_as_it_was_meant(tmp_path: Path, text: str, says: str) -> None:
    path = source(tmp_path, text)
    ((key, value),) = parse(path).items()
    with pytest.raises(UsageError) as caught:
        refuse_escapes(key, value, path)
    assert says in str(caught.value) and str(caught.value).endswith(WRITE) and str(caught.value).isprintable()


def test_single_quotes_slashes_and_doubled_backslashes_are_fine(tmp_path: Path) -> None:
    path = source(tmp_path, 'a = \'C:\\new\'\nb = "C:/new"\nc = "C:\\\\new"\nd = 3\n')
    values = parse(path)
    refuse_escapes("all", values, path)
    assert values == {"a": r"C:\new", "b": "C:/new", "c": r"C:\new", "d": 3}
