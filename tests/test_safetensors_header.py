"""The header reader takes what is sound, and is never laxer than the safetensors library."""

from __future__ import annotations

import json
import os
import runpy
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load, save_file

from lora_doctor.errors import InputRefused
from lora_doctor.safetensors_header import read_header, shown

HOSTILE = runpy.run_path(str(Path(__file__).parents[1] / "fixtures" / "hostile" / "make.py"))
GOOD: bytes = HOSTILE["GOOD"]


def test_the_library_s_own_files_are_read(tmp_path: Path) -> None:
    tensors = {"b": np.zeros((2, 3), "float32"), "a": np.zeros((), "float16"), "c": np.zeros(5, "int64")}
    save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt", "ss_tag": '{"a": 1}'})
    header = read_header(tmp_path / "x.safetensors")
    assert {name: (entry.dtype, entry.shape) for name, entry in header.tensors.items()} == {
        "a": ("F16", ()),
        "b": ("F32", (2, 3)),
        "c": ("I64", (5,)),
    }
    assert header.metadata == {"format": "pt", "ss_tag": '{"a": 1}'}
    assert header.size == (tmp_path / "x.safetensors").stat().st_size
    starts = [entry.start for entry in header.tensors.values()]
    assert starts == sorted(starts)


def test_a_header_whose_length_looks_like_a_pickle_is_still_a_header(tmp_path: Path) -> None:
    """0x0280 bytes of header make the file begin like a pickle of protocol 2."""
    text = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).ljust(0x280).encode()
    (tmp_path / "x").write_bytes(HOSTILE["packed"](text, bytes(8)))
    assert (tmp_path / "x").read_bytes().startswith(b"\x80\x02")
    assert list(read_header(tmp_path / "x").tensors) == ["a"]


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, says in (
        (tmp_path / "none", "no such file"),
        (tmp_path / "pipe" / "below", "no such file"),
        (tmp_path, "not a regular file"),
        (tmp_path / "pipe", "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
    ):
        with pytest.raises(InputRefused, match=says):
            read_header(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(GOOD)
    (tmp_path / "x").chmod(0)
    with pytest.raises(InputRefused, match="cannot be read"):
        read_header(tmp_path / "x")


def accepts(content: bytes) -> bool:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        try:
            read_header(Path(file.name))
        except InputRefused as error:
            assert str(error).isprintable()
            return False
    return True


def library_accepts(content: bytes) -> bool:
    try:
        load(content)
    except SafetensorError:
        return False
    return True


def test_the_file_the_next_test_mutates_is_sound() -> None:
    assert accepts(GOOD)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=0, max_size=3), st.integers(0, 3))
def test_a_mutated_file_is_never_accepted_where_the_library_refuses(at: int, new: bytes, cut: int) -> None:
    content = GOOD[:at] + new + GOOD[at + cut :]
    if accepts(content):
        assert library_accepts(content)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_random_bytes_are_refused_and_nothing_else_happens(content: bytes, as_header: bool) -> None:
    content = HOSTILE["packed"](b"{" + content) if as_header else content
    if accepts(content):
        assert library_accepts(content)


def test_every_truncation_is_refused() -> None:
    assert not [length for length in range(len(GOOD)) if accepts(GOOD[:length])]


def test_names_are_shown_short_and_printable() -> None:
    assert shown("down_blocks") == "'down_blocks'"
    assert shown("\x1b[31mé") == "'\\x1b[31m\\xe9'"
    assert len(shown("x" * 999)) == 80
