"""The header reader takes what is sound, and is never laxer than the safetensors library."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save_file

from fixtures.hostile.loras import GOOD, GOOD_BEGIN
from fixtures.hostile.other_formats import zipped
from fixtures.hostile.safetensors_bytes import one, packed, stored
from lora_doctor.errors import InputRefused
from lora_doctor.safetensors_header import DTYPE_BITS, Limits, parse_header, read_header


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
    (tmp_path / "x").write_bytes(packed(text, bytes(8)))
    assert (tmp_path / "x").read_bytes().startswith(b"\x80\x02")
    assert list(read_header(tmp_path / "x").tensors) == ["a"]


def test_what_is_no_file_is_refused_with_its_path(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputRefused, match="pipe: is not a regular file"):
        read_header(tmp_path / "pipe")


def test_a_refusal_says_where_what_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(GOOD[:-1])
    with pytest.raises(InputRefused) as caught:
        read_header(tmp_path / "x")
    what = "is not a sound safetensors file: it is truncated: its header promises 526 bytes and the file has 525."
    assert str(caught.value) == f"{tmp_path / 'x'}: {what} Save or download it again."
    assert caught.value.exit_code == 4


def test_the_header_says_where_it_ends_and_which_file_it_is_of(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(GOOD)
    header = read_header(tmp_path / "x")
    assert header.begin == GOOD_BEGIN == next(iter(header.tensors.values())).start
    assert header.sha256 == sha256(GOOD[:GOOD_BEGIN]).hexdigest()
    status = (tmp_path / "x").stat()
    assert header.identity is not None
    assert (header.identity.inode, header.identity.modified) == (status.st_ino, status.st_mtime_ns)
    assert read_header(tmp_path / "x") == header
    assert parse_header(GOOD, len(GOOD)).identity is None


def test_limits_can_be_raised(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(packed(GOOD[8:GOOD_BEGIN] + b" " * 9 * 2**20, GOOD[GOOD_BEGIN:]))
    with pytest.raises(InputRefused, match="more than the 6291456 allowed"):
        read_header(tmp_path / "x")
    assert len(read_header(tmp_path / "x", Limits(header=10 * 2**20)).tensors) == 3


@pytest.mark.parametrize("dtype", DTYPE_BITS)
def test_the_library_stores_every_type_in_as_many_bits(dtype: str) -> None:
    """Sixteen numbers of any type fill whole bytes; one byte less, or another type's name, and it refuses too."""
    content = stored({"a": (dtype, [16], bytes(2 * DTYPE_BITS[dtype]))})
    assert parse_header(content, len(content)).tensors["a"].dtype == dtype
    assert library_accepts(content)
    short = stored({"a": (dtype, [16], bytes(2 * DTYPE_BITS[dtype] - 1))})
    assert not accepts(short)
    assert not library_accepts(short)


def test_zero_is_not_negative() -> None:
    """Python takes -0 for a whole number, the library for a fraction."""
    assert accepts(one(offsets="[0,8]"))
    assert library_accepts(one(offsets="[0,8]"))
    assert not accepts(one(offsets="[-0,8]"))
    assert not library_accepts(one(offsets="[-0,8]"))


def test_a_zip_archive_inside_a_sound_file_is_harmless_where_no_zip_reader_looks(tmp_path: Path) -> None:
    tensors = {"a": ("U8", [len(zipped())], zipped()), "b": ("U8", [70_000], bytes(70_000))}
    (tmp_path / "x").write_bytes(stored(tensors))
    assert read_header(tmp_path / "x").tensors.keys() == {"a", "b"}


def test_a_file_replaced_while_its_header_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_bytes(GOOD)
    reading = os.pread

    def writing(descriptor: int, length: int, offset: int) -> bytes:
        data = reading(descriptor, length, offset)
        os.utime(tmp_path / "x", ns=(0, 0))
        return data

    monkeypatch.setattr(os, "pread", writing)
    with pytest.raises(InputRefused, match="has changed"):
        read_header(tmp_path / "x")


def test_a_file_that_shrinks_while_its_header_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").write_bytes(GOOD)
    reading = os.pread

    def cutting(descriptor: int, length: int, offset: int) -> bytes:
        data = reading(descriptor, length, offset)
        os.truncate(tmp_path / "x", 20)
        return data

    monkeypatch.setattr(os, "pread", cutting)
    with pytest.raises(InputRefused, match="it shrank while it was read"):
        read_header(tmp_path / "x")


def test_2200_tensors_take_a_few_times_as_long_as_json_alone(tmp_path: Path) -> None:
    """As many as a LoRA of all of SDXL has; the best of nine each, in time of the processor: 6 times on a quiet one."""
    name = "lora_unet_down_blocks_{}_attentions_1_transformer_blocks_0_attn2_to_k.lora_down.weight"
    save_file({name.format(n): np.ones((4, 8), "float16") for n in range(2200)}, tmp_path / "x")
    content = (tmp_path / "x").read_bytes()
    text = content[8 : 8 + int.from_bytes(content[:8], "little")]

    def seconds(work: Callable[[], object]) -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    assert len(read_header(tmp_path / "x").tensors) == 2200
    ours = min(seconds(lambda: read_header(tmp_path / "x")) for _ in range(9))
    assert ours < 15 * min(seconds(lambda: json.loads(text)) for _ in range(9))


def accepts(content: bytes) -> bool:
    try:
        parse_header(content, len(content))
    except InputRefused as error:
        assert str(error).isprintable()
        return False
    return True


def library_accepts(content: bytes) -> bool:
    try:
        deserialize(content)
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
    content = packed(b"{" + content) if as_header else content
    if accepts(content):
        assert library_accepts(content)


def test_every_truncation_is_refused() -> None:
    assert not [length for length in range(len(GOOD)) if accepts(GOOD[:length])]
