"""Every name that a LoRA file may use for a layer leads to the layer it means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lora_doctor.lora_places import ORIGINAL_NAMES, Place, component_of, places_in, stability_name
from tests.tiny_pipeline import tiny_pipeline, tiny_xl_pipeline
from tests.tiny_transformers import tiny_flux, tiny_sd3, tiny_z_image


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("models")
    made = (tiny_flux(folder / "flux"), tiny_sd3(folder / "sd3"), tiny_z_image(folder / "z"))
    return {type(pipeline.transformer).__name__: pipeline.transformer for pipeline in made}


@pytest.mark.parametrize("kind", ORIGINAL_NAMES)
def test_every_layer_is_found_by_both_spellings_of_its_own_name(kind: str, models: dict[str, Any]) -> None:
    places = places_in(models[kind])
    for name, layer in models[kind].named_modules():
        if isinstance(layer, torch.nn.Linear):
            assert places[name].layers == places[name.replace(".", "_")].layers == (layer,)


@pytest.mark.parametrize("kind", ORIGINAL_NAMES)
def test_every_name_of_the_authors_leads_to_a_layer_of_the_model(kind: str, models: dict[str, Any]) -> None:
    places = places_in(models[kind])
    asked = {name.format(0) for name in ORIGINAL_NAMES[kind]}
    missing = {name for name in asked if name not in places or name.replace(".", "_") not in places}
    assert missing <= {"joint_blocks.0.x_block.attn2.qkv", "joint_blocks.0.x_block.attn2.proj"}  # 3.5 medium alone


def test_query_key_and_value_stand_one_under_the_other(models: dict[str, Any]) -> None:
    model = models["FluxTransformer2DModel"]
    place = places_in(model)["double_blocks_0_img_attn_qkv"]
    attention = model.transformer_blocks[0].attn
    parts = [attention.to_q.weight, attention.to_k.weight, attention.to_v.weight]
    whole = place.gather(place.tensors("weight"))
    assert torch.equal(whole, torch.cat(parts))
    assert all(torch.equal(one, other) for one, other in zip(place.split(whole, tuple(parts)), parts, strict=True))


def test_scale_and_shift_of_the_last_layer_change_places_as_in_diffusers_converter() -> None:
    from diffusers.loaders.lora_conversion_utils import swap_scale_shift

    layer = torch.nn.Linear(3, 8)
    place = Place((layer,), swapped=True)
    authors = place.gather((layer.weight,))
    assert torch.equal(swap_scale_shift(authors), layer.weight)
    (back,) = place.split(authors, (layer.weight,))
    assert torch.equal(back, layer.weight)


def test_the_text_of_sd3_s_last_block_is_swapped_and_the_others_are_not(models: dict[str, Any]) -> None:
    places = places_in(models["SD3Transformer2DModel"])
    name = "joint_blocks.{}.context_block.adaLN_modulation.1"
    assert (places[name.format(0)].swapped, places[name.format(1)].swapped) == (False, True)


def test_the_third_text_encoder_of_kohya_is_t5_wherever_it_stands(tmp_path: Path) -> None:
    flux, sd3 = tiny_flux(tmp_path / "flux"), tiny_sd3(tmp_path / "sd3")
    assert component_of(flux, "text_encoder_3") is flux.text_encoder_2
    assert component_of(sd3, "text_encoder_3") is sd3.text_encoder_3
    assert component_of(tiny_xl_pipeline(tmp_path), "text_encoder_3") is None


def test_text_encoders_are_found_with_and_without_text_model(tmp_path: Path) -> None:
    places = places_in(tiny_pipeline(tmp_path).text_encoder)
    name = "encoder.layers.0.self_attn.q_proj"
    assert places[name] == places[f"text_model.{name}"] == places[f"text_model_{name.replace('.', '_')}"]


def test_what_is_no_model_has_no_places() -> None:
    assert places_in(None) == {}


def test_stability_names_are_those_diffusers_reads(tmp_path: Path) -> None:
    """diffusers' own converter turns each name back into the one it was made from."""
    from diffusers.loaders.lora_conversion_utils import (
        _convert_non_diffusers_lora_to_diffusers,
        _maybe_map_sgm_blocks_to_diffusers,
    )
    from diffusers.utils import convert_unet_state_dict_to_peft

    unet = tiny_xl_pipeline(tmp_path).unet
    names = [name for name, module in unet.named_modules() if isinstance(module, torch.nn.Linear)]
    blocks = [name for name in names if name.startswith(("down_blocks", "mid_block", "up_blocks"))]
    assert len(blocks) > 80
    keys = {f"lora_unet_{stability_name(name).replace('.', '_')}.lora_down.weight": torch.zeros(1) for name in blocks}
    keys |= {key.replace("lora_down", "lora_up"): value for key, value in keys.items()}
    converted, _ = _convert_non_diffusers_lora_to_diffusers(_maybe_map_sgm_blocks_to_diffusers(keys, unet.config))
    back = convert_unet_state_dict_to_peft({key.removeprefix("unet."): value for key, value in converted.items()})
    assert {key.removesuffix(".lora_A.weight") for key in back if ".lora_A." in key} == set(blocks)
