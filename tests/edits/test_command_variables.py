"""What a script has set: what is read is what a real shell gives; where that may be another thing, it is not known."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_doctor.edits.command_edit import parsed
from lora_doctor.edits.command_shells import SH, SHELLS
from lora_doctor.edits.command_words import commands
from lora_doctor.errors import UsageError

RUN = "printf '%s\\0' train.py"


def read(script: str) -> list[str] | None:
    """The words behind the program, empty ones too; None where one is not known."""
    words = next(words for words in commands(script, SH) if words[0].text == "printf")[2:]
    return [word.text for word in words] if all(word.known for word in words) else None


def given_by_bash(script: str) -> list[str]:
    said = subprocess.run(["bash", "-c", script], capture_output=True, check=True, cwd="/").stdout.decode()
    return said.split("\0")[:-1]


@pytest.mark.parametrize(
    "script",
    [
        f'L=(--a 1)\nL+=(--b "x y")\n{RUN} "${{L[@]}}"',
        f"L=()\nL+=(--a)\nL+=(2)\n{RUN} ${{L[@]}} --c",
        f'E="--a --b 7"\n{RUN} $E',
        f'E="--a"\nE="$E --b 7"\n{RUN} ${{E}}',
        f'E="--a"\nE+=" --b"\n{RUN} $E',
        f'E=""\n{RUN} --a $E --b',
        f'E="x y"\nF=$E\n{RUN} --a "$F"',
        f"build() {{\n D=4\n {RUN} --a $D\n}}\nbuild",
        f"if true; then\n D=4\n {RUN} --a $D\nfi",
        f"D=4; D=5\n{RUN} --a $D",
    ],
)
def test_what_the_script_surely_sets_is_what_a_real_shell_gives(script: str) -> None:
    assert read(script) == given_by_bash(script)


@pytest.mark.parametrize(
    "script",
    [
        f"L=(--a 1)\nif true; then L+=(--b); fi\n{RUN} ${{L[@]}}",
        f"L=()\nif true; then\n L+=(--b)\nelse\n L+=(--c)\nfi\n{RUN} ${{L[@]}}",
        f"L=(--a)\ntrue && L+=(--b)\n{RUN} ${{L[@]}}",
        f"L=(--a)\ntrue &&\n L+=(--b)\n{RUN} ${{L[@]}}",
        f"L=(--a 1)\nL[1]=2\n{RUN} ${{L[@]}}",
        f"L=('--a 1')\n{RUN} ${{L[@]}}",
        f"D=4\nif true; then D=8; fi\n{RUN} --a $D",
        f"D=4\nfor D in 5 6; do true; done\n{RUN} --a $D",
        f"D=4\nread D < /dev/null\n{RUN} --a $D",
        f"D=${{1:-4}}\n{RUN} --a $D",
        f"E=x\nfor i in 1 2; do E+=y; done\n{RUN} --a $E",
        f"E='x y'\n{RUN} --a=$E",
        f"E='/et*'\n{RUN} --a $E",
    ],
)
def test_what_depends_on_the_running_shell_is_not_known(script: str) -> None:
    assert read(script) is None


STEPS = st.lists(
    st.sampled_from(
        [
            "L=(--a 1)", "L+=(--b)", "L+=('x y' z)", "E='--c 3'", 'E="$E --d"', "E+=' 5'", "E=", "D=4", "D=$D$D",
            "F=$E", "if true; then D=8; fi", "if false; then L+=(--no); fi", "true && D=9", "false || E=q",
            "unset D", "{ D=2; }", "if false; then\nE=1\nelse\nE=2\nfi", "f() { D=3; }", "export D=7",
        ]
    ),
    max_size=6,
)  # fmt: skip
USES = st.lists(
    st.sampled_from(['"${L[@]}"', "${L[@]}", "$E", '"$E"', "$D", "--x=$D", '"$F"', "${F}", "--y=$E"]), max_size=4
)


@settings(max_examples=60, deadline=None)
@given(STEPS, USES)
def test_no_script_is_read_otherwise_than_a_real_shell_runs_it(steps: list[str], uses: list[str]) -> None:
    script = "\n".join([*steps, " ".join([RUN, *uses])])
    known = read(script)
    assert known is None or known == given_by_bash(script)


@pytest.mark.parametrize(
    "name, script",
    [
        ("a.sh", "L=()\nif [ -n x ]; then L+=(--b); fi\npython train.py --a 1 ${L[@]}"),
        ("a.sh", "L=()\nif [ -n x ]; then L+=(--b); fi\npython train.py --flag ${L[@]}"),
        ("a.sh", 'python train.py --flag "$@"'),
        ("a.sh", "python train.py --a=1 $MORE"),
        ("a.ps1", '$l = @("--b", "--c")\npython train.py --flag @l'),
        ("a.ps1", '$l = [System.Collections.ArrayList]::new()\n[void]$l.Add("--b")\npython train.py --a=1 $l'),
        ("a.bat", "set L=--b\r\nif exist x set L=--c\r\npython train.py --a=1 %L%\r\n"),
        ("a.bat", "python train.py --a=1 %*\r\n"),
    ],
)
def test_options_that_may_be_others_are_refused(name: str, script: str) -> None:
    with pytest.raises(UsageError, match="only a running shell knows"):
        parsed(Path(name), script)


@pytest.mark.parametrize(
    "name, script, options",
    [
        ("a.bat", 'set E=--b 2\r\npython train.py %E% --d "%D%"\r\n', {"b": 2, "d": "%D%"}),
        ("a.bat", 'set E="x y"\r\npython train.py --a %E%\r\n', {"a": "x y"}),
        ("a.bat", 'set "E=x y"\r\npython train.py --a "%E%"\r\n', {"a": "x y"}),
        ("a.bat", "set R=4\r\nif exist x (\r\nset R=8\r\n)\r\npython train.py --a %R%\r\n", {"a": "%R%"}),
        ("a.ps1", "$r = 4\n$r = 8\npython train.py --a $r", {"a": 8}),
        ("a.ps1", "$r = 4\nif ($x) {\n$r = 8\n}\npython train.py --a $r", {"a": "$r"}),
        ("a.ps1", '$e = "x y"\npython train.py --a $e', {"a": "x y"}),
    ],
)
def test_variables_of_the_other_languages_are_read_where_they_are_sure(
    name: str, script: str, options: dict[str, object]
) -> None:
    assert parsed(Path(name), script) == options


@pytest.mark.parametrize("name, text", [("a.bat", "!dim!"), ("a.ps1", "@l"), ("a.sh", "${L[@]}")])
def test_a_word_that_is_put_in_late_is_not_known(name: str, text: str) -> None:
    (words,) = commands(f"python train.py {text}", SHELLS[Path(name).suffix])
    assert (words[-1].text, words[-1].known) == (text, False)
