"""Where in a pipeline the modules of a LoRA file belong, under every name a file may use for a layer.

A file may name layers as diffusers does, flattened by kohya, as the model's own authors did (Stability's UNet blocks,
Black Forest Labs' and Stability's transformers, with query, key and value in one matrix), or as transformers did before
5.6. One file's module may therefore be several of the pipeline's layers, one under the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

RESNET_NAMES = {
    "conv1": "in_layers.2", "conv2": "out_layers.3", "time_emb_proj": "emb_layers.1", "norm1": "in_layers.0",
    "norm2": "out_layers.0", "conv_shortcut": "skip_connection",
}  # fmt: skip
STABILITY_NAMES = {
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
}  # fmt: skip
SWAPPED = "swapped:"
"""Marks a layer whose two halves, scale and shift, diffusers keeps in the other order."""


def _streams(first: str, second: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """A joint block of FLUX or Stable Diffusion 3 in diffusers: picture stream, then text stream."""
    return (
        (first, ("attn.to_q", "attn.to_k", "attn.to_v")),
        (second, ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")),
    )


def _within(block: str, own: str, names: tuple[tuple[str, tuple[str, ...]], ...]) -> dict[str, tuple[str, ...]]:
    return {f"{block}.{{}}.{name}": tuple(f"{own}.{{}}.{each}" for each in parts) for name, parts in names}


_FLUX: Mapping[str, tuple[str, ...]] = {
    **_within("double_blocks", "transformer_blocks", (
        *_streams("img_attn.qkv", "txt_attn.qkv"),
        ("img_attn.proj", ("attn.to_out.0",)), ("txt_attn.proj", ("attn.to_add_out",)),
        ("img_mlp.0", ("ff.net.0.proj",)), ("img_mlp.2", ("ff.net.2",)),
        ("txt_mlp.0", ("ff_context.net.0.proj",)), ("txt_mlp.2", ("ff_context.net.2",)),
        ("img_mod.lin", ("norm1.linear",)), ("txt_mod.lin", ("norm1_context.linear",)),
    )),
    **_within("single_blocks", "single_transformer_blocks", (
        ("linear1", ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")), ("linear2", ("proj_out",)),
        ("qkv", ("attn.to_q", "attn.to_k", "attn.to_v")), ("modulation.lin", ("norm.linear",)),
    )),
    "img_in": ("x_embedder",), "txt_in": ("context_embedder",),
    "time_in.in_layer": ("time_text_embed.timestep_embedder.linear_1",),
    "time_in.out_layer": ("time_text_embed.timestep_embedder.linear_2",),
    "vector_in.in_layer": ("time_text_embed.text_embedder.linear_1",),
    "vector_in.out_layer": ("time_text_embed.text_embedder.linear_2",),
    "guidance_in.in_layer": ("time_text_embed.guidance_embedder.linear_1",),
    "guidance_in.out_layer": ("time_text_embed.guidance_embedder.linear_2",),
    "final_layer.linear": ("proj_out",), "final_layer.adaLN_modulation.1": (f"{SWAPPED}norm_out.linear",),
}  # fmt: skip
_SD3: Mapping[str, tuple[str, ...]] = {
    **_within("joint_blocks", "transformer_blocks", (
        *_streams("x_block.attn.qkv", "context_block.attn.qkv"),
        ("x_block.attn2.qkv", ("attn2.to_q", "attn2.to_k", "attn2.to_v")),
        ("x_block.attn.proj", ("attn.to_out.0",)), ("x_block.attn2.proj", ("attn2.to_out.0",)),
        ("context_block.attn.proj", ("attn.to_add_out",)),
        ("x_block.mlp.fc1", ("ff.net.0.proj",)), ("x_block.mlp.fc2", ("ff.net.2",)),
        ("context_block.mlp.fc1", ("ff_context.net.0.proj",)), ("context_block.mlp.fc2", ("ff_context.net.2",)),
        ("x_block.adaLN_modulation.1", ("norm1.linear",)),
        ("context_block.adaLN_modulation.1", ("norm1_context.linear",)),
    )),
    "x_embedder.proj": ("pos_embed.proj",),
    "t_embedder.mlp.0": ("time_text_embed.timestep_embedder.linear_1",),
    "t_embedder.mlp.2": ("time_text_embed.timestep_embedder.linear_2",),
    "y_embedder.mlp.0": ("time_text_embed.text_embedder.linear_1",),
    "y_embedder.mlp.2": ("time_text_embed.text_embedder.linear_2",),
    "final_layer.linear": ("proj_out",), "final_layer.adaLN_modulation.1": (f"{SWAPPED}norm_out.linear",),
}  # fmt: skip
_Z_IMAGE: Mapping[str, tuple[str, ...]] = {
    name: parts
    for block in ("layers", "noise_refiner", "context_refiner")
    for name, parts in _within(block, block, (
        ("attention.qkv", ("attention.to_q", "attention.to_k", "attention.to_v")),
        ("attention.out", ("attention.to_out.0",)),
    )).items()
}  # fmt: skip
ORIGINAL_NAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "FluxTransformer2DModel": _FLUX, "SD3Transformer2DModel": _SD3, "ZImageTransformer2DModel": _Z_IMAGE,
}  # fmt: skip
"""Class of diffusers -> the authors' name of a layer -> diffusers' layers that it is made of, `{}` = a block's number.

