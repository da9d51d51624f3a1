"""A trainer as a process of its own: started without a shell, watched, its output kept, its children ended with it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from lora_doctor.errors import EnvironmentFailure, printable

MOST_LOG = 16 * 2**20
"""Bytes of output that are kept; what comes after is still shown."""
GRACE_SECONDS = 10.0
"""How long a trainer that is told to end may take to save what it has."""
LONGEST_LINE = 2**16
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|$)|[ -/]*[0-~])")
"""Sequences for a terminal (ECMA-48): control sequences, strings such as titles and links, and short ones."""
Told = Callable[[str, bool], None]
"""Called with each line of output, and whether the next one takes its place (a progress bar)."""


def run_trainer(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path, seconds: float, told: Told
) -> None:
    """Run the command in `folder` to its end; its output goes to `log` and, line by line, to `told`.

    Its children are ended with it, also when it ends badly, takes longer than `seconds`, or the caller is interrupted.
    Raises EnvironmentFailure for a program that cannot be started, that takes too long or exits with anything but 0;
    the last line it printed is in the message.
    """
    process = _started(command, environment, folder)
    out_of_time = threading.Event()

    def end_late() -> None:
        out_of_time.set()
        _end(process)

    late = threading.Timer(seconds, end_late)
    late.start()
    last = ""
    try:
        with log.open("wb") as kept:
            for raw, again in _lines(process.stdout):
                if kept.tell() < MOST_LOG:
                    kept.write(raw + b"\n")
                line = printable(_ESCAPES.sub("", raw.decode("utf-8", "replace")))
                last = line if line.strip() and not again else last
                told(line, again)
        code = process.wait()
    finally:
        late.cancel()
        _end(process)
    if out_of_time.is_set():
        raise EnvironmentFailure(
            f"the trainer was ended after {seconds / 3600:.3g} hours.", path=log,
            advice="Raise `hours` below `[retrain]` in lora-doctor.toml if it needs more.",
        )  # fmt: skip
    if code != 0:
        said = f"; it said last: {last.strip()[:200]}" if last else " and said nothing"
        how = f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise EnvironmentFailure(f"the trainer {how}{said}.", path=log, advice="Mend that and run it again.")


def _started(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(command), cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise EnvironmentFailure(
            f"cannot be started in {folder}: {error.strerror}.", path=command[0],
            advice="Name the program by its whole path in `retrain.command`.",
        ) from None  # fmt: skip


def _lines(stream: IO[bytes] | None) -> Iterator[tuple[bytes, bool]]:
    """Lines as they come, each with whether it ended with a carriage return alone; never longer than `LONGEST_LINE`."""
    assert stream is not None
    rest = b""
    while chunk := os.read(stream.fileno(), 2**14):
        rest += chunk
        while (found := _cut(rest)) is not None:
            line, again, rest = found
            yield line, again
    if rest:
        yield rest, False


def _cut(text: bytes) -> tuple[bytes, bool, bytes] | None:
    """The first line, whether the next takes its place, and what is behind it; None = not all there yet."""
    ends = [at for at in (text.find(b"\n"), text.find(b"\r")) if at >= 0]
    if not ends:
        return (text[:LONGEST_LINE], False, text[LONGEST_LINE:]) if len(text) > LONGEST_LINE else None
    at = min(ends)
    if text[at : at + 1] == b"\n":
        return text[:at], False, text[at + 1 :]
    if len(text) == at + 1:
        return None  # a line feed may follow
    return (text[:at], False, text[at + 2 :]) if text[at + 1 : at + 2] == b"\n" else (text[:at], True, text[at + 1 :])


def _end(process: subprocess.Popen[bytes]) -> None:
    """The process and whatever it started: asked to end, and made to after a while."""
    if not hasattr(os, "killpg"):
        _end_on_windows(process)
        return
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except (ProcessLookupError, PermissionError):
            break
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _end_on_windows(process: subprocess.Popen[bytes]) -> None:
    """Where there are no process groups: the process with its children, at once."""
    if process.poll() is None:
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False)
        process.kill()
    process.wait()
