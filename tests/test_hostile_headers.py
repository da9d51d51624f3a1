"""What the safetensors library does with the hostile LoRA files, and that lora-doctor is stricter, and cheaper."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fixtures.hostile.large_files import BIG
from fixtures.hostile.library import verdict
from fixtures.hostile.loras import ABSURD, GROUPS
from lora_doctor.errors import InputRefused
from lora_doctor.safetensors_header import read_header
from lora_doctor.safetensors_scan import scan

FILES = {name: content for group in GROUPS for name, (content, _) in group.cases.items()}
HEADER_LEVEL = [name for group in GROUPS if group.refused_by == "read_lora" for name in group.cases]
MALFORMED = [name for name in HEADER_LEVEL if name != "adapter-metadata-not-json"]
"""Those that need no knowledge of LoRAs to be refused."""
MEASURED = """
import re, sys, time
from pathlib import Path
from lora_doctor.errors import InputRefused
from lora_doctor.safetensors_header import read_header
start = time.process_time()
try:
    read_header(Path(sys.argv[1]))
except InputRefused as error:
    seconds = time.process_time() - start
    memory = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
    print(seconds, memory / 1024, error.what, sep="|")
"""
"""Seconds of the processor, and MiB at most; getrusage would count what the process had before it became this one."""
MAPPED = """
import os, sys
from safetensors import safe_open
with safe_open(sys.argv[1], "np", backend="mmap") as file:
    os.truncate(sys.argv[1], os.path.getsize(sys.argv[1]) // 2)
    file.get_tensor("x")
"""
SHRUNK = """
import os, sys
from pathlib import Path
from lora_doctor.errors import InputRefused
from lora_doctor.safetensors_header import read_header
from lora_doctor.safetensors_scan import scan
header = read_header(Path(sys.argv[1]))
os.truncate(sys.argv[1], os.path.getsize(sys.argv[1]) // 2)
try:
    scan(Path(sys.argv[1]), header)
except InputRefused as error:
    print(error.what)
"""


def run(code: str, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)


LIBRARY = """
import sys
from safetensors import SafetensorError, safe_open
def verdict(path):
    try:
        file = safe_open(path, "np")
    except SafetensorError:
        return "refuses"
    with file:
        try:
            for key in file.keys():
                file.get_tensor(key)
        except (SafetensorError, TypeError, AttributeError, ValueError):
            return "opens"
    return "reads"
for path in sys.argv[1:]:
    print(verdict(path))
"""
"""As `verdict`, by trying, for several files; in a process of its own, because ml_dtypes, once imported by anything,
teaches NumPy the types that the library cannot give it."""


def test_there_are_more_than_the_58_files_asked_for() -> None:
    assert len(MALFORMED) + len(BIG) > 58


@pytest.mark.skipif(not version("safetensors").startswith("0.8."), reason="the table is about safetensors 0.8")
def test_the_library_does_what_the_table_says(tmp_path: Path) -> None:
    names = sorted(FILES)
    for number, name in enumerate(names):
        (tmp_path / str(number)).write_bytes(FILES[name])
    paths = [str(tmp_path / str(number)) for number in range(len(names))]
    result = subprocess.run([sys.executable, "-c", LIBRARY, *paths], capture_output=True, text=True, check=True)
    assert dict(zip(names, result.stdout.split(), strict=True)) == {name: verdict(name) for name in names}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_file_is_refused_by_its_header_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(FILES[name])
    with pytest.raises(InputRefused):
        read_header(tmp_path / "x")


def test_the_zip_in_the_last_tensor_is_one_to_a_zip_reader_too(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(ABSURD["zip-in-the-last-tensor"][0])
    assert zipfile.ZipFile(tmp_path / "x").namelist() == ["archive/data.pkl"]


@pytest.mark.parametrize(("modern", "says"), [(True, "is a zip archive"), (False, "is a pickle")])
def test_a_checkpoint_saved_by_torch_is_named_as_what_it_is(modern: bool, says: str, tmp_path: Path) -> None:
    torch.save({"x": torch.ones(2)}, tmp_path / "x.safetensors", _use_new_zipfile_serialization=modern)
    with pytest.raises(InputRefused, match=says):
        read_header(tmp_path / "x.safetensors")


linux = pytest.mark.skipif(sys.platform != "linux", reason="what is asked of the system is Linux's")


@linux
@pytest.mark.parametrize("name", BIG)
def test_a_huge_file_is_refused_in_200_ms_and_64_mib(name: str, tmp_path: Path) -> None:
    write, _, says = BIG[name]
    path = tmp_path / "x"
    write(path)
    try:
        seconds, memory, what = run(MEASURED, path).stdout.strip().split("|")
    finally:
        path.unlink()
    assert says in what
    assert float(seconds) < 0.2
    assert float(memory) < 64


def packed_to_the_limit(fill: Callable[[int], bytes]) -> bytes:
    """A file with a header of just under 6 MiB."""
    header = fill(6 * 2**20 - 1000)
    assert 5 * 2**20 < len(header) <= 6 * 2**20
    return len(header).to_bytes(8, "little") + header


UNIT = b'"t%07d":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
AT_THE_LIMIT: dict[str, Callable[[int], bytes]] = {
    "tensors": lambda n: b"{" + b",".join(UNIT % i for i in range(n // 60)) + b"}",
    "lists": lambda n: b'{"a":{"dtype":"U8","shape":[' + b"[]," * (n // 3) + b"[]]}}",
    "numbers": lambda n: b'{"a":{"dtype":"U8","shape":[' + b"1000," * (n // 5) + b"1]}}",
    "names": lambda n: b"{" + b",".join(b'"%07d":1' % i for i in range(n // 12)) + b"}",
    "strings": lambda n: b'{"__metadata__":{' + b",".join(b'"%07d":""' % i for i in range(n // 13)) + b"}}",
    "spaces": lambda n: b"{" + b" " * n + b"x}",
    "brackets": lambda n: b'{"__metadata__":{' + b",".join(
        b'"%d":"%s"' % (i, b"[" + b'\\"\\"' * (n // 42) + b"[]" * 40 + b"]") for i in range(10)
    ) + b"}}",
    "one-name": lambda n: b'{"' + b"x" * n + b'":1}',
    "wide-characters": lambda n: '{"__metadata__":{"a":"\U0001f338","'.encode() + b"x" * n + b'":1}}',
}  # fmt: skip


@linux
@pytest.mark.parametrize("name", AT_THE_LIMIT)
def test_a_header_just_below_the_limit_costs_little_more(name: str, tmp_path: Path) -> None:
    """Whatever fills it; escaped characters cost the most time, and wide ones, four bytes each, the most memory."""
    (tmp_path / "x").write_bytes(packed_to_the_limit(AT_THE_LIMIT[name]))
    seconds, memory, what = run(MEASURED, tmp_path / "x").stdout.strip().split("|")
    assert "is not a sound safetensors file" in what
    assert float(seconds) < 0.2
    assert float(memory) < 64


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A sound file of 4 MiB."""
    from safetensors.numpy import save_file

    save_file({"x": np.ones(2**20, "float32")}, tmp_path / "x")
    return tmp_path / "x"


def test_a_file_cut_short_by_another_process_is_refused(large: Path) -> None:
    assert run(SHRUNK, large).stdout == "has changed since it was read.\n"


@linux
@pytest.mark.skipif(not version("safetensors").startswith("0.8."), reason="chooses the library's backend")
def test_mapped_into_memory_the_same_file_would_end_the_process(large: Path) -> None:
    """Why files are read by position."""
    assert run(MAPPED, large).returncode < 0


def test_a_sound_header_leaves_nothing_for_the_scan_to_refuse(large: Path) -> None:
    result: Any = scan(large, read_header(large))
    assert not result.non_finite
