"""A tiny pipeline as one checkpoint in Stability's own naming, written from its parts' weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

_RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection",
}  # fmt: skip
_UNET_ENDS = {
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
}  # fmt: skip
_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def _renamed(name: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        name = re.sub(rf"^{re.escape(old)}(?=\.)", new, name)
    return name


def unet_name(name: str, layers: int) -> str:
    """A diffusers UNet tensor in Stability's numbering, with `layers` resnets in a block on the way down."""
    side, _, rest = name.partition(".")
    if side == "mid_block":
        kind, number, tail = re.match(r"(\w+)\.(\d+)\.(.*)", rest).groups()  # type: ignore[union-attr]
        if kind == "resnets":
            return f"middle_block.{2 * int(number)}.{_renamed(tail, _RESNET)}"
        return f"middle_block.1.{tail}"
    if side not in ("down_blocks", "up_blocks"):
        return _renamed(name, _UNET_ENDS)
    level, kind, number, tail = re.match(r"(\d+)\.(\w+)\.(\d+)\.(.*)", rest).groups()  # type: ignore[union-attr]
    tail = _renamed(tail, _RESNET) if kind == "resnets" else tail
    slot = int(kind == "attentions")
    if side == "down_blocks":
        base = (layers + 1) * int(level) + 1
        if kind == "downsamplers":
            return f"input_blocks.{base + layers}.0.op.{tail.removeprefix('conv.')}"
        return f"input_blocks.{base + int(number)}.{slot}.{tail}"
    base = (layers + 1) * int(level)
    if kind == "upsamplers":
        return f"output_blocks.{base + layers}.{1 if level == '1' else 2}.{tail}"
    return f"output_blocks.{base + int(number)}.{slot}.{tail}"


def vae_name(name: str, levels: int) -> str:
    """A diffusers VAE tensor in Stability's naming."""
    side, _, rest = name.partition(".")
    if side not in ("encoder", "decoder"):
        return name
    rest = re.sub(r"^conv_norm_out", "norm_out", rest)
    rest = re.sub(r"^mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", rest)
    if rest.startswith("mid_block.attentions.0."):
        rest = f"mid.attn_1.{_renamed(rest.removeprefix('mid_block.attentions.0.'), _ATTENTION)}"
    rest = re.sub(r"^down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", rest)
    rest = re.sub(r"^down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", rest)
    rest = re.sub(r"^up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{levels - 1 - int(m[1])}.block.{m[2]}", rest)
    rest = re.sub(r"^up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m[1])}.upsample", rest)
    return f"{side}.{rest.replace('conv_shortcut', 'nin_shortcut')}"


def _unsquared(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """The VAE's attention was made of 1 x 1 convolutions."""
    is_matrix = "attn_1" in name and name.endswith("weight") and tensor.ndim == 2
    return tensor[:, :, None, None] if is_matrix else tensor


def open_clip_names(encoder: Any) -> dict[str, torch.Tensor]:
    """A CLIP text encoder's tensors in open_clip's naming: query, key and value are one matrix there."""
    state = {name.removeprefix("text_model."): tensor for name, tensor in encoder.state_dict().items()}
    laid = {}
    for name, tensor in state.items():
        if name == "text_projection.weight":
            laid["text_projection"] = tensor.T
        elif ".q_proj." in name:
            block, kind = name.split(".self_attn.q_proj.")
            parts = [state[f"{block}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            laid[f"{_renamed(block + '.', _OPEN_CLIP)}attn.in_proj_{kind}"] = torch.cat(parts)
        elif not re.search(r"\.[kv]_proj\.", name) and not name.endswith("position_ids"):
            laid[_open_clip_name(name)] = tensor
    return laid


_OPEN_CLIP = {"encoder.layers": "transformer.resblocks"}
_OPEN_CLIP_ENDS = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight", "final_layer_norm.bias": "ln_final.bias",
}  # fmt: skip
_OPEN_CLIP_PARTS = {
    "self_attn.out_proj": "attn.out_proj", "layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}  # fmt: skip


def _open_clip_name(name: str) -> str:
    if name in _OPEN_CLIP_ENDS:
        return _OPEN_CLIP_ENDS[name]
    for old, new in _OPEN_CLIP_PARTS.items():
        name = name.replace(old, new)
    return _renamed(name, _OPEN_CLIP)


def write_checkpoint(pipeline: Any, path: Path, **extra: torch.Tensor) -> Path:
    """A Stable Diffusion 1 or XL pipeline's weights in one .safetensors file."""
    layers, levels = pipeline.unet.config.layers_per_block, len(pipeline.vae.config.block_out_channels)
    tensors = dict(extra)
    for name, tensor in pipeline.unet.state_dict().items():
        tensors[f"model.diffusion_model.{unet_name(name, layers)}"] = tensor
    for name, tensor in pipeline.vae.state_dict().items():
        new = vae_name(name, levels)
        tensors[f"first_stage_model.{new}"] = _unsquared(new, tensor)
    second = getattr(pipeline, "text_encoder_2", None)
    first = "cond_stage_model" if second is None else "conditioner.embedders.0"
    for name, tensor in pipeline.text_encoder.state_dict().items():
        stem = name if name.startswith("text_model.") else f"text_model.{name}"
        tensors[f"{first}.transformer.{stem}"] = tensor
    if second is not None:
        tensors |= {f"conditioner.embedders.1.model.{name}": tensor for name, tensor in open_clip_names(second).items()}
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, path)
    return path
