"""The tensor names of a LoRA file -> component, module and part, for every kind of adapter and every layout. Pure.

Layouts as found in the trainers' own sources: kohya (`lora_unet_...lora_down.weight`; OneTrainer, musubi-tuner and
LyCORIS too), diffusers and peft (`unet....lora_A.weight`; ai-toolkit, SimpleTuner), ComfyUI's names of whole
checkpoints (`diffusion_model....`), XLabs' FLUX processors, and older spellings of all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

PARTS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(rf"\.{pattern}\Z"), part)
    for pattern, part in (
        (r"lora_(?:down|A(?:\.default)?)\.weight", "down"),
        (r"lora_(?:up|B(?:\.default)?)\.weight", "up"),
        (r"lora(?:_linear_layer)?\.down\.weight", "down"),
        (r"lora(?:_linear_layer)?\.up\.weight", "up"),
        (r"alpha", "alpha"),
        (r"lora_mid\.weight", "mid"),
        (r"lora_B(?:\.default)?\.bias", "bias"),
        (r"dora_scale", "dora_scale"),
        (r"lora_magnitude_vector(?:\.default)?(?:\.weight)?", "lora_magnitude_vector"),
        (r"magnitude", "magnitude"),
        (r"oft_R(?:\.default)?\.weight", "oft_R"),
        (r"(ia3_l|hada_[wt][12](?:_[ab])?|lokr_[wt][12](?:_[ab])?)(?:\.default)?", ""),
        (r"([ab][12]|bm)\.weight", ""),
        (r"(oft_blocks(?:\.\d+)?|oft_R\.scaled_oft|rescale|on_input|diff|diff_b|[wb]_norm)", ""),
    )
)
"""Suffix of a key -> the part of its module; where that is empty, the suffix' group is the part."""

_IA3_WEIGHT = re.compile(r"\.weight\Z")
"""LyCORIS calls the vector of an (IA)^3 module plainly `weight`; only its neighbour `on_input` tells what it is."""

_PROCESSOR = re.compile(r"(?:\.processor)?\.to_(q|k|v|out)_lora(?=\.(?:down|up)\.weight\Z)")
"""Attention processors of diffusers before 0.20: `attn1.processor.to_q_lora.down.weight`."""

_XLABS = re.compile(r"(double|single)_blocks\.(\d+)\.processor\.(qkv|proj)_lora([12]?)(?=\.(?:down|up)\.weight\Z)")
"""XLabs' attention processors for FLUX; 1 is the picture's stream and 2 the text's."""

_PREFIXES: tuple[tuple[str, str, str], ...] = (
    ("lora_unet_", "unet", "kohya"),
    ("lora_te_", "text_encoder", "kohya"),
    ("lora_te1_", "text_encoder", "kohya"),
    ("lora_te2_", "text_encoder_2", "kohya"),
    ("lora_te3_", "text_encoder_3", "kohya"),
    ("lora_transformer_", "transformer", "kohya"),
    ("lora_prior_unet_", "prior", "kohya"),
    ("lora_prior_te_", "text_encoder", "kohya"),
    ("lycoris_", "unet", "kohya"),
    ("oft_unet_", "unet", "kohya"),
    ("oft_te_", "text_encoder", "kohya"),
    ("unet.", "unet", "diffusers"),
    ("transformer.", "transformer", "diffusers"),
    ("diffusion_model.", "unet", "comfyui"),
    ("model.diffusion_model.", "unet", "comfyui"),
    ("text_encoders.clip_l.transformer.", "text_encoder", "comfyui"),
    ("text_encoders.clip_g.transformer.", "text_encoder_2", "comfyui"),
    ("text_encoders.t5xxl.transformer.", "text_encoder_3", "comfyui"),
    ("text_encoder.", "text_encoder", "diffusers"),
    ("text_encoder_2.", "text_encoder_2", "diffusers"),
    ("text_encoder_3.", "text_encoder_3", "diffusers"),
)
"""Prefix of a key -> component and layout. kohya says `unet` for transformers too; module names tell them apart."""

