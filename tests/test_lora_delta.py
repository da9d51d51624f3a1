"""The delta of every kind equals what the library that writes the file computes itself, to 1e-5 of its size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import peft
import pytest
import torch
from lycoris.modules.boft import ButterflyOFTModule
from lycoris.modules.diag_oft import DiagOFTModule
from lycoris.modules.full import FullModule
from lycoris.modules.glora import GLoRAModule
from lycoris.modules.ia3 import IA3Module
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from lycoris.modules.norms import NormModule

from fixtures.loras.written import effect, stir
from lora_doctor.lora_delta import adapts_bias, adapts_weight, bias_at, cayley, decomposed, weight_at
from lora_doctor.lora_keys import parse_keys
from lora_doctor.lora_kinds import form_of

BOUND = 1e-5
RANK, ALPHA = 4, 2.0


def layer(kind: str) -> torch.nn.Module:
    torch.manual_seed(5)
    if kind == "linear":
        return torch.nn.Linear(24, 32)
    if kind == "conv":
        return torch.nn.Conv2d(8, 16, 3, padding=1)
    if kind == "square conv":
        return torch.nn.Conv2d(8, 8, 3, padding=1)
    return torch.nn.Conv2d(8, 16, 1)


def read(state: Mapping[str, torch.Tensor]) -> tuple[str, dict[str, torch.Tensor]]:
    """What the product makes of the tensors a library saves for one module."""
    file = {f"lora_unet_x.{name}": tensor for name, tensor in state.items()}
    parsed = parse_keys(file)
    assert set(parsed) == set(file)
    parts = {found.part: file[key].detach().float() for key, found in parsed.items()}
    return form_of({part: tuple(tensor.shape) for part, tensor in parts.items()}).kind, parts


def distance(ours: torch.Tensor, theirs: torch.Tensor, pristine: torch.Tensor) -> float:
    return float((ours - theirs).norm() / (theirs - pristine).norm())


LYCORIS: list[tuple[str, Any, dict[str, Any], tuple[str, ...]]] = [
    ("lora", LoConModule, {}, ("linear", "conv", "pointwise")),
    ("lora", LoConModule, {"rs_lora": True}, ("linear",)),
    ("tucker", LoConModule, {"use_tucker": True}, ("conv",)),
    ("dora", LoConModule, {"weight_decompose": True, "wd_on_out": True}, ("linear", "conv")),
    ("dora", LoConModule, {"weight_decompose": True, "wd_on_out": False}, ("linear", "conv")),
    ("loha", LohaModule, {}, ("linear", "conv")),
    ("loha", LohaModule, {"use_tucker": True}, ("conv",)),
    ("loha", LohaModule, {"weight_decompose": True}, ("linear",)),
    ("lokr", LokrModule, {"factor": 4}, ("linear", "conv")),
    ("lokr", LokrModule, {"decompose_both": True, "lora_dim": 1}, ("linear",)),
    ("lokr", LokrModule, {"full_matrix": True}, ("linear", "conv")),
    ("lokr", LokrModule, {"use_tucker": True, "lora_dim": 1}, ("conv",)),
    ("lokr", LokrModule, {"weight_decompose": True}, ("linear",)),
    ("oft", DiagOFTModule, {}, ("linear", "conv")),
    ("oft", DiagOFTModule, {"constraint": 0.001}, ("linear",)),
    ("oft", DiagOFTModule, {"rescaled": True}, ("linear", "conv")),
    ("boft", ButterflyOFTModule, {}, ("linear", "conv")),
    ("boft", ButterflyOFTModule, {"constraint": 0.001, "rescaled": True}, ("linear",)),
    ("ia3", IA3Module, {}, ("linear", "conv")),
    ("ia3", IA3Module, {"train_on_input": True}, ("linear", "conv")),
    ("glora", GLoRAModule, {}, ("linear", "conv")),
    ("full", FullModule, {}, ("linear", "conv")),
]
CASES = [(kind, maker, options, where) for kind, maker, options, layers in LYCORIS for where in layers]


@pytest.mark.parametrize(
    ("kind", "maker", "options", "where"), CASES, ids=lambda value: str(getattr(value, "__name__", value))
)
def test_equals_what_lycoris_trains(kind: str, maker: Any, options: dict[str, Any], where: str) -> None:
    original = layer(where)
    pristine = original.weight.detach().clone()
    module = maker("lora_unet_x", original, 1.0, **{"lora_dim": RANK, "alpha": ALPHA} | options)
    stir(module.parameters(), 0.2)
    module.eval()
    state = module.custom_state_dict() if hasattr(module, "custom_state_dict") else module.state_dict()
    state = state or module.state_dict()
    found, parts = read(state)
    assert found == kind
    module.apply_to()
    reference = effect(original, pristine) if kind != "full" else pristine + parts["diff"]

    ours = weight_at(kind, parts, scale=scale_of(kind, parts), pristine=pristine, weight=1.0)
    assert distance(ours, reference, pristine) < BOUND
    assert torch.equal(weight_at(kind, parts, scale=1.0, pristine=pristine, weight=0.0), pristine)


def scale_of(kind: str, parts: Mapping[str, torch.Tensor]) -> float:
    """alpha / rank as lora_file does it; the constraint of a rotation."""
    alpha = float(parts["alpha"]) if "alpha" in parts else None
    if kind in ("oft", "boft"):
        return alpha or 0.0
    rank = form_of({part: tuple(tensor.shape) for part, tensor in parts.items()}).rank
    return 1.0 if not rank or alpha is None else alpha / rank


def test_a_norm_and_its_bias_are_added() -> None:
    norm = torch.nn.LayerNorm(8)
    module = NormModule("lora_unet_x", norm, 1.0)
    stir(module.parameters(), 0.2)
    found, parts = read({"w_norm": module.w_norm, "b_norm": module.b_norm})
    assert found == "norm" and adapts_weight(parts) and adapts_bias(parts)
    weight, bias = module.make_weight(0.5)
    torch.testing.assert_close(weight_at("norm", parts, scale=1.0, pristine=norm.weight.data, weight=0.5), weight.data)
    torch.testing.assert_close(bias_at("norm", parts, scale=1.0, pristine=norm.bias.data, weight=0.5), bias.data)


DORA = peft.LoraConfig(r=RANK, lora_alpha=8, use_dora=True, target_modules=["layer"])
PEFT: list[tuple[str, Any]] = [
    ("lora", peft.LoraConfig(r=RANK, lora_alpha=8, target_modules=["layer"])),
    ("lora", peft.LoraConfig(r=RANK, lora_alpha=8, use_rslora=True, target_modules=["layer"])),
    ("lora", peft.LoraConfig(r=RANK, lora_alpha=8, lora_bias=True, target_modules=["layer"])),
    ("dora", DORA),
    ("loha", peft.LoHaConfig(r=RANK, alpha=8, target_modules=["layer"])),
    ("lokr", peft.LoKrConfig(r=1, alpha=8, target_modules=["layer"])),
    ("oft", peft.OFTConfig(oft_block_size=8, target_modules=["layer"])),
    ("oft", peft.OFTConfig(oft_block_size=8, block_share=True, target_modules=["layer"])),
    ("ia3", peft.IA3Config(target_modules=["layer"], feedforward_modules=[])),
    ("ia3", peft.IA3Config(target_modules=["layer"], feedforward_modules=["layer"])),
]


# A convolution's magnitudes are (1, out, 1, 1): they look like one per input where both widths are the same.
PEFT_CASES = [
    *((*case, "linear") for case in PEFT),
    *(("dora", DORA, where) for where in ("conv", "square conv", "pointwise")),
    ("oft", peft.OFTConfig(oft_block_size=8, target_modules=["layer"]), "conv"),
]


@pytest.mark.parametrize(("kind", "config", "where"), PEFT_CASES, ids=lambda value: getattr(value, "peft_type", value))
def test_equals_what_peft_trains(kind: str, config: Any, where: str) -> None:
    holder = torch.nn.Module()
    holder.layer = layer(where)
    pristine, bias = holder.layer.weight.detach().clone(), holder.layer.bias.detach().clone()
    model = peft.get_peft_model(holder, config, low_cpu_mem_usage=False)
    stir((parameter for parameter in model.parameters() if parameter.requires_grad), 0.2)
    state = peft.get_peft_model_state_dict(model)
    parsed = parse_keys(state)
    assert set(parsed) == set(state)
    assert {found.name for found in parsed.values()} == {"layer"}
    parts = {found.part: state[key].float() for key, found in parsed.items()}
    form = form_of({part: tuple(tensor.shape) for part, tensor in parts.items()})
    assert form.kind == kind
    scale = 0.0 if kind in ("oft", "ia3") else model.base_model.model.layer.scaling["default"]

    merged = model.merge_and_unload().layer
    ours = weight_at(kind, parts, scale=scale, pristine=pristine, weight=1.0)
    assert distance(ours, merged.weight.detach(), pristine) < BOUND
    if adapts_bias(parts):
        torch.testing.assert_close(bias_at(kind, parts, scale=scale, pristine=bias, weight=1.0), merged.bias.detach())


def turns_of(numbers: torch.Tensor, side: int) -> list[torch.Tensor]:
    """OneTrainer's rotations, from the numbers above the diagonals: (I + Q)(I - Q)^-1 to five terms of its series."""
    turns = []
    for row in numbers.double():
        q = torch.zeros(side, side, dtype=torch.double)
        pairs = [(i, j) for i in range(side) for j in range(i + 1, side)]
        for (i, j), number in zip(pairs, row, strict=True):
            q[i, j], q[j, i] = number, -number
        turns.append(torch.eye(side) + 2 * q + 2 * q @ q + 2 * q @ q @ q + q @ q @ q @ q)
    return turns


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("where", ["linear", "conv", "pointwise"])
def test_a_rotation_of_onetrainer_turns_inputs_of_a_linear_layer_and_the_weight_of_a_convolution(
    where: str, scaled: bool
) -> None:
    pristine, side = layer(where).weight.detach(), 8
    count = pristine[0].numel() // side
    numbers = 0.1 * torch.randn(count, side * (side - 1) // 2, generator=torch.Generator().manual_seed(1))
    state = {"oft_R.weight": numbers} | ({"oft_R.scaled_oft": torch.tensor(True)} if scaled else {})
    kind, parts = read(state)
    turns = turns_of(numbers / (2 * (side - 1) ** 0.5) if scaled else numbers, side)
    blocks = [block.double() for block in pristine.flatten(1).split(side, dim=1)]
    if where == "linear":  # y = (x R) W^T
        answers = sum(turn @ block.T for turn, block in zip(_rows_of(turns), blocks, strict=True))
        expected = answers.T
    else:
        expected = torch.cat([block @ turn for block, turn in zip(blocks, turns, strict=True)], dim=1)
    ours = weight_at(kind, parts, scale=0.0, pristine=pristine, weight=1.0)
    assert distance(ours, expected.float().reshape(pristine.shape), pristine) < BOUND


def _rows_of(turns: list[torch.Tensor]) -> list[torch.Tensor]:
    """What every unit input becomes in each block: a row for an input, zero outside of its own block."""
    side = len(turns[0])
    return [
        torch.cat([turn if i == j else torch.zeros(side, side) for j in range(len(turns))])
        for i, turn in enumerate(turns)
    ]


def test_the_parts_of_a_fused_layer_are_held_each_by_its_own_width() -> None:
    """sd-scripts' OFT for FLUX: the constraint of a part is alpha times that part's outputs."""
    widths, count, alpha = (16, 16, 32), 4, 0.01
    generator = torch.Generator().manual_seed(1)
    pristine = torch.randn(sum(widths), 12, generator=generator)
    blocks = [0.2 * torch.randn(count, width // count, width // count, generator=generator) for width in widths]
    expected = []
    for own, rows in zip(blocks, pristine.split(widths), strict=True):
        skew = own - own.transpose(1, 2)
        assert float(skew.norm()) > alpha * len(rows)
        skew = skew * alpha * len(rows) / skew.norm()
        for q, part in zip(skew, rows.chunk(count), strict=True):
            unit = torch.eye(len(q))
            expected.append(((unit + q) @ torch.linalg.inv(unit - q)).T @ part)
    kind, parts = read({f"oft_blocks.{i}": own for i, own in enumerate(blocks)} | {"alpha": torch.tensor(alpha)})
    ours = weight_at(kind, parts, scale=alpha, pristine=pristine, weight=1.0)
    assert distance(ours, torch.cat(expected), pristine) < BOUND


def test_a_rotation_is_orthogonal_and_the_limit_shrinks_it() -> None:
    blocks = torch.randn(3, 6, 6, generator=torch.Generator().manual_seed(1))
    free, held = cayley(blocks), cayley(blocks, 0.01)
    unit = torch.eye(6, dtype=free.dtype).expand(3, -1, -1)
    torch.testing.assert_close(free @ free.transpose(1, 2), unit)
    torch.testing.assert_close(cayley(torch.zeros(3, 6, 6)), unit)
    assert float((held - unit).norm()) < 0.03 < float((free - unit).norm())


def test_decomposing_with_a_weight_s_own_norms_changes_nothing() -> None:
    weight = torch.randn(5, 7, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(decomposed(weight, weight.norm(dim=1)), weight)
    torch.testing.assert_close(decomposed(weight, weight.norm(dim=0, keepdim=True)), weight)


@pytest.mark.parametrize("scale", [1.0, 0.5, 2.0])
def test_ai_toolkit_s_dora_is_what_its_forward_pass_adds_up_to(scale: float) -> None:
    """`network_mixins.py` adds the scaled update, `models/DoRA.py` the magnitudes' part of the unscaled one."""
    generator = torch.Generator().manual_seed(3)
    weight, down, up = (torch.randn(shape, generator=generator) for shape in ((12, 7), (3, 7), (12, 3)))
    magnitude = 0.5 + torch.rand(12, generator=generator)
    unscaled = weight + up @ down
    inputs = torch.eye(7)
    outputs = inputs @ weight.T + scale * (inputs @ down.T @ up.T)
    outputs += (magnitude / torch.linalg.norm(unscaled, dim=1) - 1).view(1, -1) * (inputs @ unscaled.T)
    kind, parts = read({"lora_down.weight": down, "lora_up.weight": up, "magnitude": magnitude})
    assert kind == "dora"
    ours = weight_at(kind, parts, scale=scale, pristine=weight, weight=1.0)
    assert distance(ours, outputs.T, weight) < BOUND


def test_half_the_weight_is_half_the_way() -> None:
    pristine = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    parts = {"down": torch.ones(2, 4), "up": torch.ones(6, 2), "dora_scale": torch.full((6, 1), 3.0)}
    whole = weight_at("dora", parts, scale=0.5, pristine=pristine, weight=1.0)
    half = weight_at("dora", parts, scale=0.5, pristine=pristine, weight=0.5)
    torch.testing.assert_close(half, (pristine + whole) / 2)


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("lora", {"down": torch.ones(2, 5), "up": torch.ones(6, 2)}),
        ("oft", {"oft_blocks": torch.zeros(2, 2, 2)}),
        ("boft", {"oft_blocks": torch.zeros(1, 2, 2, 2)}),
        ("ia3", {"weight": torch.ones(5), "on_input": torch.ones(())}),
        ("oft", {"oft_R": torch.zeros(3, 1)}),
    ],
)
def test_what_does_not_fit_the_layer_is_an_error(kind: str, parts: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="for"):
        weight_at(kind, parts, scale=1.0, pristine=torch.ones(6, 4), weight=1.0)
