"""One reading of a file tells its SHA-256 and what is not finite, in little memory, and notices any change."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from fixtures.hostile.safetensors_bytes import stored
from lora_doctor.errors import InputRefused
from lora_doctor.safetensors_header import DTYPE_BITS, TensorEntry, read_header
from lora_doctor.safetensors_scan import CHUNK, Scan, chunks, require_unchanged, scan
from lora_doctor.safetensors_values import READABLE, read_tensor

TORCH = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz, "F8_E8M0": torch.float8_e8m0fnu,
}  # fmt: skip
SPECIAL = [0.0, 1.0, -2.5, float("nan"), float("inf"), float("-inf"), 6.1e-5, -448.0]


def scanned(path: Path) -> Scan:
    return scan(path, read_header(path))


@pytest.mark.parametrize("dtype", TORCH)
def test_what_is_not_finite_is_counted_as_torch_counts_it(tmp_path: Path, dtype: str) -> None:
    values = torch.tensor(SPECIAL * 9 + [1.0]).to(TORCH[dtype])
    save_file({"x": values, "y": torch.ones(3).to(TORCH[dtype])}, tmp_path / "x")
    expected = int((~values.to(torch.float32).isfinite()).sum())
    assert expected > 0
    assert dict(scanned(tmp_path / "x").non_finite) == {"x": expected}


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E8M0"])
def test_every_byte_is_judged_as_torch_judges_it(tmp_path: Path, dtype: str) -> None:
    for byte in range(256):
        (tmp_path / "x").write_bytes(stored({"x": (dtype, [1], bytes([byte]))}))
        value = torch.tensor([byte], dtype=torch.uint8).view(TORCH[dtype]).to(torch.float32)
        assert bool(scanned(tmp_path / "x").non_finite) == (not value.isfinite())


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_every_number_of_16_bits_is_judged_as_torch_judges_it(tmp_path: Path, dtype: str) -> None:
    bits = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(TORCH[dtype])
    save_file({"x": bits}, tmp_path / "x")
    assert dict(scanned(tmp_path / "x").non_finite) == {"x": int((~bits.to(torch.float32).isfinite()).sum())}


def test_a_double_is_judged_by_what_it_is_as_float32(tmp_path: Path) -> None:
    largest = float(np.finfo("float32").max)
    edge = largest + 2.0**103
    values = np.array([largest, np.nextafter(edge, 0), edge, -edge, 1e300, 5e-324])
    save_file({"x": torch.from_numpy(values)}, tmp_path / "x")
    with np.errstate(over="ignore"):
        assert scanned(tmp_path / "x").non_finite["x"] == np.count_nonzero(~np.isfinite(values.astype("float32"))) == 3


def test_both_halves_of_a_complex_number_are_looked_at(tmp_path: Path) -> None:
    save_file({"x": torch.tensor([complex(1, float("nan")), complex(float("inf"), 1), 1j])}, tmp_path / "x")
    assert dict(scanned(tmp_path / "x").non_finite) == {"x": 2}


@pytest.mark.parametrize("dtype", sorted(DTYPE_BITS.keys() - TORCH.keys() - {"C64", "BOOL"}))
def test_types_that_cannot_hold_infinity_are_finite(tmp_path: Path, dtype: str) -> None:
    (tmp_path / "x").write_bytes(stored({"x": (dtype, [16], b"\xff" * (2 * DTYPE_BITS[dtype]))}))
    assert not scanned(tmp_path / "x").non_finite


def test_a_bool_is_0_or_1(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(stored({"x": ("BOOL", [4], b"\0\1\1\0")}))
    assert not scanned(tmp_path / "x").non_finite
    for raw in (b"\0\2\0\0", b"\1\1\1\xff"):
        (tmp_path / "x").write_bytes(stored({"x": ("BOOL", [4], raw)}))
        with pytest.raises(InputRefused, match="'x' is BOOL and holds something other than 0 and 1"):
            scan(tmp_path / "x", read_header(tmp_path / "x"))


DTYPES = st.sampled_from(sorted(READABLE - {"BOOL"}))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(DTYPES, st.binary(min_size=8, max_size=80)), min_size=1, max_size=6))
def test_counting_bits_finds_what_decoding_finds(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[str, bytes]]
) -> None:
    path = tmp_path_factory.mktemp("scan") / "x"
    whole = [(dtype, raw[: len(raw) // 8 * 8]) for dtype, raw in parts]
    tensors = {f"t{n}": (dtype, [len(raw) * 8 // DTYPE_BITS[dtype]], raw) for n, (dtype, raw) in enumerate(whole)}
    path.write_bytes(stored(tensors))
    header = read_header(path)
    decoded = {name: int((~np.isfinite(read_tensor(path, entry))).sum()) for name, entry in header.tensors.items()}
    found = scan(path, header)
    assert dict(found.non_finite) == {name: count for name, count in decoded.items() if count}
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_tensor_longer_than_a_chunk_is_counted_to_its_last_number(tmp_path: Path) -> None:
    values = torch.ones(3 * CHUNK // 4 + 5)
    values[[0, CHUNK // 4 - 1, CHUNK // 4, -1]] = float("nan")
    save_file({"a": torch.ones(3, dtype=torch.int8), "x": values, "z": torch.tensor([float("inf")])}, tmp_path / "x")
    found = scanned(tmp_path / "x")
    assert dict(found.non_finite) == {"x": 4, "z": 1}
    assert found.sha256 == hashlib.sha256((tmp_path / "x").read_bytes()).hexdigest()


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.integers(1, 6))
def test_chunks_cover_every_tensor_in_whole_numbers(sizes: list[int], most: int) -> None:
    at, tensors = 100, {}
    for n, size in enumerate(sizes):
        tensors[f"t{n}"] = TensorEntry(dtype="F64", shape=(size,), start=at, stop=at + 8 * size)
        at += 8 * size
    runs = list(chunks(tensors, 8 * most))
    pieces = [piece for run in runs for piece in run]
    assert [pieces[0].start, *(piece.stop for piece in pieces)] == [*(piece.start for piece in pieces), at]
    assert all(run[-1].stop - run[0].start <= 8 * most for run in runs)
    assert all((piece.start - tensors[piece.name].start) % 8 == 0 for piece in pieces)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sound file of several chunks."""
    save_file({"a": torch.ones(CHUNK), "b": torch.zeros(5)}, tmp_path / "x")
    return tmp_path / "x"


