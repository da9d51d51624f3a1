"""The tensor names of a LoRA file -> its modules, for every key layout, and the family their widths give away. Pure.

Layouts as found in the trainers' own sources: kohya (`lora_unet_...lora_down.weight`), diffusers and peft
(`unet....lora_A.weight`), and older spellings of both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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
        (r"(?:dora_scale|lora_magnitude_vector(?:\.default)?(?:\.weight)?)", "dora_scale"),
        (r"(hada_[wt][12](?:_[ab])?)", "loha"),
        (r"(lokr_[wt][12](?:_[ab])?)", "lokr"),
        (r"(oft_blocks(?:\.0)?|oft_R\.(?:weight|scaled_oft))", "oft"),
        (r"([ab][12]\.weight|bm\.weight)", "glora"),
        (r"(on_input)", "ia3"),
        (r"(diff(?:_b)?)", "full"),
        (r"([wb]_norm)", "norm"),
    )
)
"""Suffix of a key -> the part of its module; where the suffix is a group, it is the part itself and this its kind."""

_KIND_BY_PART: Mapping[str, str] = {"dora_scale": "dora", "mid": "tucker", "bias": "biased"}
"""Parts that turn a module with `down` and `up` into something a plain LoRA is not."""

_PROCESSOR = re.compile(r"(?:\.processor)?\.to_(q|k|v|out)_lora(?=\.(?:down|up)\.weight\Z)")
"""Attention processors of diffusers before 0.20: `attn1.processor.to_q_lora.down.weight`."""

_PREFIXES: tuple[tuple[str, str, str], ...] = (
    ("lora_unet_", "unet", "kohya"),
    ("lora_te_", "text_encoder", "kohya"),
    ("lora_te1_", "text_encoder", "kohya"),
    ("lora_te2_", "text_encoder_2", "kohya"),
    ("lora_te3_", "text_encoder_3", "kohya"),
    ("lora_transformer_", "transformer", "kohya"),
    ("lycoris_", "unet", "kohya"),
    ("oft_unet_", "unet", "kohya"),
    ("unet.", "unet", "diffusers"),
    ("transformer.", "transformer", "diffusers"),
    ("diffusion_model.", "transformer", "diffusers"),
    ("text_encoder.", "text_encoder", "diffusers"),
    ("text_encoder_2.", "text_encoder_2", "diffusers"),
    ("text_encoder_3.", "text_encoder_3", "diffusers"),
)
"""Prefix of a key -> component and layout. kohya says `unet` for transformers too; module names tell them apart."""

_PEFT_PREFIX = "base_model.model."
_UNET_START = re.compile(
    r"(?:down_blocks|up_blocks|mid_block|conv_in|conv_out|time_embedding|add_embedding"
    r"|input_blocks|middle_block|output_blocks|time_embed|label_emb|out)[._]"
)
_TEXT_START = re.compile(r"(?:text_model|encoder|text_projection)[._]")
_CROSS_ATTENTION = re.compile(r"attn2[._]to_[kv]\Z")
_CROSS_WIDTH: Mapping[int, str] = {768: "sd15", 1024: "sd2", 2048: "sdxl", 128: "miniature"}
"""Width of the text embedding that cross-attention reads -> family."""
_MINIATURE_WIDTHS = {48, 96, 128}
"""Channels of the miniature's UNet blocks."""
_FLUX_NAMES = re.compile(r"double_blocks|single_blocks|single_transformer_blocks")
_FLUX_WIDTH = 3072


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedKey:
    """What the name of one tensor says."""

    component: str
    """`unet`, `transformer`, `text_encoder`, `text_encoder_2` ..."""
    name: str
    """The module's name inside the component."""
    layout: str
    """`kohya` (dots of the name are lost), `diffusers` or `peft`."""
    part: str
    """`down`, `up`, `alpha` ...; for other adapters the suffix itself, for example `hada_w1_a`."""
    kind: str | None
    """The kind of adapter this part proves, or None for the parts of a plain LoRA."""


def parse_key(key: str) -> ParsedKey | None:
    """What `key` says, or None when it is not an adapter's."""
    spelled = _modernise(key)
    for pattern, part in PARTS:
        match = pattern.search(spelled)
        if match is None:
            continue
        component, name, layout = _locate(spelled[: match.start()])
        if not name:
            return None
        own, kind = (match[1], part) if pattern.groups else (part, _KIND_BY_PART.get(part))
        return ParsedKey(component=component, name=name, layout=layout, part=own, kind=kind)
    return None


def _modernise(key: str) -> str:
    """`attn1.processor.to_q_lora.down.weight` -> `attn1.to_q.lora.down.weight`; text encoders say `q_proj`."""
    if key.startswith("text_encoder"):
        return _PROCESSOR.sub(r".\1_proj.lora", key)
    return _PROCESSOR.sub(lambda match: f".to_{'out.0' if match[1] == 'out' else match[1]}.lora", key)


def _locate(stem: str) -> tuple[str, str, str]:
    """(component, module name, layout) of a key without its suffix."""
    bare = stem.removeprefix(_PEFT_PREFIX)
    for prefix, component, layout in _PREFIXES:
        if bare.startswith(prefix):
            name = bare[len(prefix) :]
            if layout == "kohya" and component == "unet" and not _UNET_START.match(name):
                component = "transformer"
            return component, name, layout if bare == stem else "peft"
    if _UNET_START.match(bare):
        return "unet", bare, "peft"
    return "text_encoder" if _TEXT_START.match(bare) else "transformer", bare, "peft"


def family_of(widths: Mapping[tuple[str, str], tuple[int, int]]) -> str:
    """The family from (component, module name) -> (input width, output width), or `unknown`.

    Widths first (cross-attention reads the text embedding), module names for files that leave cross-attention alone.
    """
    cross = {sizes for (part, name), sizes in widths.items() if part == "unet" and _CROSS_ATTENTION.search(name)}
    inputs = {width for width, _ in cross}
    if not inputs:
        return _family_by_names(widths)
    family = _CROSS_WIDTH.get(inputs.pop(), "unknown") if len(inputs) == 1 else "unknown"
    if family == "miniature" and not {width for _, width in cross} <= _MINIATURE_WIDTHS:
        return "unknown"
    return family


def _family_by_names(widths: Mapping[tuple[str, str], tuple[int, int]]) -> str:
    components = {component for component, _ in widths}
    if "transformer" in components:
        flux = any(_FLUX_NAMES.search(name) for _, name in widths) and not any("_fc1" in name for _, name in widths)
        return "flux" if flux and any(_FLUX_WIDTH in sizes for sizes in widths.values()) else "unknown"
    deep = any(component == "unet" and re.search(r"transformer_blocks[._][1-9]", name) for component, name in widths)
    return "sdxl" if deep or "text_encoder_2" in components else "unknown"
