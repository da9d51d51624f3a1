"""What the base model's own encoder and decoder make of a picture: the most a render could keep of it.

A latent diffusion model never draws a pixel: its decoder does, and small faces suffer most. A picture of the dataset
that went through encoder and decoder once shows what is lost whatever the LoRA has learned.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image


def round_trip(vae: Any, picture: Image.Image, *, area: int, multiple: int, device: str) -> Image.Image:
    """An RGB picture through `vae` and back, enlarged or reduced to about `area` pixels, as a render has.

    The picture keeps its shape, to the `multiple` of pixels that the family draws. The mean of the encoder's
    distribution is decoded, so nothing is random. Raises what torch raises when memory runs out.
    """
    import numpy as np
    import torch
    from PIL import Image

    size = _fitted(picture.size, area, multiple)
    pixels = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS), np.float32) / 127.5 - 1
    dtype = vae.dtype
    # Decoders that overflow in half precision say so; diffusers' pipelines lift them too.
    wide = dtype == torch.float16 and bool(getattr(vae.config, "force_upcast", False))
    try:
        if wide:
            vae.to(dtype=torch.float32)
        drawn = _decoded(vae, torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None], device)
    finally:
        if wide:
            vae.to(dtype=dtype)
    levels = ((drawn.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0)
    return Image.fromarray(levels.cpu().numpy())


def _decoded(vae: Any, pixels: Any, device: str) -> Any:
    """(1, 3, height, width) in -1..1 -> (3, height, width) float32, about the same range."""
    import torch

    of_films = type(vae).__name__ == "AutoencoderKLQwenImage"  # takes a picture as a film of one frame
    with torch.inference_mode():
        given = pixels.to(device=device, dtype=vae.dtype)
        latents = vae.encode(given[:, :, None] if of_films else given).latent_dist.mode()
        drawn = vae.decode(latents).sample
    return (drawn[:, :, 0] if of_films else drawn)[0].float()


def _fitted(size: tuple[int, int], area: int, multiple: int) -> tuple[int, int]:
    """Width and height of the same shape with about `area` pixels, each a multiple, at least one."""
    scale = math.sqrt(area / (size[0] * size[1]))
    width, height = (max(multiple, round(side * scale / multiple) * multiple) for side in size)
    return width, height
