"""A LoRA altered for a probe: with fewer directions, or with a part of the model left as it was.

`rank/2` keeps of every update the half of its rank that carries most (Eckart and Young 1936); `without/up` leaves the
blocks of a UNet's way up alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lora_doctor.types import LoraModule

if TYPE_CHECKING:
    import torch

PARTS = {
    "text_encoder": ("text_encoder",),
    "down": ("down_blocks", "input_blocks"),
    "mid": ("mid_block", "middle_block"),
    "up": ("up_blocks", "output_blocks"),
}
"""Part of a model -> how the names of its modules begin, or its component."""
PRODUCTS = ("lora", "tucker", "dora")
"""Kinds whose rank is that of the update, or of what DoRA's magnitudes are put on. LoHa's is up to rank * rank, LoKr's
the product of its factors' ranks: a half of the stored rank would be far less than a half of their directions."""


def leaves_alone(variant: str, module: LoraModule) -> bool:
    """Whether the variant leaves this module as the base model has it."""
    kind, _, part = variant.partition("/")
    if kind != "without":
        return False
    starts = PARTS[part]
    flat = module.name.removeprefix("unet_")
    return module.component.startswith(starts) or flat.startswith(starts)


def directions_kept(variant: str, module: LoraModule) -> int | None:
    """How many directions of the update the variant keeps, at least one; None = all, as of kinds not in `PRODUCTS`."""
    kind, _, divisor = variant.partition("/")
    return max(1, module.rank // int(divisor)) if kind == "rank" and module.kind in PRODUCTS else None


def most_directions(modules: Iterable[LoraModule]) -> int:
    """The largest rank of a LoRA, or 0 where a variant cannot truncate all of it and would show less than it says.

    Norms and biases have no directions and do not count.
    """
    matrices = [module for module in modules if module.kind != "norm" and set(module.keys) != {"diff_b"}]
    whole = any(module.kind not in PRODUCTS for module in matrices)
    return 0 if whole else max((module.rank for module in matrices), default=0)


def truncated(change: torch.Tensor, kept: int, rank: int) -> torch.Tensor:
    """The best approximation of a change of a weight by `kept` directions, out of the `rank` it has, in its own shape.

    Of a matrix whose rank is known and small, a randomised decomposition of that many directions is exact to rounding.
    """
    import torch

    matrix = change.reshape(change.shape[0], -1)
    most = min(matrix.shape)
    if kept >= min(rank, most):
        return change
    wanted = min(most, rank + 2)
    generator_state = torch.get_rng_state()
    try:
        torch.manual_seed(0)  # the same pictures whenever a run is made again
        left, sizes, right = torch.svd_lowrank(matrix.float(), q=wanted, niter=2)
    finally:
        torch.set_rng_state(generator_state)
    whole = (left[:, :kept] * sizes[:kept]) @ right[:, :kept].T
    return whole.reshape(change.shape).to(change.dtype)
