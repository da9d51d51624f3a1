"""What is listed as written may be written again; what changes while that is prepared is not lost either."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lora_doctor.errors import UsageError
from lora_doctor.written_folder import LIST, STAGE, digest_of, put, staging


def written(folder: Path, caption: str, between: str | None = None) -> None:
    """A folder of one caption, written to `folder`; `between`: what somebody makes of the caption there meanwhile."""
    with staging(folder) as stage:
        (stage / "captions").mkdir()
        (stage / "captions" / "a.txt").write_text(caption)
        if between is not None:
            (folder / "captions" / "a.txt").write_text(between)
        put(folder, stage, {}, "captions")


def test_what_somebody_changes_while_it_is_written_again_is_not_lost(tmp_path: Path) -> None:
    written(tmp_path, "yuki")
    written(tmp_path, "yuki, tall")
    assert (tmp_path / "captions" / "a.txt").read_text() == "yuki, tall"
    with pytest.raises(UsageError, match=r"'captions/a\.txt', which was changed"):
        written(tmp_path, "yuki, short", between="yuki, by hand")
    assert [path.read_text() for path in tmp_path.rglob("*.txt")] == ["yuki, by hand"]


def test_a_digest_tells_names_and_contents_and_no_caches(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("yuki")
    first = digest_of(tmp_path)
    (tmp_path / "a.npz").write_text("latents")
    assert digest_of(tmp_path) == first
    (tmp_path / "a.txt").write_text("yuki, tall")
    assert digest_of(tmp_path) != first
    (tmp_path / "a.txt").rename(tmp_path / "b.txt")
    (tmp_path / "b.txt").write_text("yuki")
    assert digest_of(tmp_path) != first


KILLED = """
import os, signal, sys
from pathlib import Path
from lora_doctor.written_folder import staging
with staging(Path(sys.argv[1])) as stage:
    (stage / "dataset").mkdir()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_call_left_is_gone_with_the_next_and_nothing_else_is(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder)], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL and [name.startswith(STAGE) for name in names(folder)] == [True]
    (folder / ".lora-doctor-notes").mkdir()
    with staging(folder) as stage:
        put(folder, stage, {"training.toml": b"rank = 4\n"}, None)
    assert names(folder) == [".lora-doctor-notes", LIST, "training.toml"]


def test_an_error_leaves_no_folder_that_was_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError), staging(tmp_path / "a" / "b"):
        raise ValueError
    assert names(tmp_path) == []
