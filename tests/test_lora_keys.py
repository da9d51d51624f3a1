"""Keys of every layout and kind say component, module and part."""

from __future__ import annotations

import pytest

from lora_doctor.lora_keys import parse_key, parse_keys

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
        (f"base_model.model.{TO_K}.oft_R.weight", "unet", TO_K, "peft", "oft_R.peft"),
        (f"base_model.model.{TO_K}.lora_magnitude_vector.default.weight", "unet", TO_K, "peft",
         "lora_magnitude_vector"),
        ("diffusion_model.layers.3.attention.to_q.lora_A.weight", "transformer", "layers.3.attention.to_q", "comfyui",
         "down"),
        ("diffusion_model.input_blocks.4.1.proj_in.lora_up.weight", "unet", "input_blocks.4.1.proj_in", "comfyui",
         "up"),
        ("diffusion_model.double_blocks.0.img_attn.qkv.diff_b", "transformer", "double_blocks.0.img_attn.qkv",
         "comfyui", "diff_b"),
        ("text_encoders.clip_l.transformer.text_model.x.lora_up.weight", "text_encoder", "text_model.x", "comfyui",
         "up"),
        ("text_encoders.t5xxl.transformer.encoder.block.0.x.alpha", "text_encoder_3", "encoder.block.0.x", "comfyui",
         "alpha"),
        ("double_blocks.7.processor.qkv_lora1.down.weight", "transformer", "double_blocks.7.img_attn.qkv", "xlabs",
         "down"),
        ("double_blocks.7.processor.proj_lora2.up.weight", "transformer", "double_blocks.7.txt_attn.proj", "xlabs",
         "up"),
        ("single_blocks.7.processor.qkv_lora.up.weight", "transformer", "single_blocks.7.qkv", "xlabs", "up"),
        ("lora_transformer_single_transformer_blocks_0_proj_out.alpha", "transformer",
         "single_transformer_blocks_0_proj_out", "kohya", "alpha"),
        ("lora_te3_encoder_block_0_layer_0_SelfAttention_q.alpha", "text_encoder_3",
         "encoder_block_0_layer_0_SelfAttention_q", "kohya", "alpha"),
        (f"lycoris_{FLAT}.lokr_w1", "unet", FLAT, "kohya", "lokr_w1"),
        ("lycoris_transformer_blocks_0_attn_to_q.lokr_w1", "transformer", "transformer_blocks_0_attn_to_q", "kohya",
         "lokr_w1"),
        (f"oft_unet_{FLAT}.oft_blocks", "unet", FLAT, "kohya", "oft_blocks"),
        ("oft_unet_double_blocks_0_img_attn_qkv.oft_blocks.2", "transformer", "double_blocks_0_img_attn_qkv", "kohya",
         "oft_blocks.2"),
        ("lora_prior_unet_down_blocks_0_x.alpha", "prior", "down_blocks_0_x", "kohya", "alpha"),
        ("encoder.layers.0.mlp.fc1.lora_B.weight", "text_encoder", "encoder.layers.0.mlp.fc1", "peft", "up"),
    ],
)  # fmt: skip
def test_a_key_says_component_module_layout_and_part(
    key: str, component: str, name: str, layout: str, part: str
) -> None:
    found = parse_key(key)
    assert found is not None
    assert (found.component, found.name, found.layout, found.part) == (component, name, layout, part)


@pytest.mark.parametrize(
    ("suffix", "part"),
    [
        ("hada_w1_a", "hada_w1_a"), ("hada_t2", "hada_t2"), ("lokr_w2_b", "lokr_w2_b"), ("lokr_w1.default", "lokr_w1"),
        ("dora_scale", "dora_scale"), ("lora_magnitude_vector", "lora_magnitude_vector"),
        ("magnitude", "magnitude"), ("lora_mid.weight", "mid"),
        ("oft_R.weight", "oft_R"), ("oft_R.default.weight", "oft_R.peft"), ("oft_R.scaled_oft", "oft_R.scaled_oft"),
        ("rescale", "rescale"), ("diff", "diff"), ("diff_b", "diff_b"), ("w_norm", "w_norm"), ("lora_B.bias", "bias"),
        ("a1.weight", "a1"), ("bm.weight", "bm"), ("on_input", "on_input"), ("ia3_l", "ia3_l"),
    ],
)  # fmt: skip
def test_the_parts_of_other_kinds_are_told_apart(suffix: str, part: str) -> None:
    found = parse_key(f"unet.mid_block.{suffix}")
    assert found is not None
    assert (found.part, found.name) == (part, "mid_block")


def test_a_plain_weight_is_an_adapter_s_only_beside_on_input() -> None:
    alone = parse_keys(["lora_unet_x.weight", "lora_unet_y.weight", "lora_unet_y.on_input"])
    assert {key: found.part for key, found in alone.items()} == {
        "lora_unet_y.weight": "weight", "lora_unet_y.on_input": "on_input"
    }  # fmt: skip


@pytest.mark.parametrize(
    "key",
    ["model.diffusion_model.out.2.weight", "alpha", ".lora_down.weight", "lora_unet_.alpha", "emb_params", "x.bias"],
)
def test_other_keys_are_nobody_s(key: str) -> None:
    assert parse_key(key) is None
