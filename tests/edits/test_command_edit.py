"""Commands in scripts: words as a shell has them, options changed where they stand."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.edits.command_edit import edited, parsed, program
from lora_doctor.edits.command_shells import BATCH, POWERSHELL, SH, SHELLS, Shell
from lora_doctor.edits.command_words import commands, quoted
from lora_doctor.edits.edit import REMOVED
from lora_doctor.errors import UsageError
from tests.hostile_names import NAMES

RUN = Path("run.sh")
TEXTS = st.text(st.characters(blacklist_characters="\n\r\0", blacklist_categories=("Cs", "Cc", "Zs")), max_size=12)


@given(st.lists(TEXTS, min_size=1, max_size=6))
def test_sh_words_are_those_of_shlex(texts: list[str]) -> None:
    """Whatever they hold, quoted by the standard library's own function."""
    line = shlex.join(["python", "train.py", *texts])
    (words,) = commands(line + "\n", SH)
    assert [word.text for word in words] == shlex.split(line)
    assert all(shlex.split(line[word.start : word.end]) == [word.text] for word in words)


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
@given(
    st.text(
        st.characters(blacklist_characters="\n\r\0\"$`%'", blacklist_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1
    )
)
def test_a_quoted_text_is_read_as_it_was(shell: Shell, text: str) -> None:
    (words,) = commands(f"python {quoted(text, shell)} end", shell)
    assert [word.text for word in words] == ["python", text, "end"]


@pytest.mark.parametrize("text", ["it's", "a $HOME", "`x`", 'say "hi"', "$(rm -rf x)", "a;b|c&d"])
@pytest.mark.parametrize("shell", [SH, POWERSHELL], ids=["sh", "powershell"])
def test_nothing_in_a_quoted_text_is_left_to_the_shell(shell: Shell, text: str) -> None:
    (words,) = commands(f"python {quoted(text, shell)}", shell)
    assert words[1].text == text and words[1].known


@pytest.mark.parametrize("name", [name for name in NAMES if "\n" not in name])
def test_a_real_shell_is_given_the_name_and_runs_nothing_else(name: str, tmp_path: Path) -> None:
    values = {("out",): f"/{name}", ("a",): [name, "x"]}
    if name.startswith("-") and name != "-":
        with pytest.raises(UsageError, match="read as an option"):
            edited(RUN, "python train.py --a 1", values)
        return
    script = edited(RUN, "printf '%s\\0' train.py --a 1", values)
    said = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, check=True).stdout.decode()
    assert said.split("\0") == ["train.py", "--a", name, "x", "--out", f"/{name}", ""]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text, shell", [("a\nb", SH), ('a"b', BATCH), ("a\0b", POWERSHELL)])
def test_what_has_no_words_is_refused(text: str, shell: Shell) -> None:
    with pytest.raises(ValueError, match="one word"):
        quoted(text, shell)


@pytest.mark.parametrize(
    "name, script, options",
    [
        ("a.sh", "python train.py --rank 4 --rank=8 # --rank 16", {"rank": 8}),
        ("a.sh", "python --v train.py --flag --x -1 --y 1e-4", {"flag": True, "x": -1, "y": 1e-4}),
        ("a.sh", "R=4\nexport S=$R\npython train.py --a $S --b '$S' --c \"x$S\"", {"a": 4, "b": "$S", "c": "x4"}),
        ("a.sh", "python train.py \\\n --a 1 > log 2>&1 --b 2", {"a": 1, "b": 2}),
        ("a.sh", "L=(--a 1\n # no\n --b 2)\npython train.py ${L[@]} --c 3", {"a": 1, "b": 2, "c": 3}),
        ("a.sh", "if true; then python train.py --a $(nproc) --b 2; fi", {"a": "$(nproc)", "b": 2}),
        ("a.bat", "set R=4\r\npython train.py ^\r\n --a %R% ^\r\n --b \"x y\"\r\n", {"a": 4, "b": "x y"}),
        ("a.bat", ":: python train.py --a 1\nrem x\npython C:\\t\\train.py --p C:\\a\\b", {"p": "C:\\a\\b"}),
        ("a.ps1", "$r = 4\npython train.py `\n --a $r --b \"it\"\"s\" --c 'd''e'", {"a": 4, "b": 'it"s', "c": "d'e"}),
        ("a.sh", "python -m tool.train_lora --a 1", {"a": 1}),
        ("a.sh", "python prepare.py --a 1 && python train.py --b 2", {"b": 2}),
    ],
)  # fmt: skip
def test_options_of_the_command_that_trains(name: str, script: str, options: dict[str, object]) -> None:
    assert parsed(Path(name), script) == options


