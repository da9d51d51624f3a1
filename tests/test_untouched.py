"""A module without a spectrum is untouched exactly where applying it leaves every weight as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lora_doctor.lora_delta import weight_at
from lora_doctor.untouched import changes_nothing

RNG = np.random.default_rng(0)


def some(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def skew(blocks: int, size: int) -> np.ndarray:
    raw = some(blocks, size, size) * 0.1
    return raw - raw.transpose(0, 2, 1)


CASES = {
    "oft": ("oft", {"oft_blocks": skew(2, 4)}, {"oft_blocks": np.zeros((2, 4, 4), np.float32)}),
    "rescaled": (
        "oft",
        {"oft_blocks": np.zeros((2, 4, 4), np.float32), "rescale": np.full((8, 1), 1.1, np.float32)},
        {"oft_blocks": np.zeros((2, 4, 4), np.float32), "rescale": np.ones((8, 1), np.float32)},
    ),
    "ia3": (
        "ia3",
        {"weight": some(8, 1), "on_input": np.array([False])},
        {"weight": np.zeros((8, 1), np.float32), "on_input": np.array([False])},
    ),
    "peft's ia3": ("ia3", {"ia3_l": some(8, 1)}, {"ia3_l": np.ones((8, 1), np.float32)}),
    "glora": (
        "glora",
        {"a1": some(8, 2), "a2": some(2, 8), "b1": some(8, 2), "b2": some(2, 8)},
        {"a1": some(8, 2), "a2": np.zeros((2, 8), np.float32), "b1": np.zeros((8, 2), np.float32), "b2": some(2, 8)},
    ),
}


def change(kind: str, parts: dict[str, np.ndarray]) -> float:
    tensors = {name: torch.from_numpy(np.array(part)) for name, part in parts.items()}
    pristine = torch.from_numpy(some(8, 8))
    return float((weight_at(kind, tensors, scale=1.0, pristine=pristine, weight=1.0) - pristine).abs().max())


@pytest.mark.parametrize(("kind", "trained", "untouched"), CASES.values(), ids=CASES)
def test_it_says_what_applying_the_module_shows(kind: str, trained: dict, untouched: dict) -> None:
    assert change(kind, trained) > 1e-3 and not changes_nothing(kind, trained)
    assert change(kind, untouched) < 1e-6 and changes_nothing(kind, untouched)


def test_an_unknown_kind_is_never_called_untouched() -> None:
    assert not changes_nothing("lokr", {"lokr_w1": np.zeros((2, 2))})
