"""Output that is not UTF-8: bars in plain signs, other characters spelled out, nothing lost and no crash."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lora_doctor.plain_output import speak_plainly
from lora_doctor.plugins import data_folder

LORA = data_folder("miniature").parent / "miniature" / "patients" / "yuki" / "lora.safetensors"


def written(text: str, encoding: str) -> bytes:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    speak_plainly(stream)
    stream.write(text)
    stream.flush()
    return raw.getvalue()


@pytest.mark.parametrize(
    ("text", "encoding", "bytes_written"),
    [
        ("━━╌ 57%", "cp1252", b"==. 57%"), ("█░ ▔", "ascii", b"#. ^"), ("−0.03", "latin-1", b"-0.03"),
        ("田中 é", "cp1252", b"\\u7530\\u4e2d \xe9"), ("\udc41", "ascii", b"\\udc41"), ("━é", "utf-8", "━é".encode()),
    ],
)  # fmt: skip
def test_what_an_encoding_lacks_is_drawn_plainly_or_spelled_out(text: str, encoding: str, bytes_written: bytes) -> None:
    assert written(text, encoding) == bytes_written


def test_a_stream_that_is_no_encoded_text_is_left_alone() -> None:
    speak_plainly(io.StringIO())


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_file_is_inspected_whatever_stdout_can_say(encoding: str, tmp_path: Path) -> None:
    named = tmp_path / "田中.safetensors"
    named.symlink_to(LORA)
    told = subprocess.run(
        [sys.executable, "-m", "lora_doctor", "inspect", named, "--fast"], capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding}, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert b"=====" in told.stdout and rb"\u7530\u4e2d.safetensors" in told.stdout


def test_json_on_stdout_is_utf_8_whatever_the_terminal_says(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for n in range(2):
        (tmp_path / "set" / f"{n}.png").write_bytes((LORA.parent / "dataset").glob("*.png").__next__().read_bytes())
        (tmp_path / "set" / f"{n}.txt").write_text("yuki_nk, café", "utf-8")
    told = subprocess.run(
        [sys.executable, "-m", "lora_doctor", "audit", tmp_path / "set", "--trigger", "café", "--json", "--private"],
        capture_output=True, env={**os.environ, "PYTHONIOENCODING": "cp1252"}, check=False,
    )  # fmt: skip
    assert "café" in told.stdout.decode("utf-8"), told.stderr
    json.loads(told.stdout)
