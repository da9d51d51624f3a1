"""A Stable Diffusion pipeline of the real classes, random and tiny, for the tests of rendering and training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CHANNELS = (16, 32)
TEXT_WIDTH = 32
SIZE = 16
"""Pixels: the VAE halves it once, so that latents are 8 x 8."""


def tiny_tokenizer(folder: Path) -> Any:
    """A CLIP tokenizer of single letters (no merges), written to `folder` and read back."""
    from transformers import CLIPTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = sorted(bytes_to_unicode().values())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=77)


def tiny_pipeline(folder: Path, *, prediction: str = "v_prediction", clip_sample: bool = False) -> Any:
    """A pipeline of UNet (2 levels, cross-attention on the second), VAE, text encoder and DDIM; weights are seeded."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    tokenizer = tiny_tokenizer(folder / "tokenizer-source")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        unet = UNet2DConditionModel(
            sample_size=SIZE // 2, block_out_channels=CHANNELS, layers_per_block=1, norm_num_groups=8,
            cross_attention_dim=TEXT_WIDTH, attention_head_dim=8,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        )  # fmt: skip
        vae = AutoencoderKL(
            block_out_channels=(8, 16), norm_num_groups=4, latent_channels=4, layers_per_block=1, sample_size=SIZE,
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        )  # fmt: skip
        config = CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=TEXT_WIDTH, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=4, max_position_embeddings=77, bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        text_encoder = CLIPTextModel(config)
    scheduler = DDIMScheduler(
        prediction_type=prediction, rescale_betas_zero_snr=prediction == "v_prediction", clip_sample=clip_sample,
        timestep_spacing="trailing", steps_offset=1, beta_schedule="scaled_linear",
    )  # fmt: skip
    pipeline = StableDiffusionPipeline(
        vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, unet=unet, scheduler=scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def tiny_xl_pipeline(folder: Path, *, second_width: int = TEXT_WIDTH) -> Any:
    """The same for Stable Diffusion XL: two text encoders, the second with a projection, and size conditioning."""
    import torch
    from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextModelWithProjection

    small = tiny_pipeline(folder, prediction="epsilon")
    with torch.random.fork_rng():
        torch.manual_seed(2)
        unet = UNet2DConditionModel(
            sample_size=SIZE // 2, block_out_channels=CHANNELS, layers_per_block=2, norm_num_groups=8,
            cross_attention_dim=TEXT_WIDTH + second_width, attention_head_dim=8, transformer_layers_per_block=(1, 2),
            use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=TEXT_WIDTH + 6 * 8,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        )  # fmt: skip
        config = small.text_encoder.config.__class__(
            **small.text_encoder.config.to_dict()
            | {"projection_dim": TEXT_WIDTH, "hidden_act": "gelu", "hidden_size": second_width}
        )
        second = CLIPTextModelWithProjection(config)
    return StableDiffusionXLPipeline(
        vae=small.vae, text_encoder=small.text_encoder, text_encoder_2=second, tokenizer=small.tokenizer,
        tokenizer_2=small.tokenizer, unet=unet, scheduler=small.scheduler, add_watermarker=False,
    )  # fmt: skip


def tiny_folder(folder: Path, **options: Any) -> Path:
    """`tiny_pipeline` saved the way diffusers saves pipelines."""
    tiny_pipeline(folder.with_name(folder.name + "-parts"), **options).save_pretrained(folder, safe_serialization=True)
    return folder
