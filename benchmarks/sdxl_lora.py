"""A LoRA of SDXL's real size, made of numbers that look trained: what speed is measured on.

`python -m benchmarks.sdxl_lora big.safetensors` writes 986 modules (722 of the UNet, 72 and 192 of the text encoders)
in kohya's names, rank 32, half precision: 218 MiB.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SEED = 20
METADATA = {
    "ss_network_module": "networks.lora", "ss_network_dim": "32", "ss_network_alpha": "16.0", "ss_epoch": "10",
    "ss_base_model_version": "sdxl_base_v1-0", "ss_learning_rate": "0.0001", "ss_steps": "2400",
    "ss_output_name": "big", "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
    "modelspec.prediction_type": "epsilon",
}  # fmt: skip


def sdxl_on_meta() -> tuple[Any, list[Any]]:
    """SDXL's UNet and its two text encoders at their real sizes, without memory for their weights."""
    import torch

    with torch.device("meta"):
        return sdxl_parts()


def sdxl_parts(vocabulary: int = 49408) -> tuple[Any, list[Any]]:
    """SDXL's UNet and its two text encoders at their real sizes, with random weights, on torch's current device."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    unet = UNet2DConditionModel(
        sample_size=128, block_out_channels=(320, 640, 1280), layers_per_block=2, cross_attention_dim=2048,
        transformer_layers_per_block=(1, 2, 10), attention_head_dim=(5, 10, 20), use_linear_projection=True,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        addition_embed_type="text_time", addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
    )  # fmt: skip
    small = CLIPTextConfig(
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, vocab_size=vocabulary
    )
    large = CLIPTextConfig(
        hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20, projection_dim=1280,
        vocab_size=vocabulary,
    )  # fmt: skip
    return unet, [CLIPTextModel(small), CLIPTextModelWithProjection(large)]


def layers(unet: Any, texts: Sequence[Any]) -> Iterator[tuple[str, int, int]]:
    """(kohya's name, outputs, inputs) of every module that kohya trains in a UNet and its text encoders."""
    import torch

    for name, layer in unet.named_modules():
        if isinstance(layer, torch.nn.Linear) and ".attentions." in name:
            yield f"lora_unet_{name.replace('.', '_')}", layer.out_features, layer.in_features
    for number, text in enumerate(texts, 1):
        for name, layer in text.named_modules():
            if isinstance(layer, torch.nn.Linear) and "layers" in name:
                flat = name.removeprefix("text_model.").replace(".", "_")
                yield f"lora_te{number}_text_model_{flat}", layer.out_features, layer.in_features


def write(path: Path, parts: tuple[Any, Sequence[Any]] | None = None, rank: int = 32, alpha: float = 16.0) -> Path:
    """Write the file, for SDXL unless `parts` (a UNet and text encoders) are given.

    Directions fall off by a power law, as those of trained files do.
    """
    from safetensors.numpy import save_file

    rng = np.random.default_rng(SEED)
    strength = (0.05 * np.arange(1, rank + 1) ** -0.8).astype(np.float32)
    tensors = {}
    for name, outputs, inputs in layers(*(parts or sdxl_on_meta())):
        down = rng.standard_normal((rank, inputs), dtype=np.float32) / inputs**0.5
        up = rng.standard_normal((outputs, rank), dtype=np.float32) * strength
        tensors[f"{name}.lora_down.weight"] = down.astype(np.float16)
        tensors[f"{name}.lora_up.weight"] = up.astype(np.float16)
        tensors[f"{name}.alpha"] = np.array(alpha, np.float16)
    save_file(tensors, path, metadata=METADATA)
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--rank", type=int, default=32)
    asked = parser.parse_args()
    print(f"{write(asked.path, rank=asked.rank).stat().st_size / 2**20:.1f} MiB in {asked.path}")
