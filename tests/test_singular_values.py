"""Singular values through the structure of the factors are those of the dense update, for every kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_doctor.lora_delta import weight_at
from lora_doctor.singular_values import effective_ranks, null_stable_rank, singular_values, update_singular_values


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


def parts_of(**shapes: tuple[int, ...]) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return {part: torch.randn(shape, generator=generator) for part, shape in shapes.items()}


LOHA = {"hada_w1_a": (12, 2), "hada_w1_b": (2, 10), "hada_w2_a": (12, 2), "hada_w2_b": (2, 10)}
WIDE_LOHA = {"hada_w1_a": (12, 4), "hada_w1_b": (4, 10), "hada_w2_a": (12, 4), "hada_w2_b": (4, 10)}
TUCKER_LOHA = {f"hada_w{i}_{half}": (3, size) for i in "12" for half, size in (("a", 12), ("b", 5))} | {
    "hada_t1": (3, 3, 3, 3), "hada_t2": (3, 3, 3, 3)
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "shapes", "layer"),
    [
        ("lora", {"down": (3, 10), "up": (12, 3)}, (12, 10)),
        ("lora", {"down": (3, 5, 3, 3), "up": (12, 3, 1, 1)}, (12, 5, 3, 3)),
        ("tucker", {"down": (3, 5, 1, 1), "mid": (3, 3, 3, 3), "up": (12, 3, 1, 1)}, (12, 5, 3, 3)),
        ("loha", LOHA, (12, 10)),
        ("loha", WIDE_LOHA, (12, 10)),
        ("loha", TUCKER_LOHA, (12, 5, 3, 3)),
        ("lokr", {"lokr_w1": (3, 2), "lokr_w2_a": (4, 2), "lokr_w2_b": (2, 5)}, (12, 10)),
        ("lokr", {"lokr_w1_a": (3, 1), "lokr_w1_b": (1, 2), "lokr_w2": (4, 5)}, (12, 10)),
        ("lokr", {"lokr_w1": (3, 1), "lokr_w2": (4, 5, 3, 3)}, (12, 5, 3, 3)),
        ("lokr", {"lokr_w1": (3, 1), "lokr_t2": (2, 2, 3, 3), "lokr_w2_a": (2, 4), "lokr_w2_b": (2, 5)},
         (12, 5, 3, 3)),
        ("full", {"diff": (12, 5, 3, 3)}, (12, 5, 3, 3)),
    ],
)  # fmt: skip
def test_every_kind_has_the_spectrum_of_its_dense_update(
    kind: str, shapes: dict[str, tuple[int, ...]], layer: tuple[int, ...]
) -> None:
    parts, scale = parts_of(**shapes), 1.0 if kind == "full" else 0.5
    dense = weight_at(kind, parts, scale=scale, pristine=torch.zeros(layer), weight=1.0).double().flatten(1)
    wanted = np.linalg.svd(dense.numpy(), compute_uv=False)
    found = update_singular_values(kind, {part: tensor.numpy() for part, tensor in parts.items()}, scale)
    assert found is not None
    shorter = min(len(found), len(wanted))
    assert found[:shorter] == pytest.approx(wanted[:shorter], rel=1e-5, abs=1e-6 * wanted[0])
    assert max([*found[shorter:], *wanted[shorter:], 0]) < 1e-5 * wanted[0]


@pytest.mark.parametrize("kind", ["oft", "ia3", "norm", "glora"])
def test_updates_made_of_the_base_s_weights_have_none_here(kind: str) -> None:
    assert update_singular_values(kind, {}, 1.0) is None
