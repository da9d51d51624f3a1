"""What a base model may be made of: the pipelines that render here, and every class its parts may have."""

from __future__ import annotations

from collections.abc import Mapping

PIPELINES: Mapping[str, str] = {
    "StableDiffusionPipeline": "",
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusion3Pipeline": "sd3",
    "FluxPipeline": "flux",
    "ZImagePipeline": "z-image",
    "QwenImagePipeline": "qwen-image",
}
"""Pipeline class -> family; `StableDiffusionPipeline` is one of `TEXT_WIDTHS`."""
TEXT_WIDTHS: Mapping[int, str] = {128: "miniature", 768: "sd15", 1024: "sd2"}
"""Width of the text that StableDiffusionPipeline's UNet attends to -> family."""
_CLIP_AND_VAE = frozenset({"vae", "text_encoder", "tokenizer", "scheduler"})
_TWO_ENCODERS = _CLIP_AND_VAE | {"text_encoder_2", "tokenizer_2"}
NEEDED_PARTS: Mapping[str, frozenset[str]] = {
    "StableDiffusionPipeline": _CLIP_AND_VAE | {"unet"},
    "StableDiffusionXLPipeline": _TWO_ENCODERS | {"unet"},
    "StableDiffusion3Pipeline": _TWO_ENCODERS | {"transformer"},
    "FluxPipeline": _TWO_ENCODERS | {"transformer"},
    "ZImagePipeline": _CLIP_AND_VAE | {"transformer"},
    "QwenImagePipeline": _CLIP_AND_VAE | {"transformer"},
}
"""Pipeline class -> the parts without which it does not render; SD3 can do without its third text encoder."""
LEFT_OUT = ("safety_checker", "feature_extractor", "image_encoder")
"""Parts that are never loaded: a check-up must see what a safety checker would black out, and shows no picture."""

_SCHEDULERS = (
    "DDIMScheduler", "DDPMScheduler", "DEISMultistepScheduler", "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler", "EDMDPMSolverMultistepScheduler", "EDMEulerScheduler",
    "EulerAncestralDiscreteScheduler", "EulerDiscreteScheduler", "FlowMatchEulerDiscreteScheduler",
    "HeunDiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "KDPM2DiscreteScheduler", "LCMScheduler",
    "LMSDiscreteScheduler", "PNDMScheduler", "TCDScheduler", "UniPCMultistepScheduler",
)  # fmt: skip
_MODELS = (
    "UNet2DConditionModel", "SD3Transformer2DModel", "FluxTransformer2DModel", "ZImageTransformer2DModel",
    "QwenImageTransformer2DModel", "AutoencoderKL", "AutoencoderKLQwenImage",
)  # fmt: skip
_TEXT_ENCODERS = (
    "CLIPTextModel", "CLIPTextModelWithProjection", "T5EncoderModel", "Qwen3Model", "Qwen3ForCausalLM",
    "Qwen2_5_VLForConditionalGeneration",
)  # fmt: skip
_TOKENIZERS = (
    "CLIPTokenizer", "CLIPTokenizerFast", "T5Tokenizer", "T5TokenizerFast", "Qwen2Tokenizer", "Qwen2TokenizerFast",
)  # fmt: skip
_NOT_LOADED = ("CLIPFeatureExtractor", "CLIPImageProcessor", "CLIPImageProcessorFast", "CLIPImageProcessorPil",
               "CLIPVisionModelWithProjection", "SiglipVisionModel", "SiglipImageProcessor")  # fmt: skip
COMPONENTS: Mapping[str, str] = {
    **dict.fromkeys((*_SCHEDULERS, *_MODELS), "diffusers"),
    **dict.fromkeys((*_TEXT_ENCODERS, *_TOKENIZERS, *_NOT_LOADED), "transformers"),
    "StableDiffusionSafetyChecker": "stable_diffusion",
}
"""Class of a part -> the library it comes from; anything else would be code that comes with the model."""
WITH_WEIGHTS = frozenset({*_MODELS, *_TEXT_ENCODERS})
"""Classes that have weights, in .safetensors files."""


def family_of(pipeline_class: str, text_width: object = None) -> str:
    """The family of a pipeline class (and, for StableDiffusionPipeline, of its UNet's text width), or `unknown`."""
    family = PIPELINES.get(pipeline_class)
    if family == "":
        return TEXT_WIDTHS.get(text_width, "unknown") if isinstance(text_width, int) else "unknown"
    return family or "unknown"