Sources: diffusers' `scripts/convert_flux_to_diffusers.py`, `convert_sd3_to_diffusers.py` and
`loaders/lora_conversion_utils.py`.
"""


@dataclass(frozen=True, slots=True)
class Place:
    """One weight as a LoRA file sees it: one or several of the pipeline's layers, their outputs one under the other."""

    layers: tuple[torch.nn.Module, ...]
    swapped: bool = False
    """The two halves of the outputs stand in the other order in the pipeline."""

    def tensors(self, name: str) -> tuple[torch.Tensor, ...]:
        """The layers' own `weight` or `bias`; empty when one of them has none."""
        found = tuple(getattr(layer, name, None) for layer in self.layers)
        return () if any(each is None for each in found) else found  # type: ignore[return-value]

    def gather(self, tensors: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """The tensors as the file sees them: one, float32."""
        import torch

        whole = torch.cat([each.detach().float() for each in tensors]) if len(tensors) > 1 else tensors[0].float()
        return torch.cat(whole.chunk(2)[::-1]) if self.swapped else whole

    def split(self, whole: torch.Tensor, like: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """The inverse of `gather`."""
        import torch

        whole = torch.cat(whole.chunk(2)[::-1]) if self.swapped else whole
        pieces: tuple[torch.Tensor, ...] = torch.split(whole, [len(each) for each in like])
        return pieces


def component_of(pipeline: Any, name: str) -> Any:
    """The pipeline's part that a file's component means, or None; kohya counts FLUX's T5 as the third text encoder."""
    if name == "text_encoder_3" and getattr(pipeline, "text_encoder_3", None) is None:
        second = getattr(pipeline, "text_encoder_2", None)
        return second if type(second).__name__.startswith("T5") else None
    return getattr(pipeline, name, None)


def places_in(component: Any) -> Mapping[str, Place]:
    """Every name a LoRA file may use -> place: dotted, and flattened as kohya writes them."""
    import torch

    names: dict[str, Place] = {}
    if not isinstance(component, torch.nn.Module):
        return names
    layers = {name: layer for name, layer in component.named_modules() if _has_weight(layer)}
    for name, layer in layers.items():
        for alias in _aliases(name):
            _add(names, alias, Place((layer,)))
    for alias, place in _original_places(type(component).__name__, layers):
        _add(names, alias, place)
    return names


def _add(names: dict[str, Place], alias: str, place: Place) -> None:
    names.setdefault(alias, place)
    names.setdefault(alias.replace(".", "_"), place)


def _has_weight(layer: Any) -> bool:
    import torch

    return isinstance(getattr(layer, "weight", None), torch.nn.Parameter) and not isinstance(layer, torch.nn.Embedding)


def _aliases(name: str) -> Iterator[str]:
    """transformers 5.6 dropped the `text_model` level from CLIPTextModel, LoRA files did not; both spellings count."""
    yield name
    yield stability_name(name)
    if name.startswith(("encoder.layers.", "final_layer_norm")):
        yield f"text_model.{name}"
    elif name.startswith("text_model."):
        yield name.removeprefix("text_model.")


def _original_places(kind: str, layers: Mapping[str, Any]) -> Iterator[tuple[str, Place]]:
    """The authors' names for the layers of a transformer, as far as its blocks reach."""
    for name, parts in ORIGINAL_NAMES.get(kind, {}).items():
        for number in range(len(layers) if "{}" in name else 1):
            wanted = [part.removeprefix(SWAPPED).format(number) for part in parts]
            if not all(part in layers for part in wanted):
                if any(f".{number}." in part or part.startswith(f"{number}.") for part in layers):
                    continue
                break
            found = tuple(layers[part] for part in wanted)
            # The last block of Stable Diffusion 3 has scale and shift alone for its text, in diffusers' order.
            last = wanted[0].endswith("norm1_context.linear") and len(found[0].weight) == 2 * found[0].weight.shape[1]
            yield name.format(number), Place(found, swapped=parts[0].startswith(SWAPPED) or last)


def stability_name(name: str) -> str:
    """A diffusers SDXL UNet module name in the naming of Stability's own code, with three blocks a level.

    Source: the UNet conversion map in kohya's `library/sdxl_model_util.py`.
    """
    if name in STABILITY_NAMES:
        return STABILITY_NAMES[name]
    side, *parts = name.split(".")
    if side == "mid_block":
        parts = ["0", *parts]
    if side not in ("down_blocks", "mid_block", "up_blocks") or len(parts) < 4:
        return name
    level, kind, number, *tail = int(parts[0]), parts[1], int(parts[2]), *parts[3:]
    tail = [RESNET_NAMES.get(tail[0], tail[0]) if kind == "resnets" else tail[0], *tail[1:]]
    slot = int(kind == "attentions")
    if kind == "downsamplers":
        head, tail = f"input_blocks.{3 * level + 3}.0.op", []
    elif kind == "upsamplers":
        head = f"output_blocks.{3 * level + 2}.2"
    elif side == "mid_block":
        head = f"middle_block.{1 if slot else 2 * number}"
    elif side == "down_blocks":
        head = f"input_blocks.{3 * level + number + 1}.{slot}"
    else:
        head = f"output_blocks.{3 * level + number}.{slot}"
    return ".".join([head, *tail])
