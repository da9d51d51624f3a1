"""Which parts of a model OneTrainer can train with a LoRA. Pure.

Its configs hold every part of every model, with defaults that train it: only those of the `model_type` count.

Source: Nerogar/OneTrainer modules/util/enum/ModelType.py (_MODEL_PARTS), modules/modelSetup/*LoRASetup.py (Flux 2,
Z-Image, Anima, Krea 2, Ernie and Ideogram have a text encoder, which no LoRA of theirs trains).
"""

from __future__ import annotations

DENOISERS = ("unet", "prior", "transformer")
"""What the part that draws is called, one in each model."""
TEXT_ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3", "text_encoder_4")
_PARTS: tuple[tuple[str, str, int], ...] = (
    ("STABLE_DIFFUSION_3", "transformer", 3), ("STABLE_DIFFUSION_XL", "unet", 2), ("STABLE_DIFFUSION_", "unet", 1),
    ("WUERSTCHEN", "prior", 1), ("STABLE_CASCADE", "prior", 1), ("FLUX_DEV_1", "transformer", 2),
    ("FLUX_FILL_DEV_1", "transformer", 2), ("HUNYUAN_VIDEO", "transformer", 2), ("HI_DREAM", "transformer", 4),
    ("CHROMA", "transformer", 1), ("QWEN", "transformer", 1), ("PIXART", "transformer", 1), ("SANA", "transformer", 1),
    ("FLUX_2", "transformer", 0), ("Z_IMAGE", "transformer", 0), ("ANIMA", "transformer", 0),
    ("KREA_2", "transformer", 0), ("ERNIE", "transformer", 0), ("IDEOGRAM", "transformer", 0),
)  # fmt: skip
"""Start of `model_type`, the part that draws, how many text encoders a LoRA can train; the first that fits counts."""


def denoiser(model_type: object) -> str | None:
    """The part that draws; None for a model that is not known here."""
    return next((part for start, part, _ in _PARTS if str(model_type).startswith(start)), None)


def text_encoders(model_type: object) -> tuple[str, ...] | None:
    """The text encoders that a LoRA can train, none for some models; None for a model that is not known here."""
    return next((TEXT_ENCODERS[:count] for start, _, count in _PARTS if str(model_type).startswith(start)), None)