PEFT_PREFIX = "base_model.model."
"""What the keys of peft's own files begin with."""
_UNET_LAYOUTS = ("kohya", "comfyui")
"""Layouts that say `unet` for transformers too."""
_UNET_START = re.compile(
    r"(?:down_blocks|up_blocks|mid_block|conv_in|conv_out|time_embedding|add_embedding"
    r"|input_blocks|middle_block|output_blocks|time_embed|label_emb|out)[._]"
)
_TEXT_START = re.compile(r"(?:text_model|encoder|text_projection)[._]")


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedKey:
    """What the name of one tensor says."""

    component: str
    """`unet`, `transformer`, `text_encoder`, `text_encoder_2` ..."""
    name: str
    """The module's name inside the component."""
    layout: str
    """`kohya` (dots of the name are lost), `diffusers`, `comfyui`, `peft` (no component named) or `xlabs`."""
    part: str
    """`down`, `up`, `alpha` ...; for other adapters the suffix itself, for example `hada_w1_a`."""


def parse_keys(keys: Iterable[str]) -> dict[str, ParsedKey]:
    """What each key says, for those that are an adapter's; the others are left out.

    All keys of the file at once, because the vector of an (IA)^3 module is told by its neighbour alone.
    """
    known = set(keys)
    found = {key: parsed for key in known if (parsed := parse_key(key)) is not None}
    for key in known - found.keys():
        stem = _IA3_WEIGHT.sub("", key)
        if stem != key and f"{stem}.on_input" in known:
            component, name, layout = _locate(stem)
            found[key] = ParsedKey(component=component, name=name, layout=layout, part="weight")
    return {key: found[key] for key in keys if key in found}


def parse_key(key: str) -> ParsedKey | None:
    """What `key` says, or None when it is not an adapter's."""
    spelled = _modernise(key)
    xlabs = spelled != key and _XLABS.search(key) is not None
    for pattern, part in PARTS:
        match = pattern.search(spelled)
        if match is None:
            continue
        component, name, layout = _locate(spelled[: match.start()])
        if not name:
            return None
        layout = "xlabs" if xlabs else layout
        if part == "oft_R" and (spelled.startswith(PEFT_PREFIX) or ".default" in match[0]):
            part = "oft_R.peft"  # OneTrainer writes the same numbers, and turns convolutions the other way round
        return ParsedKey(component=component, name=name, layout=layout, part=part or match[1])
    return None


def _modernise(key: str) -> str:
    """`attn1.processor.to_q_lora.down.weight` -> `attn1.to_q.lora.down.weight`; text encoders say `q_proj`.

    XLabs' processors get the names of the layers they stand beside.
    """
    if match := _XLABS.search(key):
        side, number, which, stream = match.groups()
        if side == "single":
            layer = "qkv" if which == "qkv" else "linear2"
        else:
            layer = f"{'txt' if stream == '2' else 'img'}_attn.{which}"
        return f"{key[: match.start()]}{side}_blocks.{number}.{layer}.lora{key[match.end() :]}"
    if key.startswith("text_encoder"):
        return _PROCESSOR.sub(r".\1_proj.lora", key)
    return _PROCESSOR.sub(lambda match: f".to_{'out.0' if match[1] == 'out' else match[1]}.lora", key)


def _locate(stem: str) -> tuple[str, str, str]:
    """(component, module name, layout) of a key without its suffix."""
    bare = stem.removeprefix(PEFT_PREFIX)
    for prefix, component, layout in _PREFIXES:
        if bare.startswith(prefix):
            name = bare[len(prefix) :]
            if layout in _UNET_LAYOUTS and component == "unet" and not _UNET_START.match(name):
                component = "transformer"
            return component, name, layout if bare == stem else "peft"
    if _UNET_START.match(bare):
        return "unet", bare, "peft"
    return "text_encoder" if _TEXT_START.match(bare) else "transformer", bare, "peft"
