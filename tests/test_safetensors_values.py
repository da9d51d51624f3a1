"""Tensors come out as float32, whatever type they were stored in."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from fixtures.hostile.safetensors_bytes import stored
from lora_doctor.errors import InputRefused
from lora_doctor.safetensors_header import DTYPE_BITS, read_header
from lora_doctor.safetensors_scan import scan
from lora_doctor.safetensors_values import INTEGERS, READABLE, read_tensor


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"])
def test_the_library_s_types_keep_their_values(tmp_path: Path, dtype: str) -> None:
    values = np.array([[0, 1, 1], [0, 1, 0]]).astype(dtype)
    save_file({"x": values}, tmp_path / "x")
    read = read_tensor(tmp_path / "x", read_header(tmp_path / "x").tensors["x"])
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, values.astype("float32"))


@pytest.mark.parametrize(
    ("dtype", "raw", "values"),
    [
        ("BF16", bytes([0x80, 0x3F, 0x40, 0xC0, 0x80, 0x7F]), [1.0, -3.0, np.inf]),
        ("F8_E5M2", bytes([0x3C, 0xC0, 0x01, 0x7B]), [1.0, -2.0, 2.0**-16, 57344.0]),
        ("F8_E4M3", bytes([0x38, 0xB8, 0x01, 0x7E, 0x00, 0x7F]), [1.0, -1.0, 2.0**-9, 448.0, 0.0, np.nan]),
    ],
)
def test_types_numpy_does_not_know_are_decoded(tmp_path: Path, dtype: str, raw: bytes, values: list[float]) -> None:
    path = tmp_path / "x"
    path.write_bytes(stored({"x": (dtype, [len(values)], raw)}))
    np.testing.assert_array_equal(read_tensor(path, read_header(path).tensors["x"]), np.array(values, "float32"))


@pytest.mark.parametrize("dtype", sorted(DTYPE_BITS.keys() - READABLE))
def test_types_that_are_not_decoded_are_refused_by_name(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(stored({"x": (dtype, [16], bytes(2 * DTYPE_BITS[dtype]))}))
    with pytest.raises(InputRefused, match=f"stores a tensor as {dtype}, which lora-doctor does not decode"):
        read_tensor(path, read_header(path).tensors["x"])


def test_every_type_there_is_is_read_or_known_not_to_be() -> None:
    assert READABLE | INTEGERS.keys() == READABLE
    assert DTYPE_BITS.keys() - READABLE == {
        "F4", "F6_E2M3", "F6_E3M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "C64"
    }  # fmt: skip


def test_every_tensor_that_is_not_finite_is_named(tmp_path: Path) -> None:
    tensors = {"good": np.ones(3), "nan": np.array([1, np.nan]), "inf": np.array([-np.inf]), "count": np.array([3])}
    save_file(tensors, tmp_path / "x")
    assert set(scan(tmp_path / "x", read_header(tmp_path / "x")).non_finite) == {"nan", "inf"}


def test_a_double_too_large_for_float32_is_not_finite(tmp_path: Path) -> None:
    save_file({"x": np.array([1e300])}, tmp_path / "x")
    assert scan(tmp_path / "x", read_header(tmp_path / "x")).non_finite == {"x": 1}


def test_a_file_that_shrank_is_refused(tmp_path: Path) -> None:
    save_file({"x": np.ones(4)}, tmp_path / "x")
    entry = read_header(tmp_path / "x").tensors["x"]
    (tmp_path / "x").write_bytes((tmp_path / "x").read_bytes()[:-1])
    with pytest.raises(InputRefused, match="has changed"):
        read_tensor(tmp_path / "x", entry)


def test_a_file_replaced_by_one_of_the_same_size_is_refused(tmp_path: Path) -> None:
    save_file({"x": np.ones(4)}, tmp_path / "x")
    header = read_header(tmp_path / "x")
    read_tensor(tmp_path / "x", header.tensors["x"], header.identity)
    save_file({"x": np.zeros(4)}, tmp_path / "y")
    os.replace(tmp_path / "y", tmp_path / "x")
    with pytest.raises(InputRefused, match="has changed"):
        read_tensor(tmp_path / "x", header.tensors["x"], header.identity)
