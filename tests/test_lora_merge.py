"""Every tensor of a file arrives in the model, is compared there, and leaves no trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lora_doctor import lora_merge
from lora_doctor.errors import EnvironmentFailure, InputRefused
from lora_doctor.lora_file import read_lora
from lora_doctor.lora_merge import read_updates
from tests.tiny_pipeline import tiny_pipeline
from tests.tiny_transformers import tiny_flux

LAYER = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
OTHER = LAYER.replace("to_q", "to_k")


@pytest.fixture
def pipeline(tmp_path: Path) -> Any:
    return tiny_pipeline(tmp_path / "base")


def file_of(path: Path, tensors: dict[str, torch.Tensor]) -> Any:
    save_file(tensors, path / "x.safetensors")
    return read_lora(path / "x.safetensors")


def factors(width: int, size: float = 0.1) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    down, up = (size * torch.randn(shape, generator=generator) for shape in ((2, width), (width, 2)))
    return {"lora_A.weight": down, "lora_B.weight": up}


def named(name: str, parts: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"unet.{name}.{part}": tensor for part, tensor in parts.items()}


def test_weights_and_biases_of_norms_are_added(pipeline: Any, tmp_path: Path) -> None:
    norm = pipeline.unet.get_submodule("mid_block.resnets.0.norm1")
    weight, bias = norm.weight.detach().clone(), norm.bias.detach().clone()
    by_weight, by_bias = torch.randn(len(weight)), torch.randn(len(bias))
    flat = "lora_unet_mid_block_resnets_0_norm1"
    updates = read_updates(pipeline, file_of(tmp_path, {f"{flat}.w_norm": by_weight, f"{flat}.b_norm": by_bias}))
    for update in updates:
        update.apply(0.5)
    torch.testing.assert_close(norm.weight.detach(), weight + 0.5 * by_weight)
    torch.testing.assert_close(norm.bias.detach(), bias + 0.5 * by_bias)
    for update in updates:
        update.apply(0.0)
    assert torch.equal(norm.weight, weight) and torch.equal(norm.bias, bias)


def test_a_bias_beside_factors_is_added_unscaled(pipeline: Any, tmp_path: Path) -> None:
    name = "mid_block.attentions.0.proj_in"
    layer = pipeline.unet.get_submodule(name)
    bias, added = layer.bias.detach().clone(), torch.randn(len(layer.bias))
    parts = factors(len(layer.weight)) | {"diff_b": added, "alpha": torch.tensor(1.0)}
    updates = read_updates(pipeline, file_of(tmp_path, named(name, parts)))
    assert sorted(update.target for update in updates) == ["bias", "weight"]
    for update in updates:
        update.apply(1.0)
    torch.testing.assert_close(layer.bias.detach(), bias + added)


def test_a_bias_that_the_layer_does_not_have_is_refused(pipeline: Any, tmp_path: Path) -> None:
    width = len(pipeline.unet.get_submodule(LAYER).weight)
    parts = factors(width) | {"diff_b": torch.ones(width)}
    with pytest.raises(InputRefused, match="another shape"):
        read_updates(pipeline, file_of(tmp_path, named(LAYER, parts)))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 100.00 MiB."), "out of memory while the LoRA"),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), "out of memory while the LoRA"),
        (RuntimeError("CUDA error: no kernel image is available for execution on the device"), "no kernel image"),
    ],
)
def test_a_machine_that_fails_while_the_lora_is_tried_is_not_taken_for_another_family(
    pipeline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fails(*given: Any, **options: Any) -> Any:
        raise error

    layer = pipeline.unet.get_submodule(LAYER)
    before = layer.weight.detach().clone()
    lora = file_of(tmp_path, named(LAYER, factors(len(before))))
    monkeypatch.setattr(lora_merge, "weight_at", fails)
    with pytest.raises(EnvironmentFailure, match=said):
        read_updates(pipeline, lora)
    assert torch.equal(layer.weight, before)


def test_the_lora_s_own_tensors_stay_off_the_device_of_the_model(pipeline: Any, tmp_path: Path) -> None:
    """Any device but the CPU will do here; a rank of 128 would take gigabytes beside the weights of SDXL."""
    width = len(pipeline.unet.get_submodule(LAYER).weight)
    lora = file_of(tmp_path, named(LAYER, factors(width)))
    pipeline.unet.to("meta")
    ((module, place),) = lora_merge._find_places(pipeline, lora)
    (update,) = lora_merge._updates_of(lora, module, place)
    assert update.live[0].is_meta and update.pristine[0].is_meta
    assert {part.device.type for part in update.parts.values()} == {"cpu"}
    assert update.at(0.5)[0].is_meta


def test_two_layers_that_share_a_weight_do_not_arrive_both(pipeline: Any, tmp_path: Path) -> None:
    """Only comparing with what the model then holds can notice this."""
    layer = pipeline.unet.get_submodule(LAYER)
    pipeline.unet.get_submodule(OTHER).weight = layer.weight
    before = layer.weight.detach().clone()
    tensors = named(LAYER, factors(len(before))) | named(OTHER, factors(len(before), size=0.2))
    with pytest.raises(InputRefused, match="1 of 2 modules do not arrive in the base model"):
        read_updates(pipeline, file_of(tmp_path, tensors))
    assert torch.equal(layer.weight, before)


def test_one_layer_under_two_names_is_refused(pipeline: Any, tmp_path: Path) -> None:
    name = "encoder.layers.0.self_attn.q_proj"
    width = len(pipeline.text_encoder.get_submodule(name).weight)
    tensors = {f"text_encoder.{start}{name}.{part}": tensor
               for start in ("", "text_model.") for part, tensor in factors(width).items()}  # fmt: skip
    with pytest.raises(InputRefused, match="two updates for one weight"):
        read_updates(pipeline, file_of(tmp_path, tensors))


def test_an_update_too_small_for_the_model_s_precision_is_told_from_one_of_zeros(pipeline: Any, tmp_path: Path) -> None:
    pipeline.unet.half()
    width = len(pipeline.unet.get_submodule(LAYER).weight)
    with pytest.raises(InputRefused, match="too small for the base model's float16 weights"):
        read_updates(pipeline, file_of(tmp_path, named(LAYER, factors(width, size=1e-4))))
    # A file of its own: one that is written again within a tick of the clock looks like the one before.
    (other := tmp_path / "zeros").mkdir()
    with pytest.raises(InputRefused, match="zero in every module"):
        read_updates(pipeline, file_of(other, named(LAYER, factors(width, size=0.0))))


def test_a_file_that_changes_between_two_looks_is_refused(pipeline: Any, tmp_path: Path) -> None:
    width = len(pipeline.unet.get_submodule(LAYER).weight)
    lora = file_of(tmp_path, named(LAYER, factors(width)))
    save_file({"other": torch.ones(3)}, lora.path)
    with pytest.raises(InputRefused, match="has changed since it was read"):
        read_updates(pipeline, lora)


def test_xlabs_processors_and_comfyui_s_text_encoders_arrive_where_they_belong(tmp_path: Path) -> None:
    flux = tiny_flux(tmp_path / "flux")
    block, width = flux.transformer.transformer_blocks[0], 32
    generator = torch.Generator().manual_seed(2)

    def pair(outputs: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.randn(2, width, generator=generator), torch.randn(outputs, 2, generator=generator)

    stems = {
        "double_blocks.0.processor.qkv_lora1": (pair(3 * width), [block.attn.to_q, block.attn.to_k, block.attn.to_v]),
        "double_blocks.0.processor.proj_lora2": (pair(width), [block.attn.to_add_out]),
        "text_encoders.clip_l.transformer.text_model.encoder.layers.0.self_attn.q_proj": (
            pair(width), [flux.text_encoder.get_submodule("encoder.layers.0.self_attn.q_proj")]
        ),
    }  # fmt: skip
    tensors, wanted = {}, []
    for stem, ((down, up), layers) in stems.items():
        below, above = (".down", ".up") if "processor" in stem else (".lora_down", ".lora_up")
        tensors |= {f"{stem}{below}.weight": down, f"{stem}{above}.weight": up}
        whole = torch.cat([layer.weight.detach() for layer in layers]) + up @ down
        wanted += list(zip(layers, whole.split([len(layer.weight) for layer in layers]), strict=True))
    for update in read_updates(flux, file_of(tmp_path, tensors)):
        update.apply(1.0)
    for layer, weight in wanted:
        torch.testing.assert_close(layer.weight.detach(), weight)


def test_a_variant_leaves_its_part_of_the_model_as_it_was(pipeline: Any, tmp_path: Path) -> None:
    down = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    layers = {name: pipeline.unet.get_submodule(name) for name in (LAYER, down)}
    pristine = {name: layer.weight.detach().clone() for name, layer in layers.items()}
    parts = {k: v for n, layer in layers.items() for k, v in named(n, factors(len(layer.weight))).items()}
    updates = read_updates(pipeline, file_of(tmp_path, parts))
    for update in updates:
        update.apply(1.0, "without/mid")
    assert torch.equal(layers[LAYER].weight, pristine[LAYER])
    assert not torch.equal(layers[down].weight, pristine[down])
    for update in updates:
        update.apply(0.0)
    assert all(torch.equal(layer.weight, pristine[name]) for name, layer in layers.items())


def test_half_of_the_directions_is_the_nearest_update_of_half_the_rank(pipeline: Any, tmp_path: Path) -> None:
    layer = pipeline.unet.get_submodule(LAYER)
    pristine = layer.weight.detach().clone()
    updates = read_updates(pipeline, file_of(tmp_path, named(LAYER, factors(len(pristine)))))
    (update,) = updates
    update.apply(1.0)
    whole = layer.weight.detach() - pristine
    update.apply(1.0, "rank/2")
    left, sizes, right = torch.linalg.svd(whole)
    torch.testing.assert_close(layer.weight.detach() - pristine, sizes[0] * torch.outer(left[:, 0], right[0]))
    update.apply(0.0)
    assert torch.equal(layer.weight, pristine)


def test_half_of_a_dora_s_directions_gets_its_magnitudes_all_the_same(pipeline: Any, tmp_path: Path) -> None:
    layer = pipeline.unet.get_submodule(LAYER)
    pristine = layer.weight.detach().clone()
    parts = named(LAYER, factors(len(pristine)))
    up, down = (next(t for k, t in parts.items() if f"lora_{half}" in k) for half in ("B", "A"))
    magnitudes = 1.5 * pristine.norm(dim=1)
    lora = file_of(tmp_path, parts | {f"unet.{LAYER}.lora_magnitude_vector": magnitudes})
    (update,) = read_updates(pipeline, lora)
    update.apply(1.0, "rank/2")
    left, sizes, right = torch.linalg.svd(lora.modules[0].scale * up @ down)
    half = pristine + sizes[0] * torch.outer(left[:, 0], right[0])
    expected = half * (magnitudes / half.norm(dim=1))[:, None]
    torch.testing.assert_close(layer.weight.detach(), expected, rtol=1e-4, atol=1e-5)
    update.apply(0.0)
