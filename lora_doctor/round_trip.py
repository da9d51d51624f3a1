"""What the base model's own encoder and decoder make of a picture: the most a render could keep of it.

A latent diffusion model never draws a pixel: its decoder does, and small faces suffer most. A picture of the dataset
that went through encoder and decoder once shows what is lost whatever the LoRA has learned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lora_doctor.memory import is_out_of_memory
from lora_doctor.render_prompts import size_multiple
from lora_doctor.types import LabelSet, Reading

if TYPE_CHECKING:
    from PIL import Image

ENOUGH = 12
"""Pictures of each framing: their mean is known to a few hundredths, and each costs little of what a render costs."""


def pictures_to_redraw(
    references: Sequence[Reading | None], label_sets: Mapping[str, LabelSet], copies: Sequence[Sequence[int]]
) -> list[int]:
    """Indexes of dataset pictures with a face, `ENOUGH` of each framing at most, spread over the dataset; no copies."""
    labels, extra = label_sets.get("framing"), {index for group in copies for index in sorted(group)[1:]}
    by_framing: dict[str, list[int]] = {}
    for index, reading in enumerate(references):
        if reading is not None and reading.face.faces and index not in extra:
            by_framing.setdefault(reading.top_label(labels) or "", []).append(index)
    return sorted(index for indexes in by_framing.values() for index in _spread(indexes))


def _spread(indexes: Sequence[int]) -> list[int]:
    step = max(1.0, len(indexes) / ENOUGH)
    return [indexes[math.floor(place * step)] for place in range(min(ENOUGH, len(indexes)))]


def round_trip(pipeline: Any, picture: Image.Image, width: int, height: int) -> Image.Image | None:
    """An RGB picture through the pipeline's encoder and decoder, at as many pixels as a render of `width` x `height`.

    The picture keeps its shape, to the multiple of pixels that the family draws. The mean of the encoder's
    distribution is decoded, so nothing is random. None where memory runs out.
    """
    import numpy as np
    import torch
    from PIL import Image

    vae = pipeline.vae
    size = _fitted(picture.size, width * height, size_multiple(pipeline))
    pixels = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS), np.float32) / 127.5 - 1
    dtype = vae.dtype
    # Decoders that overflow in half precision say so; diffusers' pipelines lift them too.
    wide = dtype == torch.float16 and bool(getattr(vae.config, "force_upcast", False))
    try:
        if wide:
            vae.to(dtype=torch.float32)
        drawn = _decoded(vae, torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None], str(pipeline._execution_device))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None
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