def test_a_file_written_to_between_header_and_scan_is_refused(path: Path) -> None:
    header = read_header(path)
    with path.open("r+b") as file:
        file.seek(-4, 2)
        file.write(b"\1")
    with pytest.raises(InputRefused, match="has changed"):
        scan(path, header)


def test_another_header_at_the_same_time_and_size_is_refused(path: Path) -> None:
    """Whoever sets the clock back is found out by the hash of the header."""
    header = read_header(path)
    status = path.stat()
    content = path.read_bytes().replace(b"F32", b"I32")
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(InputRefused, match="has changed"):
        scan(path, header)


@pytest.mark.parametrize("how", ["cut", "write"])
def test_a_file_that_changes_while_it_is_read_is_refused(path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    header = read_header(path)
    reading, calls = os.pread, []

    def disturbed(descriptor: int, length: int, offset: int) -> bytes:
        calls.append(offset)
        if len(calls) == 3:
            with path.open("r+b") as file:
                file.truncate(2 * CHUNK) if how == "cut" else file.write(b"\1")
        return reading(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", disturbed)
    with pytest.raises(InputRefused, match="has changed"):
        scan(path, header)
    assert len(calls) >= 3


def test_the_last_look_finds_any_change_of_the_content(path: Path) -> None:
    found, status = scanned(path), path.stat()
    require_unchanged(path, found.sha256)
    with path.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\1")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(InputRefused, match=r"has changed since it was read\. Run the command again\."):
        require_unchanged(path, found.sha256)


LARGE = """
import re, sys, time
from pathlib import Path
import numpy
from lora_doctor.safetensors_header import read_header
from lora_doctor.safetensors_scan import scan
path, peak = Path(sys.argv[1]), lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before, start = peak(), time.process_time()
assert dict(scan(path, read_header(path)).non_finite) == {}
print(time.process_time() - start, (peak() - before) / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is asked of /proc")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_200_mb_are_checked_and_hashed_in_less_than_600_ms_and_20_mib(tmp_path: Path, dtype: torch.dtype) -> None:
    """The size of a LoRA of all of SDXL: 2,199 tensors."""
    factor, name = torch.full((32, 2132), 0.5, dtype=dtype), "lora_unet_blocks_{}_attn2_to_k.{}"
    tensors = {name.format(n, part): factor.clone() for n in range(733) for part in ("lora_down", "lora_up")}
    tensors |= {name.format(n, "alpha"): torch.tensor(16.0, dtype=dtype) for n in range(733)}
    save_file(tensors, tmp_path / "x")
    assert (tmp_path / "x").stat().st_size > 200_000_000
    line = subprocess.run(
        [sys.executable, "-c", LARGE, str(tmp_path / "x")], capture_output=True, text=True, check=True
    )
    (tmp_path / "x").unlink()
    seconds, memory = map(float, line.stdout.split())
    assert seconds < 0.6
    assert memory < 20