@pytest.mark.parametrize(
    "script, said",
    [
        ("python train.py --a 1\npython train.py --a 2", "several"),
        ("python train.py --a 1 $MORE", r"\$MORE"),
        ('python train.py "$@"', r"\$@"),
        ("python train.py ${LIST[@]}", "LIST"),
        ("echo --a 1", "starts no training"),
        ("", "starts no training"),
    ],
)
def test_what_cannot_be_known_is_refused_and_says_why(script: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parsed(RUN, script)


@given(st.text(max_size=200))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    for ending in SHELLS:
        for script in (text, "python train.py " + text):
            assert isinstance(program(Path(f"a{ending}"), script), str)


@pytest.mark.parametrize(
    "before, changes, after",
    [
        ("python train.py --a 1 --b=2", {"a": 3}, "python train.py --a 3 --b=2"),
        ("python train.py --a 1 --b=2", {"b": 0.5}, "python train.py --a 1 --b=0.5"),
        ("python train.py --a 1 --b=2", {"c": 4.0}, "python train.py --a 1 --b=2 --c=4"),
        ("python train.py --a 1 --b=2", {"c": True}, "python train.py --a 1 --b=2 --c"),
        ("python train.py --a --b", {"a": False}, "python train.py --b"),
        ("python train.py --a --b", {"a": REMOVED, "b": REMOVED}, "python train.py"),
        (
            "python train.py \\\n  --a 1 \\\n  --b 2\n",
            {"c": 3},
            "python train.py \\\n  --a 1 \\\n  --b 2 \\\n  --c 3\n",
        ),
        ("python train.py \\\n  --a 1 \\\n  --b 2\n", {"a": REMOVED}, "python train.py \\\n  --b 2\n"),
        ("python train.py \\\n --a 1 --b 2\n", {"a": REMOVED}, "python train.py \\\n --b 2\n"),
        ('python train.py --a "x y" --b 2', {"a": "z"}, 'python train.py --a "z" --b 2'),
        ("python train.py --a x", {"a": "y z"}, "python train.py --a 'y z'"),
        ("python train.py --a 1 2", {"a": [3, 4]}, "python train.py --a 3 4"),
        ("python train.py --a 1 --a 2", {"a": REMOVED}, "python train.py"),
        ("R=1\npython train.py --a $R", {"a": 2}, "R=1\npython train.py --a 2"),
        ("python train.py", {"a": 2}, "python train.py --a 2"),
        ("python train.py --a 1 | tee log", {"b": 2}, "python train.py --a 1 --b 2 | tee log"),
    ],
)
def test_options_are_changed_where_they_stand(before: str, changes: dict[str, object], after: str) -> None:
    assert edited(RUN, before, {(name,): value for name, value in changes.items()}) == after


@given(
    st.dictionaries(
        st.sampled_from("abcd"),
        st.one_of(st.integers(-9, 9), TEXTS.filter(lambda t: t[:1] not in "-+.0123456789")),
        min_size=1,
    )
)
def test_what_is_written_is_read(values: dict[str, object]) -> None:
    script = "# mine\npython train.py \\\n  --a 1 \\\n  --b=2 # no\necho done\n"
    after = edited(RUN, script, {(name,): value for name, value in values.items()})
    read = parsed(RUN, after)
    assert {name: read[name] for name in values} == values
    assert after.startswith("# mine\n") and after.endswith(" # no\necho done\n")
    assert edited(RUN, after, {(name,): value for name, value in values.items()}) == after
