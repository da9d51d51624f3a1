"""What the reference trainer trains: the base model's parts, its LoRA layers, and the pictures as latents."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any

from lora_doctor.errors import InputRefused, UsageError, first_line
from lora_doctor.training_plan import TrainingPlan
from lora_doctor.types import DatasetImage

if TYPE_CHECKING:
    import torch

TARGETS: Mapping[str, tuple[str, ...]] = {
    "attention": ("to_q", "to_k", "to_v", "to_out.0"),
    "feed_forward": ("ff.net.0.proj", "ff.net.2"),
    "projection": ("proj_in", "proj_out"),
    "resnet": ("conv1", "conv2", "time_emb_proj"),
}
"""Groups of UNet layers, by the end of their names."""
DEFAULT_TARGETS = ("attention", "feed_forward", "projection", "resnet")
"""With the convolutions of the resnets, since levels without attention draw the details of a face: on the miniature's
`yuki` they raise identity over the ship weights from 0.51 to 0.74."""
TEXT_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
ENCODE_BATCH = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseModel:
    """The frozen parts of a StableDiffusionPipeline, in float32."""

    unet: Any
    text_encoder: Any
    tokenizer: Any
    vae: Any
    signal: torch.Tensor
    """(timesteps,) the signal's share of the variance (alphas_cumprod); 0 at the end with zero terminal SNR."""
    prediction: str
    """`epsilon` or `v_prediction`."""

    @property
    def vae_factor(self) -> int:
        """Pixels per latent, along one side."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def resolution(self) -> int:
        """Pixels of the pictures the model was made for, along one side."""
        return int(self.unet.config.sample_size) * self.vae_factor

    @property
    def grain(self) -> int:
        """Pixels that a picture's side must be a multiple of, to survive every halving."""
        return int(self.vae_factor * 2 ** (len(self.unet.config.block_out_channels) - 1))


def load_base(folder: Path) -> BaseModel:
    """The parts of the pipeline in `folder`, from safetensors alone; InputRefused for anything else."""
    import diffusers
    import torch
    import transformers

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        name = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputRefused("not a diffusers pipeline folder", path=folder) from error
    if name != "StableDiffusionPipeline":
        raise InputRefused(f"the reference trainer trains on a StableDiffusionPipeline, this is a {name}", path=folder)
    try:
        pipeline = diffusers.StableDiffusionPipeline.from_pretrained(  # type: ignore[no-untyped-call]
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True, trust_remote_code=False,
            safety_checker=None, feature_extractor=None, requires_safety_checker=False,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise InputRefused(f"the base model does not load: {first_line(error)}", path=folder) from error
    scheduler: Any = diffusers.DDPMScheduler
    noise = scheduler.from_config(pipeline.scheduler.config, clip_sample=False)
    if noise.config.prediction_type not in ("epsilon", "v_prediction"):
        raise InputRefused(f"cannot train a base model that predicts `{noise.config.prediction_type}`", path=folder)
    for part in (pipeline.unet, pipeline.text_encoder, pipeline.vae):
        part.requires_grad_(False).eval()
    return BaseModel(
        unet=pipeline.unet,
        text_encoder=pipeline.text_encoder,
        tokenizer=pipeline.tokenizer,
        vae=pipeline.vae,
        signal=noise.alphas_cumprod.float(),
        prediction=noise.config.prediction_type,
    )


def add_adapters(
    model: BaseModel, plan: TrainingPlan, targets: Sequence[str], device: str
) -> dict[str, torch.nn.Parameter]:
    """Put peft's LoRA layers into the model and move it to `device`; key in a LoRA file -> each trained parameter."""
    import torch
    from peft import LoraConfig, inject_adapter_in_model

    unknown = sorted(set(targets) - set(TARGETS))
    if unknown:
        raise UsageError(f"unknown group of layers `{unknown[0]}`", advice=f"Known: {', '.join(TARGETS)}.")
    layers = {"unet": [name for group in targets for name in TARGETS[group]]}
    if plan.train_text_encoder:
        layers["text_encoder"] = list(TEXT_TARGETS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        for component, names in layers.items():
            config = LoraConfig(r=plan.rank, lora_alpha=plan.alpha, target_modules=names)  # type: ignore[arg-type]
            inject_adapter_in_model(config, getattr(model, component))
    model.unet.to(device)
    model.text_encoder.to(device)
    for component in layers:
        _run_merged(getattr(model, component))
    return {
        _file_key(component, name): parameter
        for component in layers
        for name, parameter in getattr(model, component).named_parameters()
        if parameter.requires_grad
    }


def _run_merged(model: Any) -> None:
    """Let every LoRA layer compute with one merged weight, W + scale * B A, instead of three layers in turn.

    The same function to rounding. A step of the miniature is a seventh faster on a CPU, where small layers cost more to
    call than to compute.
    """
    import torch
    from peft.tuners.lora import LoraLayer

    def forward(layer: Any, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        base, down, up = layer.base_layer, layer.lora_A["default"].weight, layer.lora_B["default"].weight
        flat = torch.addmm(base.weight.flatten(1), up.flatten(1), down.flatten(1), alpha=layer.scaling["default"])
        weight = flat.view(base.weight.shape)
        if weight.dim() == 2:
            return torch.nn.functional.linear(x, weight, base.bias)
        return torch.nn.functional.conv2d(x, weight, base.bias, base.stride, base.padding, base.dilation, base.groups)

    for layer in model.modules():  # peft types its layers as mix-ins, without `forward`
        if isinstance(layer, LoraLayer):
            layer.forward = MethodType(forward, layer)  # type: ignore[attr-defined]


def _file_key(component: str, name: str) -> str:
    """diffusers' key for a peft parameter; LoRA files keep the `text_model` level that transformers 5.6 dropped."""
    if component == "text_encoder" and not name.startswith("text_model."):
        name = f"text_model.{name}"
    return f"{component}.{name.replace('.default.', '.')}"


def encode_pictures(
    images: Sequence[DatasetImage], vae: Any, resolution: int, device: str, *, mirrored: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each picture's latents, (pictures, channels, height, width), scaled for the UNet.

    Pictures are square (shorter side scaled to `resolution`, centre cropped), and turned left to right if `mirrored`.
    Raises InputRefused for a picture that cannot be read.
    """
    import torch

    vae.to(device)
    means, deviations = [], []
    with torch.no_grad():
        for start in range(0, len(images), ENCODE_BATCH):
            pixels = torch.stack([_pixels(image.path, resolution) for image in images[start : start + ENCODE_BATCH]])
            pixels = pixels.flip(3) if mirrored else pixels
            posterior = vae.encode(pixels.to(device)).latent_dist
            means.append(posterior.mean * vae.config.scaling_factor)
            deviations.append(posterior.std * vae.config.scaling_factor)
    vae.to("cpu")
    return torch.cat(means), torch.cat(deviations)


def _pixels(path: Path, resolution: int) -> torch.Tensor:
    """(3, resolution, resolution) float32 in -1..1."""
    import numpy as np
    import torch
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            square = ImageOps.fit(picture.convert("RGB"), (resolution, resolution), Image.Resampling.LANCZOS)
    except OSError as error:
        raise InputRefused(f"the picture cannot be read: {error}", path=path) from error
    return torch.from_numpy(np.asarray(square, dtype=np.float32).transpose(2, 0, 1) / 127.5 - 1)
