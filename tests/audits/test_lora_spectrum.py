"""Spectra are those of the dense updates, in every storage type, without ever forming one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lora_doctor.audits.lora_spectrum import audit, block_of, spectra, summarise
from lora_doctor.lora_file import read_lora
from lora_doctor.types import Case, LoraModule, TrainingSettings
from tests.audits.make_case import get, make_case


def module(name: str, rank: int, scale: float, parts: tuple[str, ...] = ("down", "up")) -> LoraModule:
    return LoraModule(
        component="unet", name=name, flattened=False, kind="lora", rank=rank, alpha=scale * rank, scale=scale,
        update_rank=rank or None,
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
    assert get(found, "spectrum.norm").value == pytest.approx(float(dense.norm()), rel=1e-6)


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


def test_modules_that_were_not_trained_are_dead(tmp_path: Path) -> None:
    down, up = gaussian(1, 4, 20), gaussian(2, 12, 4)
    factors = {str(i): (down, up, 1.0) for i in range(6)} | {"x": (down, up * 0, 1.0), "y": (down, up * 1e-5, 1.0)}
    found = audit(saved(tmp_path, factors))
    assert get(found, "spectrum.dead_share").value == 0.25


def test_a_block_that_was_left_out_is_dead_as_a_whole(tmp_path: Path) -> None:
    down, up = gaussian(1, 4, 20), gaussian(2, 12, 4)
    names = [f"{block}.attn{i}" for block in ("down_blocks.0", "up_blocks.1") for i in range(2)]
    factors = {name: (down, up * (not name.startswith("down")), 1.0) for name in names}
    factors["up_blocks.1.attn1"] = (down, up * 0, 1.0)
    found = audit(saved(tmp_path, factors))
    assert get(found, "spectrum.dead_share", block="unet down_blocks_0").value == 1
    assert get(found, "spectrum.dead_share", block="unet up_blocks_1").value == 0.5


@pytest.mark.parametrize(
    ("asleep", "clip_skip", "share"),
    [
        ({3}, None, 0.0),  # SDXL's first encoder is read before its last layer, whatever is recorded
        ({3}, 2, 0.0),
        ({2, 3}, 3, 0.0),
        ({2, 3}, 2, 1 / 8),  # three of the four layers are left, and the third is dead without that reason
        ({1}, 2, 1 / 9),
        ({0, 1, 2, 3}, 2, 4 / 9),  # frozen
    ],
)
def test_the_last_layers_that_clip_skip_leaves_out_are_not_counted_as_dead(
    tmp_path: Path, asleep: set[int], clip_skip: int | None, share: float
) -> None:
    down, up = gaussian(1, 4, 20), gaussian(2, 12, 4)
    layers = {f"text_model.encoder.layers.{n}.mlp.fc1": (down, up * (n not in asleep), 1.0) for n in range(4)}
    case = saved(tmp_path, layers | {f"mid_block.{n}": (down, up, 1.0) for n in range(5)})
    modules = tuple(
        replace(one, component="text_encoder" if "encoder" in one.name else "unet") for one in case.lora.modules
    )
    recorded = replace(case.lora.record, settings=TrainingSettings(clip_skip=clip_skip))
    lora = replace(case.lora, modules=modules, record=recorded)
    assert get(summarise(lora, spectra(lora)), "spectrum.dead_share").value == pytest.approx(share)
    silent = replace(lora, record=case.lora.record)
    assert get(summarise(silent, spectra(silent), clip_skip), "spectrum.dead_share").value == pytest.approx(share)


def test_a_layer_that_is_dead_in_part_was_reached(tmp_path: Path) -> None:
    down, up = gaussian(1, 4, 20), gaussian(2, 12, 4)
    factors = {
        f"text_model.encoder.layers.{layer}.mlp.fc{half}": (down, up * ((layer, half) != (1, 2)), 1.0)
        for layer in range(2) for half in (1, 2)
    }  # fmt: skip
    case = saved(tmp_path, factors)
    lora = replace(case.lora, modules=tuple(replace(one, component="text_encoder") for one in case.lora.modules))
    assert get(summarise(lora, spectra(lora)), "spectrum.dead_share").value == 0.25


def test_a_text_encoder_that_was_stored_untrained_has_no_share(tmp_path: Path) -> None:
    case = saved(tmp_path, {"layers.0": (gaussian(1, 4, 20), torch.zeros(12, 4), 1.0)})
    modules = tuple(replace(one, component="text_encoder") for one in case.lora.modules)
    found = audit(make_case(lora=case.lora.path, modules=modules))
    assert [m for m in found if m.name == "spectrum.dead_share" and "block" in m.where] == []


def test_a_file_of_zeros_has_a_norm_of_zero_and_no_shape(tmp_path: Path) -> None:
    found = audit(saved(tmp_path, {"a": (gaussian(1, 4, 20), torch.zeros(12, 4), 1.0)}))
    assert get(found, "spectrum.norm").value == 0
    assert get(found, "spectrum.dead_share").value == 1
    shape = get(found, "spectrum.entropy_rank_share")
    assert (shape.value, shape.reason) == (None, "every update in the file is zero")


def test_kinds_that_need_the_base_model_are_left_out_and_counted(tmp_path: Path) -> None:
    down, up = gaussian(1, 4, 20), gaussian(2, 12, 4)
    case = saved(tmp_path, {"a": (down, up, 1.0), "t": (torch.zeros(2, 4, 4), up, 1.0)})
    case = make_case(lora=case.lora.path, modules=case.lora.modules[:1])
    oft = replace(module("t", 0, 0.0, ("oft_blocks",)), kind="oft", keys={"oft_blocks": "t.down"})
    found = audit(make_case(lora=case.lora.path, modules=(*case.lora.modules, oft)))
    norm = get(found, "spectrum.norm")
    assert (norm.n, norm.reason) == (1, "1 of 2 modules have no spectrum without the base model")
    assert get(found, "spectrum.dead_share", block="unet other").value == 0.5  # a turn by nothing is seen all the same
    none = audit(make_case(lora=case.lora.path, modules=(oft,)))
    assert get(none, "spectrum.norm").reason == "the file has no module with a spectrum of its own"
    rank = get(none, "spectrum.rank")
    assert (rank.value, rank.reason) == (None, "no update in the file has a limited rank")
    assert get(audit(make_case()), "spectrum.rank").reason == "the file has no module"


@pytest.mark.parametrize(
    ("parts", "rank"),
    [
        ({"hada_w1_a": (40, 4), "hada_w1_b": (4, 40), "hada_w2_a": (40, 4), "hada_w2_b": (4, 40)}, 16),
        ({"lokr_w1": (4, 4), "lokr_w2_a": (10, 4), "lokr_w2_b": (4, 10)}, 16),
        ({"lokr_w1": (4, 4), "lokr_w2": (10, 10)}, None),
        ({"diff": (40, 40)}, None),
    ],
)
def test_the_rank_is_that_of_the_update_and_none_where_it_is_stored_whole(
    tmp_path: Path, parts: dict[str, tuple[int, ...]], rank: int | None
) -> None:
    tensors = {f"lora_unet_a.{part}": gaussian(i, *shape) for i, (part, shape) in enumerate(parts.items())}
    save_file(tensors, tmp_path / "x.safetensors")
    lora = read_lora(tmp_path / "x.safetensors")
    assert get(summarise(lora, spectra(lora)), "spectrum.rank").value == rank


def test_a_sample_is_spread_over_the_file_and_says_so(tmp_path: Path) -> None:
    case = saved(tmp_path, {f"m{i}": (gaussian(i, 2, 8), gaussian(50 + i, 8, 2), 1.0) for i in range(9)})
    some = spectra(case.lora, limit=3)
    assert [each.name for each in some] == ["m0", "m4", "m8"]
    assert spectra(case.lora, limit=20) == spectra(case.lora)


def test_norms_are_told_by_block_too(tmp_path: Path) -> None:
    one = torch.eye(2)
    names = {"down_blocks.0.attentions.0.to_k": one * 3, "down_blocks.0.resnets.0.conv1": one, "conv_in": one}
    found = audit(saved(tmp_path, {name: (one, up, 1.0) for name, up in names.items()}))
    assert get(found, "spectrum.norm", block="unet down_blocks_0").value == pytest.approx(((18 + 2) / 2) ** 0.5)
    assert get(found, "spectrum.norm", block="unet other").value == pytest.approx(2**0.5)
    assert get(found, "spectrum.largest_norm_ratio").value == pytest.approx(3)


@pytest.mark.parametrize(
    ("name", "block"),
    [("double_blocks_3_img_attn_qkv", "double_blocks_3"), ("layers.12.attention.to_q", "layers_12"),
     ("input_blocks_4_1_proj_in", "input_blocks_4"), ("mid_block.attentions.0", "mid_block"), ("conv_in", "other"),
     ("text_model_encoder_layers_5_mlp_fc1", "layers_5")],
)  # fmt: skip
def test_a_module_s_block_is_told_by_its_name(name: str, block: str) -> None:
    assert block_of(name) == block
