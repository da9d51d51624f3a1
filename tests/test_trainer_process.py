"""Whatever a trainer does, it is ended with its children, its output is kept, and what went wrong is one clear line."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lora_doctor.errors import EnvironmentFailure
from lora_doctor.trainer_process import LONGEST_LINE, MOST_LOG, run_trainer


def run(code: str, folder: Path, seconds: float = 60, **environment: str) -> list[tuple[str, bool]]:
    said: list[tuple[str, bool]] = []
    environment = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"} | environment
    command = [sys.executable, "-c", code]
    run_trainer(command, environment, folder, folder / "log", seconds, lambda line, again: said.append((line, again)))
    return said


def test_lines_arrive_as_they_are_and_in_the_log(tmp_path: Path) -> None:
    said = run("import sys; print('one'); print('två', file=sys.stderr); sys.stdout.write('end')", tmp_path)
    assert said == [("one", False), ("två", False), ("end", False)]
    assert (tmp_path / "log").read_text("utf-8") == "one\ntvå\nend\n"


def test_a_progress_bar_takes_its_own_place_again(tmp_path: Path) -> None:
    code = r"import sys; [sys.stdout.write(f'\r{n}%') for n in (1, 50, 100)]; sys.stdout.write('\r\nwindows\r\n')"
    assert run(code, tmp_path) == [("", True), ("1%", True), ("50%", True), ("100%", False), ("windows", False)]


@pytest.mark.parametrize(
    "sequence",
    [
        r"\x1b[31m", r"\x1b[38;2;1;2;3m", r"\x1b[2K", r"\x1b[1A", r"\x1b[?25l", r"\x1b[>4;1m", r"\x1b[!p",
        r"\x1b]0;title\x07", r"\x1b]8;;https://example.org\x1b\\", r"\x1b(B", r"\x1b=", r"\x1b7", r"\x1bPq#0\x1b\\",
    ],
)  # fmt: skip
def test_sequences_for_a_terminal_are_gone(sequence: str, tmp_path: Path) -> None:
    assert run(f"print('step {sequence}7 of 9')", tmp_path) == [("step 7 of 9", False)]


def test_what_else_moves_the_cursor_is_spelled_out(tmp_path: Path) -> None:
    assert run(r"print('one\x08\x9b2J \u202e')", tmp_path)[0][0] == r"one\x08\x9b2J \u202e"


def test_bytes_that_are_no_text_do_not_stop_it(tmp_path: Path) -> None:
    assert len(run(r"import sys; sys.stdout.buffer.write(b'\xff\x00\n')", tmp_path)) == 1


def test_a_failing_trainer_is_one_line_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(
        EnvironmentFailure, match=r"log: the trainer ended with exit code 3; it said last: out of memory\."
    ):
        run("print('step 1'); print('out of memory'); raise SystemExit(3)", tmp_path)
    with pytest.raises(EnvironmentFailure, match=r"exit code 1 and said nothing"):
        run("raise SystemExit(1)", tmp_path)


def test_a_killed_trainer_says_by_what(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="ended by signal 9"):
        run("import os; os.kill(os.getpid(), 9)", tmp_path)


def test_a_program_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="no-such-program: cannot be started"):
        run_trainer(["no-such-program"], {}, tmp_path, tmp_path / "log", 9, lambda line, again: None)


def alive(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


def ended(pid: int) -> bool:
    for _ in range(100):
        if not alive(pid):
            return True
        time.sleep(0.05)
    return False


CHILD = (
    "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); print(p.pid)"
)


def test_one_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match=r"was ended after 0\.0\d+ hours.*Raise `hours`"):
        run(f"{CHILD}; import time; time.sleep(600)", tmp_path, seconds=2)
    assert ended(int((tmp_path / "log").read_text()))


def test_children_that_are_left_behind_are_ended(tmp_path: Path) -> None:
    run(CHILD.replace("])", "], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)"), tmp_path)
    assert ended(int((tmp_path / "log").read_text()))


def test_an_interrupted_caller_leaves_nothing_running(tmp_path: Path) -> None:
    def stop(line: str, again: bool) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_trainer(
            [sys.executable, "-uc", f"{CHILD}; import time; time.sleep(600)"], {}, tmp_path, tmp_path / "log", 60, stop
        )
    assert ended(int((tmp_path / "log").read_text()))


def test_endless_output_fills_neither_memory_nor_disk(tmp_path: Path) -> None:
    said = run(f"import sys; sys.stdout.write('x' * {MOST_LOG + 2**20}); print(); print('done')", tmp_path)
    assert said[-1] == ("done", False) and max(len(line) for line, _ in said) <= LONGEST_LINE
    assert (tmp_path / "log").stat().st_size <= MOST_LOG + LONGEST_LINE + 1


def test_only_the_given_variables_arrive(tmp_path: Path) -> None:
    said = run("import os; print(sorted(os.environ))", tmp_path, MINE="1")
    assert "MINE" in said[0][0] and "HOME" not in said[0][0]


def test_without_process_groups_the_system_is_asked_to_end_it_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows' way, with a stand-in for its `taskkill` that notes what it is asked."""
    tool = tmp_path / "taskkill"
    tool.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delattr(os, "killpg")
    assert run("print('done')", tmp_path) == [("done", False)]
    assert not (tmp_path / "asked").exists()
    with pytest.raises(EnvironmentFailure, match="was ended after"):
        run("import time; print('on', flush=True); time.sleep(60)", tmp_path, seconds=2)
    assert (tmp_path / "asked").read_text().startswith("/T /F /PID ")
