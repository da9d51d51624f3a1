"""Spectra are those of the dense updates, in every storage type, without ever forming one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from lora_doctor.audits.lora_spectrum import audit, effective_ranks, null_stable_rank, singular_values
from lora_doctor.errors import InputRefused
from lora_doctor.types import Case, LoraModule
from tests.audits.make_case import get, make_case


def module(name: str, rank: int, scale: float, parts: tuple[str, ...] = ("down", "up")) -> LoraModule:
    return LoraModule(
        component="unet", name=name, flattened=False, kind="lora", rank=rank, alpha=scale * rank, scale=scale,
        keys={part: f"{name}.{part}" for part in parts},
    )  # fmt: skip


def saved(path: Path, factors: dict[str, tuple[torch.Tensor, torch.Tensor, float]]) -> Case:
    """A case whose LoRA file holds name -> (down, up, scale)."""
    tensors = {f"{name}.{part}": t for name, (d, u, _) in factors.items() for part, t in (("down", d), ("up", u))}
    save_file({key: tensor.clone().contiguous() for key, tensor in tensors.items()}, path / "lora.safetensors")
    modules = tuple(module(name, d.shape[0], scale) for name, (d, _, scale) in factors.items())
    return make_case(lora=path / "lora.safetensors", modules=modules)


def gaussian(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(1, 12), st.floats(-2, 2), st.integers(0, 99))
def test_singular_values_are_the_dense_ones(out: int, into: int, rank: int, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    up, down = rng.standard_normal((out, rank)), rng.standard_normal((rank, into))
    dense = np.linalg.svd(scale * up @ down, compute_uv=False)
    mine = singular_values(up, down, scale)
    assert mine == pytest.approx(dense[: len(mine)], abs=1e-9)
    assert dense[len(mine) :] == pytest.approx(0, abs=1e-9)


def test_tiny_singular_values_survive() -> None:
    rng = np.random.default_rng(0)
    left, _ = np.linalg.qr(rng.standard_normal((200, 6)))
    right, _ = np.linalg.qr(rng.standard_normal((100, 6)))
    sigma = 10.0 ** -np.arange(6)
    assert singular_values(left * sigma, right.T, 1.0) == pytest.approx(sigma, rel=1e-9)


def test_the_shares_are_those_of_the_dense_update(tmp_path: Path) -> None:
    down, up, scale = gaussian(1, 8, 40), gaussian(2, 30, 8) * torch.logspace(0, -2, 8), 0.5
    found = audit(saved(tmp_path, {"a": (down, up, scale)}))
    sigma = np.linalg.svd(scale * up.double().numpy() @ down.double().numpy(), compute_uv=False)[:8]
    energy = sigma**2 / (sigma**2).sum()
    assert get(found, "spectrum.norm").value == pytest.approx(np.linalg.norm(sigma))
    assert get(found, "spectrum.entropy_rank_share").value == pytest.approx(
        np.exp(-(energy * np.log(energy)).sum()) / 8
    )
    k90 = next(k for k in range(1, 9) if energy[:k].sum() >= 0.9)
    assert get(found, "spectrum.k90_share").value == k90 / 8
    assert get(found, "spectrum.rank").value == 8


def test_a_convolution_is_read_as_a_matrix_over_its_whole_kernel(tmp_path: Path) -> None:
    down, up = gaussian(1, 4, 6, 3, 3), gaussian(2, 10, 4, 1, 1)
    found = audit(saved(tmp_path, {"conv": (down, up, 2.0)}))
    dense = 2.0 * up.numpy().reshape(10, 4) @ down.numpy().reshape(4, 54)
    assert get(found, "spectrum.norm").value == pytest.approx(np.linalg.norm(dense), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_storage_type_is_read_as_torch_reads_it(tmp_path: Path, dtype: torch.dtype) -> None:
    down, up = gaussian(1, 4, 20).to(dtype), gaussian(2, 12, 4).to(dtype)
    found = audit(saved(tmp_path, {"a": (down, up, 1.0)}))
    dense = up.double() @ down.double()
    assert get(found, "spectrum.norm").value == pytest.approx(float(dense.norm()), rel=1e-9)


def test_the_norm_is_the_root_mean_square_over_modules(tmp_path: Path) -> None:
    one = torch.eye(2)
    found = audit(saved(tmp_path, {"a": (one, one * 3, 1.0), "b": (one, one, 1.0)}))
    assert get(found, "spectrum.norm").value == pytest.approx(((18 + 2) / 2) ** 0.5)
    assert get(found, "spectrum.norm").n == 2


def test_random_factors_sit_at_the_null_and_a_single_direction_far_below(tmp_path: Path) -> None:
    random = audit(saved(tmp_path, {str(i): (gaussian(i, 16, 320), gaussian(50 + i, 320, 16), 1.0) for i in range(8)}))
    assert get(random, "spectrum.null_ratio").value == pytest.approx(1, abs=0.08)
    steep = gaussian(2, 320, 16) * torch.logspace(0, -3, 16)
    trained = audit(saved(tmp_path, {"a": (gaussian(1, 16, 320), steep, 1.0)}))
    assert (get(trained, "spectrum.null_ratio").value or 1) < 0.3


@pytest.mark.parametrize(("rank", "stable"), [(16, 11.8), (32, 21.8), (64, 36.9)])
def test_the_null_is_that_of_dense_random_updates(rank: int, stable: float) -> None:
    """Values of dense simulations at 1280 x 1280."""
    assert null_stable_rank(1280, 1280, rank) == pytest.approx(stable, rel=0.04)
    assert null_stable_rank(1280, 1280, rank) == null_stable_rank(1280, 1280, rank)


def test_the_triangles_of_the_null_are_distributed_as_the_dense_ones() -> None:
    rng = np.random.default_rng(9)
    dense = []
    for _ in range(200):
        sigma = np.linalg.svd(rng.standard_normal((40, 6)) @ rng.standard_normal((6, 4)), compute_uv=False)
        dense.append((sigma**2).sum() / sigma[0] ** 2)
    assert null_stable_rank(40, 4, 6) == pytest.approx(np.mean(dense), rel=0.15)


def test_effective_ranks_of_known_spectra() -> None:
    assert effective_ranks(np.ones(10)) == pytest.approx((10, 9, 10))
    assert effective_ranks(np.array([5.0, 0.0, 0.0])) == pytest.approx((1, 1, 1))


def test_modules_that_were_not_trained_are_dead(tmp_path: Path) -> None:
    down, up = gaussian(1, 4, 20), gaussian(2, 12, 4)
    factors = {str(i): (down, up, 1.0) for i in range(6)} | {"x": (down, up * 0, 1.0), "y": (down, up * 1e-5, 1.0)}
    found = audit(saved(tmp_path, factors))
    assert get(found, "spectrum.dead_share").value == 0.25


def test_a_file_of_zeros_has_a_norm_of_zero_and_no_shape(tmp_path: Path) -> None:
    found = audit(saved(tmp_path, {"a": (gaussian(1, 4, 20), torch.zeros(12, 4), 1.0)}))
    assert get(found, "spectrum.norm").value == 0
    assert get(found, "spectrum.dead_share").value == 1
    shape = get(found, "spectrum.entropy_rank_share")
    assert (shape.value, shape.reason) == (None, "every update in the file is zero")


def test_other_kinds_are_left_out_and_counted(tmp_path: Path) -> None:
    case = saved(tmp_path, {"a": (gaussian(1, 4, 20), gaussian(2, 12, 4), 1.0)})
    tucker, loha = module("t", 4, 1.0, ("down", "up", "mid")), module("h", 4, 1.0, ("hada_w1_a",))
    found = audit(make_case(lora=case.lora.path, modules=(*case.lora.modules, tucker, loha)))
    norm = get(found, "spectrum.norm")
    assert (norm.n, norm.reason) == (1, "2 of 3 modules are no plain LoRA and were left out")
    none = audit(make_case(lora=case.lora.path, modules=(loha,)))
    assert get(none, "spectrum.norm").reason == "the file has no plain LoRA module"
    assert get(none, "spectrum.rank").value == 4
    assert get(audit(make_case()), "spectrum.rank").reason == "the file has no module"


def test_factors_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    case = saved(tmp_path, {"a": (gaussian(1, 4, 20), gaussian(2, 12, 5), 1.0)})
    with pytest.raises(InputRefused, match="factors that do not fit"):
        audit(case)


def test_a_type_nobody_reads_is_refused(tmp_path: Path) -> None:
    down = gaussian(1, 4, 20).to(torch.int8)
    with pytest.raises(InputRefused, match="type I8"):
        audit(saved(tmp_path, {"a": (down, gaussian(2, 12, 4), 1.0)}))
