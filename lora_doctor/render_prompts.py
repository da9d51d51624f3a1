"""Prompts as each pipeline's call wants them: encoded one at a time, joined into batches, checked for their length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Encoded = dict[str, Any]
"""Argument of the pipeline's call -> its value for one prompt: a tensor (1, ...), or a list with one tensor."""
SD3_TOKENS = 256
FLUX_DEV_TOKENS = 512
FLUX_SCHNELL_TOKENS = 256
Z_IMAGE_TOKENS = 512
"""Tokens that each family's long text encoder is given, as its pipeline's `max_sequence_length`."""
_NAMES = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")


def encode(pipeline: Any, prompt: str, negative_prompt: str, guidance: float) -> Encoded:
    """The text arguments of the pipeline's call for one prompt; negative ones only where guidance makes use of them."""
    import torch

    with torch.no_grad():
        return _ENCODERS[type(pipeline).__name__](pipeline, prompt, negative_prompt, guidance)


def reads_negative_prompt(pipeline: Any, guidance: float) -> bool:
    """Whether a negative prompt changes the picture.

    FLUX.1 has its guidance as a number put into the network, and no second, negative pass. Z-Image adds `guidance`
    times the difference to the prompt's own prediction, the others start from the negative one: off is 0 or 1.
    """
    name = type(pipeline).__name__
    return name != "FluxPipeline" and guidance > (0 if name == "ZImagePipeline" else 1)


def guidance_arguments(pipeline: Any, guidance: float) -> dict[str, Any]:
    """The arguments by which the pipeline's call takes the guidance."""
    if type(pipeline).__name__ == "QwenImagePipeline":
        distilled = guidance if pipeline.transformer.config.guidance_embeds else None
        length = {"max_sequence_length": pipeline.tokenizer_max_length}  # the call cuts at half of it by default
        return {"true_cfg_scale": guidance, "guidance_scale": distilled, **length}
    return {"guidance_scale": guidance}


def join(encoded: Sequence[Encoded]) -> Encoded:
    """The arguments of several prompts as one batch, in order.

    Tensors are concatenated along the first axis; shorter texts are filled up with zeros, which the masks beside them
    (1 = token, 0 = filling) hide. Lists are strung together: their pipeline fills them up itself.
    """
    return {name: _joined(name, [each[name] for each in encoded]) for name in encoded[0]}


def _joined(name: str, values: Sequence[Any]) -> Any:
    import torch

    if isinstance(values[0], list):
        return [tensor for value in values for tensor in value]
    if "pooled" in name:
        return torch.cat(list(values))
    length = max(value.shape[1] for value in values)
    return torch.cat([_filled(value, length) for value in values])


def _filled(tensor: torch.Tensor, length: int) -> torch.Tensor:
    missing = length - tensor.shape[1]
    if not missing:
        return tensor
    import torch

    filling = tensor.new_zeros((tensor.shape[0], missing, *tensor.shape[2:]))
    return torch.cat([tensor, filling], dim=1)


def size_multiple(pipeline: Any) -> int:
    """What width and height must be a multiple of, in pixels."""
    name = type(pipeline).__name__
    if name.startswith("StableDiffusion") and "3" not in name:
        return 8
    patch = pipeline.patch_size if name == "StableDiffusion3Pipeline" else 2
    return int(pipeline.vae_scale_factor * patch)


def too_long(pipeline: Any, prompt: str) -> str | None:
    """Why the prompt cannot be rendered as it is (its end, framing and environment, would be cut off), or None.

    What counts is the encoder that reads most: where T5 reads a prompt whole, it does not matter that CLIP does not.
    """
    length, limit = _LENGTHS[type(pipeline).__name__](pipeline, prompt)
    return f"the prompt is {length} tokens long, the text encoder reads {limit}" if length > limit else None


def fitted(pipeline: Any, prompt: str) -> str:
    """The prompt, or as much of its start as the text encoder reads: cut behind a comma, a lone piece behind a word.

    That is what trainers make of it that read no further. Empty when not even one word is read whole.
    """
    for separator in (",", " "):
        parts = prompt.split(separator)
        for count in range(len(parts), 0, -1):
            start = separator.join(parts[:count]).strip()
            if too_long(pipeline, start) is None:
                return start if count < len(parts) else prompt
        prompt = parts[0]
    return ""


# ---------------------------------------------------------------- encoding, family by family


def _sd(pipeline: Any, prompt: str, negative_prompt: str, guidance: float) -> Encoded:
    skip = int(getattr(pipeline.text_encoder.config, "clip_skip", None) or 1)
    guided = reads_negative_prompt(pipeline, guidance)
    if skip > 1:
        texts = {"prompt_embeds": prompt} | ({"negative_prompt_embeds": negative_prompt} if guided else {})
        return {name: _skipped(pipeline, text, skip) for name, text in texts.items()}
    return _named(
        pipeline.encode_prompt(
            prompt=prompt,
            device=pipeline._execution_device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=guided,
            negative_prompt=negative_prompt or None,
        )
    )


