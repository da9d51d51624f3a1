"""What the library everyone uses does wrong without an error, each shown on it, and what lora-doctor does instead.

One test per silent failure. Should diffusers mend one, its half of the test fails and can go; the other half stays.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save_file

from fixtures.loras.table import diffusers_error, our_error
from fixtures.loras.written import (
    ALPHA,
    RANK,
    convolutions,
    denoiser,
    diffusers_saved,
    linear_layers,
    lycoris,
    mixed_ranks,
    peft_saved,
    relaid,
)
from lora_doctor.errors import InputRefused
from lora_doctor.lora_file import read_lora
from lora_doctor.lora_merge import read_updates
from tests.tiny_pipeline import tiny_xl_pipeline
from tests.tiny_transformers import tiny_flux, tiny_sd3, tiny_sd15

BOUND = 1e-5
PLAIN = diffusers_saved(lora_alpha=ALPHA)


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tiny_sd15(tmp_path_factory.mktemp("sd15"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.safetensors"


def weights(pipeline: Any) -> dict[str, torch.Tensor]:
    parts = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    return {f"{name}.{key}": value.clone() for name, part in parts.items() for key, value in part.state_dict().items()}


def loaded(pipeline: Any, path: Path) -> Any:
    """A copy of the pipeline after diffusers has loaded the file, which it does without an error."""
    alone = copy.deepcopy(pipeline)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone.load_lora_weights(str(path))
    return alone


def adapted(model: Any) -> Mapping[str, Any]:
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, BaseTunerLayer)}


def rewrite(path: Path, change: Any) -> None:
    tensors = {key: tensor.clone() for key, tensor in load_file(path).items()}
    change(tensors)
    save_file(tensors, path, {"ss_network_module": "networks.lora"})


def test_scales_that_differ_from_module_to_module(sd15: Any, path: Path) -> None:
    expected = mixed_ranks(sd15, path)
    theirs = diffusers_error(sd15, path, expected)
    assert isinstance(theirs, float) and theirs > 0.5
    assert our_error(sd15, path, expected) < BOUND


def test_another_alpha_of_convolutions_is_loaded_right(sd15: Any, path: Path) -> None:
    """Of linear layers alone it is not, so `rules/file/mixed-scales.yaml` asks for those."""
    tensors, expected = {}, {}
    generator = torch.Generator().manual_seed(3)
    layers = dict.fromkeys(linear_layers(sd15.unet), (4, 2.0)) | dict.fromkeys(convolutions(sd15.unet), (2, 0.5))
    for name, (rank, alpha) in layers.items():
        weight, flat = sd15.unet.get_submodule(name).weight.detach(), f"lora_unet_{name.replace('.', '_')}"
        down = 0.3 * torch.randn(rank, *weight.shape[1:], generator=generator)
        up = 0.3 * torch.randn(weight.shape[0], rank, *[1] * (weight.dim() - 2), generator=generator)
        tensors |= {f"{flat}.lora_down.weight": down, f"{flat}.lora_up.weight": up}
        tensors[f"{flat}.alpha"] = torch.tensor(alpha)
        change = (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
        expected[name] = weight + alpha / rank * change
    save_file(tensors, path, {"ss_network_module": "networks.lora"})
    theirs = diffusers_error(sd15, path, expected)
    assert isinstance(theirs, float) and theirs < BOUND
    assert our_error(sd15, path, expected) < BOUND


def test_a_file_whose_prefix_it_does_not_know(sd15: Any, path: Path) -> None:
    import peft

    expected = peft_saved(lambda names: peft.LoraConfig(r=RANK, lora_alpha=RANK, target_modules=names))(sd15, path)
    assert not adapted(loaded(sd15, path).unet)
    assert our_error(sd15, path, expected) < BOUND


def test_kohya_names_of_stable_diffusion_3(tmp_path: Path, path: Path) -> None:
    sd3 = tiny_sd3(tmp_path)
    expected = relaid(PLAIN, lambda _, name: f"lora_unet_{name.replace('.', '_')}", alpha=1.0)(sd3, path)
    assert not adapted(loaded(sd3, path).transformer)
    assert our_error(sd3, path, expected) < BOUND


def test_the_magnitudes_of_a_dora(sd15: Any, path: Path) -> None:
    expected = lycoris("lora", prefix="lora_unet", dora_wd=True)(sd15, path)
    theirs = diffusers_error(sd15, path, expected)
    assert isinstance(theirs, float) and theirs > 0.1
    assert our_error(sd15, path, expected) < BOUND


def test_half_of_a_module_that_is_missing(sd15: Any, path: Path) -> None:
    PLAIN(sd15, path)
    lost = next(key for key in load_file(path) if key.endswith("lora_B.weight"))
    rewrite(path, lambda tensors: tensors.pop(lost))
    layer = adapted(loaded(sd15, path).unet)[lost.removeprefix("unet.").removesuffix(".lora_B.weight")]
    assert not any(not parameter.is_meta and parameter.any() for parameter in layer.lora_B.parameters())
    with pytest.raises(InputRefused, match="has no up"):
        read_updates(sd15, read_lora(path))


def test_a_module_that_the_base_model_does_not_have(sd15: Any, path: Path) -> None:
    PLAIN(sd15, path)
    known = len(adapted(loaded(sd15, path).unet))

    def add(tensors: dict[str, torch.Tensor]) -> None:
        for half, shape in (("A", (RANK, 16)), ("B", (16, RANK))):
            tensors[f"unet.down_blocks.9.attentions.0.proj_in.lora_{half}.weight"] = torch.ones(shape)

    rewrite(path, add)
    assert len(adapted(loaded(sd15, path).unet)) == known
    with pytest.raises(InputRefused, match=r"1 of \d+ modules are not in the base model: .*down_blocks\.9"):
        read_updates(sd15, read_lora(path))


def test_numbers_that_are_none(sd15: Any, path: Path) -> None:
    PLAIN(sd15, path)
    key = next(key for key in load_file(path) if key.endswith("lora_B.weight"))
    rewrite(path, lambda tensors: tensors[key].fill_(float("nan")))
    layer = adapted(loaded(sd15, path).unet)[key.removeprefix("unet.").removesuffix(".lora_B.weight")]
    assert next(layer.lora_B.parameters()).isnan().all()
    with pytest.raises(InputRefused, match="NaN"):
        read_updates(sd15, read_lora(path))


def test_alphas_that_only_some_modules_have(sd15: Any, path: Path) -> None:
    expected = dict(relaid(PLAIN, lambda _, name: f"lora_unet_{name.replace('.', '_')}", alpha=1.0)(sd15, path))
    bare = sorted(expected)[0]
    rewrite(path, lambda tensors: tensors.pop(f"lora_unet_{bare.replace('.', '_')}.alpha"))
    pristine = denoiser(sd15).get_submodule(bare).weight.detach()
    # Without an alpha every loader of kohya's files takes the rank: a scale of 1 instead of alpha / rank = 1 / 4.
    expected[bare] = pristine + RANK * (expected[bare] - pristine)
    theirs = diffusers_error(sd15, path, expected)
    assert isinstance(theirs, float) and theirs > 0.5
    assert our_error(sd15, path, expected) < BOUND


def test_the_t5_encoder_of_flux(tmp_path: Path, path: Path) -> None:
    """Trained text encoders of FLUX are dropped with a line in the log; here they arrive."""
    flux = tiny_flux(tmp_path)
    name = "encoder.block.0.layer.0.SelfAttention.q"
    weight = flux.text_encoder_2.get_submodule(name).weight.detach().clone()
    down, up = torch.randn(RANK, weight.shape[1]), torch.randn(len(weight), RANK)
    flat = f"lora_te3_{name.replace('.', '_')}"
    alpha = torch.tensor(ALPHA)
    save_file({f"{flat}.lora_down.weight": down, f"{flat}.lora_up.weight": up, f"{flat}.alpha": alpha}, path)
    (update,) = read_updates(flux, read_lora(path))
    update.apply(1.0)
    torch.testing.assert_close(
        flux.text_encoder_2.get_submodule(name).weight.detach(), weight + ALPHA / RANK * up @ down
    )
    update.apply(0.0)


def test_a_refused_file_leaves_the_pipeline_as_it_was(tmp_path: Path, path: Path) -> None:
    """diffusers raises on a text encoder that does not fit, and keeps the adapters it had put in by then."""
    pipeline = tiny_xl_pipeline(tmp_path)
    PLAIN(pipeline, path)

    def add(tensors: dict[str, torch.Tensor]) -> None:
        stem = "text_encoder.text_model.encoder.layers.0.self_attn.q_proj"
        tensors |= {f"{stem}.lora_A.weight": torch.ones(RANK, 7), f"{stem}.lora_B.weight": torch.ones(7, RANK)}

    rewrite(path, add)
    before = weights(pipeline)
    alone = copy.deepcopy(pipeline)
    with warnings.catch_warnings(), pytest.raises(Exception, match=r"size|shape|mismatch"):
        warnings.simplefilter("ignore")
        alone.load_lora_weights(str(path))
    assert adapted(alone.unet)
    with pytest.raises(InputRefused, match="another shape"):
        read_updates(pipeline, read_lora(path))
    assert all(torch.equal(value, before[name]) for name, value in weights(pipeline).items())
    assert not adapted(pipeline.unet)


@pytest.mark.parametrize("name", ["half", "v1.5", "keys", "a b-c"])
def test_a_file_name_that_is_no_name_for_an_adapter(sd15: Any, tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.safetensors"
    expected = PLAIN(sd15, path)
    assert our_error(sd15, path, expected) < BOUND
