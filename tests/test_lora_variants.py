"""A LoRA with fewer directions, or with a part of the model left alone."""

from __future__ import annotations

import pytest
import torch

from lora_doctor.lora_variants import PARTS, directions_kept, leaves_alone, most_directions, truncated
from lora_doctor.types import LoraModule


def module(
    name: str = "down_blocks.0.attentions.0.to_q", component: str = "unet", rank: int = 8, kind: str = "lora",
    part: str = "down",
) -> LoraModule:  # fmt: skip
    return LoraModule(
        component=component, name=name, flattened=False, kind=kind, rank=rank, alpha=8.0, scale=1.0, keys={part: "x"}
    )


def low_rank(rank: int, shape: tuple[int, int] = (32, 24)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(shape[0], rank, generator=generator) @ torch.randn(rank, shape[1], generator=generator)


def test_the_best_approximation_is_that_of_the_whole_decomposition() -> None:
    change = low_rank(8)
    left, sizes, right = torch.linalg.svd(change, full_matrices=False)
    best = (left[:, :3] * sizes[:3]) @ right[:3]
    torch.testing.assert_close(truncated(change, 3, 8), best, atol=1e-4, rtol=1e-4)


def test_all_directions_are_the_update_itself_to_the_bit() -> None:
    change = low_rank(8)
    assert torch.equal(truncated(change, 8, 8), change)


def test_a_kernel_keeps_its_shape() -> None:
    change = low_rank(6, (16, 36)).reshape(16, 4, 3, 3)
    assert truncated(change, 2, 6).shape == change.shape


def test_truncating_twice_gives_the_same_and_leaves_the_dice_alone() -> None:
    state = torch.get_rng_state()
    first, second = truncated(low_rank(8), 2, 8), truncated(low_rank(8), 2, 8)
    assert torch.equal(first, second) and torch.equal(torch.get_rng_state(), state)


def test_a_variant_says_how_many_directions_stay_and_never_none_at_all() -> None:
    assert [directions_kept(v, module()) for v in ("rank/1", "rank/2", "rank/4", "rank/64")] == [8, 4, 2, 1]
    assert directions_kept("", module()) is None and directions_kept("without/up", module()) is None


def test_only_of_a_product_of_two_factors_is_the_stored_rank_that_of_the_update() -> None:
    kinds = {kind: directions_kept("rank/2", module(kind=kind)) for kind in ("tucker", "dora", "loha", "lokr", "glora")}
    assert kinds == {"tucker": 4, "dora": 4, "loha": None, "lokr": None, "glora": None}
    assert directions_kept("rank/2", module(rank=0, kind="oft")) is None


def test_a_lora_that_cannot_be_truncated_as_a_whole_has_no_directions_to_leave_out() -> None:
    products = [module(rank=4), module(rank=8, kind="dora")]
    beside = [module(rank=0, kind="norm", part="w_norm"), module(rank=0, kind="full", part="diff_b")]
    assert most_directions([*products, *beside]) == 8
    for kind, rank in (("loha", 4), ("lokr", 0), ("full", 0), ("oft", 0)):
        assert most_directions([*products, module(rank=rank, kind=kind, part="diff")]) == 0
    assert most_directions(beside) == 0


@pytest.mark.parametrize(
    ("name", "component", "part"),
    [
        ("down_blocks.1.attentions.0.to_q", "unet", "down"),
        ("down_blocks_1_attentions_0_to_q", "unet", "down"),
        ("mid_block.attentions.0.to_k", "unet", "mid"),
        ("up_blocks.2.resnets.0.conv1", "unet", "up"),
        ("text_model.encoder.layers.0.mlp.fc1", "text_encoder", "text_encoder"),
        ("text_model.encoder.layers.0.mlp.fc1", "text_encoder_2", "text_encoder"),
    ],
)
def test_every_module_belongs_to_one_part(name: str, component: str, part: str) -> None:
    left = [other for other in PARTS if leaves_alone(f"without/{other}", module(name, component))]
    assert left == [part]


def test_the_lora_as_it_is_leaves_nothing_alone() -> None:
    assert not leaves_alone("", module()) and not leaves_alone("rank/2", module())