def _skipped(pipeline: Any, text: str, skip: int) -> torch.Tensor:
    """(1, tokens, width): CLIP's states `skip - 1` layers before the last, through its final norm.

    The prompt and the negative prompt alike, as kohya's trainer and the common front ends do. diffusers has its own
    `clip_skip` (counting from 0), which skips for the prompt alone and fails with transformers from 5.6 on
    (diffusers issue 14124). Source: `get_hidden_states` in kohya's `library/train_util.py`.
    """
    tokenizer, encoder = pipeline.tokenizer, pipeline.text_encoder
    tokens = tokenizer(
        text, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    )
    masked = getattr(encoder.config, "use_attention_mask", False)
    states = encoder(
        tokens.input_ids.to(pipeline._execution_device),
        attention_mask=tokens.attention_mask.to(pipeline._execution_device) if masked else None,
        output_hidden_states=True,
    ).hidden_states[-skip]
    final_norm = getattr(encoder, "text_model", encoder).final_layer_norm
    normed: torch.Tensor = final_norm(states).to(encoder.dtype)
    return normed


def _sd3(pipeline: Any, prompt: str, negative_prompt: str, guidance: float) -> Encoded:
    return _named(
        pipeline.encode_prompt(
            prompt=prompt,
            prompt_2=None,
            prompt_3=None,
            device=pipeline._execution_device,
            do_classifier_free_guidance=reads_negative_prompt(pipeline, guidance),
            negative_prompt=negative_prompt or None,
            max_sequence_length=SD3_TOKENS,
        )
    )


def _flux(pipeline: Any, prompt: str, negative_prompt: str, guidance: float) -> Encoded:
    embeds, pooled, _ = pipeline.encode_prompt(
        prompt=prompt, prompt_2=None, device=pipeline._execution_device, max_sequence_length=_flux_tokens(pipeline)
    )
    return {"prompt_embeds": embeds, "pooled_prompt_embeds": pooled}


def _z_image(pipeline: Any, prompt: str, negative_prompt: str, guidance: float) -> Encoded:
    guided = reads_negative_prompt(pipeline, guidance)
    embeds, negative = pipeline.encode_prompt(
        prompt=prompt,
        device=pipeline._execution_device,
        do_classifier_free_guidance=guided,
        negative_prompt=negative_prompt,
        max_sequence_length=Z_IMAGE_TOKENS,
    )
    return {"prompt_embeds": embeds} | ({"negative_prompt_embeds": negative} if guided else {})


def _qwen_image(pipeline: Any, prompt: str, negative_prompt: str, guidance: float) -> Encoded:
    encoded = _qwen_text(pipeline, prompt, "")
    if reads_negative_prompt(pipeline, guidance):
        encoded |= _qwen_text(pipeline, negative_prompt or " ", "negative_")  # a blank is what it was trained with
    return encoded


def _qwen_text(pipeline: Any, text: str, prefix: str) -> Encoded:
    import torch

    embeds, mask = pipeline.encode_prompt(prompt=text, device=pipeline._execution_device)
    if mask is None:  # so the pipeline says that there is no filling
        mask = torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device)
    return {f"{prefix}prompt_embeds": embeds, f"{prefix}prompt_embeds_mask": mask}


def _named(tensors: Sequence[torch.Tensor | None]) -> Encoded:
    return {name: value for name, value in zip(_NAMES, tensors, strict=False) if value is not None}


_Encoder = Callable[[Any, str, str, float], Encoded]
_ENCODERS: Mapping[str, _Encoder] = {
    "StableDiffusionPipeline": _sd,
    "StableDiffusionXLPipeline": _sd,
    "StableDiffusion3Pipeline": _sd3,
    "FluxPipeline": _flux,
    "ZImagePipeline": _z_image,
    "QwenImagePipeline": _qwen_image,
}


# ---------------------------------------------------------------- lengths


def _flux_tokens(pipeline: Any) -> int:
    return FLUX_DEV_TOKENS if pipeline.transformer.config.guidance_embeds else FLUX_SCHNELL_TOKENS


def _tokens(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text, truncation=False, verbose=False).input_ids)


def _clip_length(pipeline: Any, prompt: str) -> tuple[int, int]:
    return _tokens(pipeline.tokenizer, prompt), pipeline.tokenizer.model_max_length


def _sd3_length(pipeline: Any, prompt: str) -> tuple[int, int]:
    if pipeline.text_encoder_3 is None:
        return _clip_length(pipeline, prompt)
    return _tokens(pipeline.tokenizer_3, prompt), SD3_TOKENS


def _flux_length(pipeline: Any, prompt: str) -> tuple[int, int]:
    return _tokens(pipeline.tokenizer_2, prompt), _flux_tokens(pipeline)


def _z_image_length(pipeline: Any, prompt: str) -> tuple[int, int]:
    message = [{"role": "user", "content": prompt}]
    text = pipeline.tokenizer.apply_chat_template(
        message, tokenize=False, add_generation_prompt=True, enable_thinking=True
    )
    return _tokens(pipeline.tokenizer, text), Z_IMAGE_TOKENS


def _qwen_image_length(pipeline: Any, prompt: str) -> tuple[int, int]:
    text = pipeline.prompt_template_encode.format(prompt)
    frame = pipeline.prompt_template_encode_start_idx
    return _tokens(pipeline.tokenizer, text) - frame, pipeline.tokenizer_max_length


_LENGTHS: Mapping[str, Callable[[Any, str], tuple[int, int]]] = {
    "StableDiffusionPipeline": _clip_length,
    "StableDiffusionXLPipeline": _clip_length,
    "StableDiffusion3Pipeline": _sd3_length,
    "FluxPipeline": _flux_length,
    "ZImagePipeline": _z_image_length,
    "QwenImagePipeline": _qwen_image_length,
}
