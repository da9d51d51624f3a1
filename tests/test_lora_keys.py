"""Keys of every layout are told apart; families are told by widths."""

from __future__ import annotations

import pytest

from lora_doctor.lora_keys import family_of, parse_key

TO_K = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
FLAT = TO_K.replace(".", "_")
TEXT = "text_model.encoder.layers.0.self_attn.q_proj"


@pytest.mark.parametrize(
    ("key", "component", "name", "layout", "part"),
    [
        (f"lora_unet_{FLAT}.lora_down.weight", "unet", FLAT, "kohya", "down"),
        (f"lora_unet_{FLAT}.alpha", "unet", FLAT, "kohya", "alpha"),
        ("lora_te_text_model_x.lora_up.weight", "text_encoder", "text_model_x", "kohya", "up"),
        ("lora_te1_text_model_x.lora_up.weight", "text_encoder", "text_model_x", "kohya", "up"),
        ("lora_te2_text_model_x.lora_up.weight", "text_encoder_2", "text_model_x", "kohya", "up"),
        ("lora_unet_input_blocks_4_1_x.lora_up.weight", "unet", "input_blocks_4_1_x", "kohya", "up"),
        ("lora_unet_double_blocks_0_x.lora_up.weight", "transformer", "double_blocks_0_x", "kohya", "up"),
        (f"unet.{TO_K}.lora_A.weight", "unet", TO_K, "diffusers", "down"),
        (f"unet.{TO_K}.lora.down.weight", "unet", TO_K, "diffusers", "down"),
        (f"unet.{TO_K}.lora_A.default.weight", "unet", TO_K, "diffusers", "down"),
        (f"unet.{TO_K.replace('to_k', 'processor.to_k_lora')}.up.weight", "unet", TO_K, "diffusers", "up"),
        ("unet.mid.attn1.processor.to_out_lora.up.weight", "unet", "mid.attn1.to_out.0", "diffusers", "up"),
        (f"text_encoder.{TEXT}.lora_linear_layer.up.weight", "text_encoder", TEXT, "diffusers", "up"),
        ("text_encoder.x.self_attn.to_out_lora.up.weight", "text_encoder", "x.self_attn.out_proj", "diffusers", "up"),
        ("transformer.transformer_blocks.0.attn.to_q.lora_B.weight", "transformer", "transformer_blocks.0.attn.to_q",
         "diffusers", "up"),
        (f"base_model.model.unet.{TO_K}.lora_B.weight", "unet", TO_K, "peft", "up"),
        (f"base_model.model.{TO_K}.lora_B.weight", "unet", TO_K, "peft", "up"),
        (f"base_model.model.{TEXT}.lora_B.weight", "text_encoder", TEXT, "peft", "up"),
        ("encoder.layers.0.mlp.fc1.lora_B.weight", "text_encoder", "encoder.layers.0.mlp.fc1", "peft", "up"),
    ],
)  # fmt: skip
def test_a_key_says_component_module_layout_and_part(
    key: str, component: str, name: str, layout: str, part: str
) -> None:
    found = parse_key(key)
    assert found is not None
    assert (found.component, found.name, found.layout, found.part) == (component, name, layout, part)
    assert found.kind is None


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        ("hada_w1_a", "loha"), ("hada_t2", "loha"), ("lokr_w1", "lokr"), ("lokr_w2_b", "lokr"), ("dora_scale", "dora"),
        ("lora_magnitude_vector", "dora"), ("lora_magnitude_vector.weight", "dora"), ("lora_mid.weight", "tucker"),
        ("oft_blocks", "oft"), ("oft_R.weight", "oft"), ("diff", "full"), ("diff_b", "full"), ("w_norm", "norm"),
        ("lora_B.bias", "biased"), ("a1.weight", "glora"), ("on_input", "ia3"),
    ],
)  # fmt: skip
def test_other_kinds_of_adapters_are_recognised(suffix: str, kind: str) -> None:
    found = parse_key(f"unet.mid_block.{suffix}")
    assert found is not None
    assert found.kind == kind
    assert found.name == "mid_block"


@pytest.mark.parametrize(
    "key",
    ["model.diffusion_model.out.2.weight", "alpha", ".lora_down.weight", "lora_unet_.alpha", "emb_params", "x.bias"],
)
def test_other_keys_are_nobody_s(key: str) -> None:
    assert parse_key(key) is None


@pytest.mark.parametrize(
    ("component", "name", "widths", "family"),
    [
        ("unet", TO_K, (768, 320), "sd15"), ("unet", FLAT, (768, 320), "sd15"), ("unet", TO_K, (1024, 320), "sd2"),
        ("unet", "input_blocks_4_1_transformer_blocks_0_attn2_to_v", (2048, 640), "sdxl"),
        ("unet", TO_K, (128, 96), "miniature"), ("unet", TO_K, (128, 128), "miniature"),
        ("unet", TO_K, (128, 320), "unknown"), ("unet", TO_K, (4096, 320), "unknown"),
        ("unet", "x.transformer_blocks.4.attn1.to_q", (640, 640), "sdxl"),
        ("unet", "x.transformer_blocks.0.attn1.to_q", (640, 640), "unknown"),
        ("text_encoder_2", TEXT, (1280, 1280), "sdxl"), ("text_encoder", TEXT, (768, 768), "unknown"),
        ("transformer", "double_blocks_0_img_attn_qkv", (3072, 9216), "flux"),
        ("transformer", "single_transformer_blocks.3.proj_mlp", (3072, 12288), "flux"),
        ("transformer", "double_blocks_0_img_mlp_fc1", (3072, 12288), "unknown"),
        ("transformer", "joint_blocks_0_x_block_attn_qkv", (1536, 4608), "unknown"),
    ],
)  # fmt: skip
def test_widths_and_names_tell_the_family(component: str, name: str, widths: tuple[int, int], family: str) -> None:
    assert family_of({(component, name): widths}) == family


def test_cross_attention_of_two_widths_is_no_family() -> None:
    assert family_of({("unet", TO_K): (768, 320), ("unet", TO_K.replace("0", "1")): (2048, 640)}) == "unknown"
