"""Pipelines of the transformer families (SD3, FLUX.1, Z-Image, Qwen-Image): the real classes, random and tiny."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.tiny_pipeline import tiny_pipeline, tiny_tokenizer

WIDTH = 32
"""Of every text encoder's states."""
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_t5_tokenizer() -> Any:
    """A T5 tokenizer of single characters, without a file."""
    from transformers import T5Tokenizer

    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -2.0)]
    return T5Tokenizer(vocab=[*vocabulary, *((chr(code), -3.0) for code in range(33, 127))], extra_ids=0)


def tiny_qwen_tokenizer() -> Any:
    """A Qwen tokenizer of single bytes with the chat marks."""
    from transformers import Qwen2Tokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = sorted(bytes_to_unicode().values())
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    tokenizer = Qwen2Tokenizer(vocab=vocabulary | {"<|endoftext|>": len(letters)}, merges=[])
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>"], special_tokens=True)
    tokenizer.chat_template = CHAT
    return tokenizer


def _clip(tokenizer: Any, *, projected: bool) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=2, projection_dim=WIDTH,
        num_attention_heads=4, max_position_embeddings=77, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)


def _t5(tokenizer: Any, width: int = WIDTH) -> Any:
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(vocab_size=len(tokenizer), d_model=width, d_kv=8, d_ff=64, num_layers=1, num_heads=4)
    )


def _vae(channels: int) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 16), norm_num_groups=4, latent_channels=channels, layers_per_block=1, sample_size=16,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        scaling_factor=1.5, shift_factor=0.1, use_quant_conv=False, use_post_quant_conv=False,
    )  # fmt: skip


def _flow(shift: float = 3.0, *, dynamic: bool = False) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(shift=shift, use_dynamic_shifting=dynamic)


def tiny_sd15(folder: Path) -> Any:
    """`tiny_pipeline` with what SD1.5 predicts (noise)."""
    return tiny_pipeline(folder, prediction="epsilon")


def tiny_sd3(folder: Path) -> Any:
    """StableDiffusion3Pipeline: CLIP-L, CLIP-G and T5, 4 latent channels, patches of 2."""
    import torch
    from diffusers import SD3Transformer2DModel, StableDiffusion3Pipeline

    tokenizer, t5_tokenizer = tiny_tokenizer(folder / "tokenizer-source"), tiny_t5_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        transformer = SD3Transformer2DModel(
            sample_size=8, patch_size=2, in_channels=4, out_channels=4, num_layers=2, attention_head_dim=8,
            num_attention_heads=4, joint_attention_dim=2 * WIDTH, caption_projection_dim=32,
            pooled_projection_dim=2 * WIDTH, pos_embed_max_size=8,
        )  # fmt: skip
        clips = [_clip(tokenizer, projected=True) for _ in range(2)]
        # SD3 pads the states of both CLIPs, side by side, up to T5's width.
        t5, vae = _t5(t5_tokenizer, 2 * WIDTH), _vae(4)
    return StableDiffusion3Pipeline(
        transformer=transformer, scheduler=_flow(), vae=vae, text_encoder=clips[0], tokenizer=tokenizer,
        text_encoder_2=clips[1], tokenizer_2=tokenizer, text_encoder_3=t5, tokenizer_3=t5_tokenizer,
    )  # fmt: skip


def tiny_flux(folder: Path, *, guidance_embeds: bool = True) -> Any:
    """FluxPipeline: CLIP and T5; with the guidance embedding it is like FLUX.1 dev, without it like schnell."""
    import torch
    from diffusers import FluxPipeline, FluxTransformer2DModel

    tokenizer, t5_tokenizer = tiny_tokenizer(folder / "tokenizer-source"), tiny_t5_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(4)
        transformer = FluxTransformer2DModel(
            in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=8, num_attention_heads=4,
            joint_attention_dim=WIDTH, pooled_projection_dim=WIDTH, guidance_embeds=guidance_embeds,
            axes_dims_rope=(2, 2, 4),
        )  # fmt: skip
        clip, t5, vae = _clip(tokenizer, projected=False), _t5(t5_tokenizer), _vae(4)
    return FluxPipeline(
        scheduler=_flow(dynamic=guidance_embeds), vae=vae, text_encoder=clip, tokenizer=tokenizer, text_encoder_2=t5,
        tokenizer_2=t5_tokenizer, transformer=transformer,
    )  # fmt: skip


def tiny_z_image(folder: Path) -> Any:
    """ZImagePipeline with a Qwen3 text encoder; `folder` is not needed."""
    import torch
    from diffusers import ZImagePipeline, ZImageTransformer2DModel
    from transformers import Qwen3Config, Qwen3Model

    tokenizer = tiny_qwen_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(5)
        transformer = ZImageTransformer2DModel(
            in_channels=4, dim=32, n_layers=2, n_refiner_layers=1, n_heads=4, n_kv_heads=4, cap_feat_dim=WIDTH,
            axes_dims=[4, 2, 2], axes_lens=[1024, 64, 64],
        )  # fmt: skip
        # Both padding tokens are created as zeros; real models train them.
        torch.nn.init.normal_(transformer.x_pad_token)
        torch.nn.init.normal_(transformer.cap_pad_token)
        config = Qwen3Config(
            vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=2, head_dim=8,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=1024,
        )  # fmt: skip
        text_encoder = Qwen3Model(config)
        vae = _vae(4)
    return ZImagePipeline(
        scheduler=_flow(), vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, transformer=transformer
    )


def tiny_qwen_image(folder: Path) -> Any:
    """QwenImagePipeline: Qwen2.5-VL as text encoder, the video VAE; `folder` is not needed."""
    import torch
    from diffusers import AutoencoderKLQwenImage, QwenImagePipeline, QwenImageTransformer2DModel
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    tokenizer = tiny_qwen_tokenizer()
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 2048}
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2]}, **heads,
        },
        vision_config={
            "depth": 1, "hidden_size": 16, "num_heads": 2, "intermediate_size": 16, "out_hidden_size": WIDTH,
            "fullatt_block_indexes": [0],
        },
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(6)
        text_encoder = Qwen2_5_VLForConditionalGeneration(config)
        transformer = QwenImageTransformer2DModel(
            in_channels=16, out_channels=4, num_layers=2, attention_head_dim=8, num_attention_heads=4,
            joint_attention_dim=WIDTH, axes_dims_rope=(2, 2, 4),
        )  # fmt: skip
        vae = AutoencoderKLQwenImage(
            base_dim=8, z_dim=4, dim_mult=[1, 2], num_res_blocks=1, temperal_downsample=[False],
            latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
        )  # fmt: skip
    return QwenImagePipeline(
        scheduler=_flow(dynamic=True), vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, transformer=transformer
    )


TRANSFORMERS: dict[str, Callable[[Path], Any]] = {
    "sd3": tiny_sd3,
    "flux": tiny_flux,
    "z-image": tiny_z_image,
    "qwen-image": tiny_qwen_image,
}
"""Family -> the function that makes a pipeline of it."""
_TO_K = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
ADAPTED = {
    **dict.fromkeys(("sd15", "sd2", "sdxl"), _TO_K),
    "sd3": "transformer.transformer_blocks.0.attn.to_v",
    "flux": "transformer.single_transformer_blocks.0.attn.to_v",
    "z-image": "transformer.layers.0.attention.to_v",
    "qwen-image": "transformer.transformer_blocks.0.attn.to_v",
}
"""Family -> a linear layer of its denoiser, for a LoRA to adapt."""
