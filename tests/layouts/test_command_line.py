"""Scripts that start a trainer."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.edits.command_variables import MOST_VALUE
from lora_doctor.layouts.command_line import MAX_SCRIPT, commands_in

SCRIPT = Path("run.sh")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a --x=1 --y 2 --z", {"x": "1", "y": "2", "z": True}),
        ("a --x='two words' --y-z=3", {"x": "two words", "y_z": "3"}),
        ("a --x=1 \\\n --y=2", {"x": "1", "y": "2"}),
        ("a --x=1 # --y=2", {"x": "1"}),
        ("D=data\na --x=$D/a --y=${D}", {"x": "data/a", "y": "data"}),
        ('export D="my data"\na --x="$D"', {"x": "my data"}),
        ("D=da\nD+=ta\na --x=$D", {"x": "data"}),
        ('A=(--x=1 --y 2)\na --z "${A[@]}"', {"x": "1", "y": "2", "z": True}),
        ("if true; then D=data; fi\na --x=$D", {"x": "$D"}),
        ("a --x=1 > log.txt 2>&1", {"x": "1"}),
        ("export D=\na --x=$D.", {"x": "."}),
        ("a --x=$UNKNOWN", {"x": "$UNKNOWN"}),
        ("a --x=1 --x=2", {"x": "2"}),
        ("cd x && a --x=-1", {"x": "-1"}),
        ("accelerate launch --config_file me.yaml --x 1 tools/train_network.py --y 2", {"y": "2"}),
        ("accelerate launch --config_file me.yaml -m musubi_tuner.train_network --y 2", {"y": "2"}),
    ],
)
def test_options_of_a_command(text: str, options: dict[str, object]) -> None:
    (command,) = commands_in(SCRIPT, text)
    assert command.options == options


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("run.bat", "a --x=1 ^\r\n --y=2", {"x": "1", "y": "2"}),
        ("run.bat", "set D=data\na --x=%D%", {"x": "data"}),
        ("run.bat", "rem a --x=2\na --x='1", {"x": "'1"}),
        ("run.ps1", "$d = 'my data'\r\na --x=$d `\r\n --y=2", {"x": "my data", "y": "2"}),
        ("notes.txt", "a --x=1 ^\r\n --y=2", {"x": "1", "y": "2"}),
        ("notes.txt", "set D=data\na --x=%D%", {"x": "data"}),
        ("notes.txt", "$d = 'data'\na --x=$d `\r\n --y=2", {"x": "data", "y": "2"}),
        ("notes", "D='my data'\na --x=\"$D\" \\\n --y=2", {"x": "my data", "y": "2"}),
    ],
)
def test_each_language_is_read_as_it_is_written(name: str, text: str, options: dict[str, object]) -> None:
    (command,) = commands_in(Path(name), text)
    assert command.options == options


@pytest.mark.parametrize("broken", ["echo it's", 'echo "', "echo $(date", "A=(--x", "$(", "a='\n$(\nb=("])
def test_a_line_that_does_not_end_hides_no_other(broken: str) -> None:
    first, last = commands_in(SCRIPT, f"python one.py --x=1\n{broken}\npython train.py --last=1")
    assert first.options == {"x": "1"} and last.options == {"last": "1"}


@pytest.mark.parametrize("unit", ["'\n$(\n", "a=(\n", "a=(", "$(", "a=('\n"])
def test_a_text_that_is_no_script_costs_no_more_than_a_long_one(unit: str) -> None:
    """Each of them once took minutes, or more depth than there is."""
    assert commands_in(SCRIPT, "python one.py --x=1\n" + unit * (MAX_SCRIPT // len(unit) - 10))[0].options == {"x": "1"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.bat", 'set D=C:\\Users\\me\\set\r\na --x="%D%" ^\r\n --y=it\'s --z=C:\\new\\\r\n'),
        ("run.cmd", 'set "D=C:\\Users\\me\\set"\na --x=%D% --y=it\'s --z=C:\\new\\ \n'),
        ("run.ps1", '$D = "C:\\Users\\me\\set"\na --x=$D `\n --y="it\'s" --z=C:\\new\\ # --x=1\n'),
    ],
)
def test_a_backslash_is_part_of_a_path_in_scripts_of_windows(name: str, text: str) -> None:
    (command,) = commands_in(Path(name), text)
    assert command.options == {"x": r"C:\Users\me\set", "y": "it's", "z": "C:\\new\\"}


def test_each_command_is_told_by_itself() -> None:
    first, second = commands_in(SCRIPT, "accelerate launch one.py --x=1 && python tools/two.py --y=2")
    assert first.runs("one.py") and not first.runs("two") and second.runs("two.py")


def test_configs_and_plain_texts_hold_no_commands() -> None:
    assert commands_in(Path("a.toml"), "a --x=1") == [] == commands_in(SCRIPT, "hello") == commands_in(SCRIPT, None)


def test_variables_that_double_stay_short() -> None:
    text = "A=xxxxxxxx\n" + "A=$A$A\n" * 60 + "a --x=$A"
    (command,) = commands_in(SCRIPT, text)
    assert len(str(command.options["x"])) <= MOST_VALUE


ODD = st.text(alphabet=st.sampled_from(list("-=$ab{}%'\"\\;&|# ")), max_size=30)


@given(st.dictionaries(st.from_regex(r"[a-z](_?[a-z0-9])*", fullmatch=True), ODD, min_size=1, max_size=4))
def test_whatever_is_quoted_is_read_as_it_was_meant(options: dict[str, str]) -> None:
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    (command,) = commands_in(SCRIPT, "echo hello\npython train.py " + shlex.join(words) + " # --more=1")
    assert command.options == options


@given(st.text(alphabet=st.sampled_from(list("-=$ab{}%'\"\\\n;&|# ")), max_size=80) | st.text())
def test_a_command_behind_any_text_is_still_found(text: str) -> None:
    found = commands_in(SCRIPT, f"{text}\n\npython train.py --last=1")
    assert found[-1].runs("train.py") and found[-1].options == {"last": "1"}
