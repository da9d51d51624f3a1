"""The modules of every family, under each of their names, read from `families/*.txt`; which of them a module is.

A table's file is named `family@variant@naming.txt`; its lines are written by fixtures/families/make.py, from the model
classes of diffusers, transformers, kohya-ss/sd-scripts and kohya-ss/musubi-tuner.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parent / "families"

FAMILIES: tuple[str, ...] = (
    "sdxl", "sd15", "flux", "z-image", "qwen-image", "wan", "flux2", "chroma", "sd3", "sd2", "hunyuan-video", "lumina2",
    "anima", "hunyuan-image", "ltx", "cogvideox", "pixart", "sana", "auraflow", "miniature",
)  # fmt: skip
"""Roughly the commonest first: the order in which those that cannot be told apart are named."""

STRANGERS: tuple[str, ...] = ("flux3",)
"""Models that lora-doctor only knows in order not to take them for one of the others."""

_ENCODERS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "sd15": {"text_encoder": ("clip-l",)},
    "sd2": {"text_encoder": ("openclip-h",)},
    "sdxl": {"text_encoder": ("clip-l",), "text_encoder_2": ("clip-g",)},
    "sd3": {"text_encoder": ("clip-l",), "text_encoder_2": ("clip-g",), "text_encoder_3": ("t5-xxl",)},
    "flux": {"text_encoder": ("clip-l",), "text_encoder_2": ("t5-xxl",), "text_encoder_3": ("t5-xxl",)},
    "chroma": {"text_encoder": ("t5-xxl",), "text_encoder_3": ("t5-xxl",)},
    "flux2": {"text_encoder": ("mistral-small-24b", "qwen3-4b", "qwen3-8b")},
    "lumina2": {"text_encoder": ("gemma2-2b",)},
    "z-image": {"text_encoder": ("qwen3-4b",)},
    "qwen-image": {"text_encoder": ("qwen2.5-vl-7b",)},
    "hunyuan-video": {"text_encoder": ("llama3-8b",), "text_encoder_2": ("clip-l",)},
    "hunyuan-image": {"text_encoder": ("qwen2.5-vl-7b",), "text_encoder_2": ("byt5-small",)},
    "wan": {"text_encoder": ("t5-xxl",)},
    "anima": {"text_encoder": ("qwen3-0.6b",)},
    "pixart": {"text_encoder": ("t5-xxl",)},
    "sana": {"text_encoder": ("gemma2-2b",)},
    "auraflow": {"text_encoder": ("pile-t5-xl",)},
    "cogvideox": {"text_encoder": ("t5-xxl",)},
    "ltx": {"text_encoder": ("t5-xxl",)},
    "miniature": {"text_encoder": ("clip-miniature",)},
}
"""Family -> component -> the encoders it may be. sd-scripts calls FLUX's T5 the third encoder (`lora_te3_`), diffusers
the second; umT5 of Wan has T5's names and widths."""

_SEPARATOR = re.compile(r"[._]")
_TEXT_WRAPPERS = re.compile(r"(?:(?:text_model|language_model|model)_)+")
"""Classes around the layers of a text encoder; whether their names are in a file depends on the trainer's version."""
_NUMBERS = re.compile(r"\[[\d,-]+\]|(?<![^._])\d+(?![^._])")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """Modules whose names differ only in their numbers."""

    numbers: tuple[frozenset[int], ...]
    read: int
    """Input width; 0 = any."""
    written: int
    """Output width; 0 = any."""

    def fits(self, numbers: tuple[int, ...], widths: tuple[int, int]) -> bool:
        """Whether a module with these numbers in its name and these widths (0 = not known) can be one of them."""
        agree = all(
            0 in (ours, theirs) or ours == theirs
            for ours, theirs in zip((self.read, self.written), widths, strict=True)
        )
        return agree and all(number in among for number, among in zip(numbers, self.numbers, strict=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """One model under one set of names."""

    family: str
    variant: str | None
    naming: str
    """`diffusers`, `ldm`, `original` or `transformers`."""
    rules: Mapping[str, tuple[Rule, ...]]
    """Name with `#` for its numbers -> rules."""

    def stacks(self) -> Mapping[str, frozenset[int]]:
        """Name of a stack of blocks, up to its number -> the numbers of its blocks."""
        found: dict[str, frozenset[int]] = defaultdict(frozenset)
        for template, rules in self.rules.items():
            stack, number, _ = template.partition("_#_")
            if number and "#" not in stack:
                found[stack] = found[stack].union(*(rule.numbers[0] for rule in rules))
        return found


def flattened(name: str) -> tuple[str, tuple[int, ...]]:
    """`blocks.3.attn.to_out.0` or `blocks_3_attn_to_out_0` -> (`blocks_#_attn_to_out_#`, (3, 0))."""
    tokens = _SEPARATOR.split(name)
    numeric = [token.isascii() and token.isdigit() and len(token) < 5 for token in tokens]
    template = "_".join("#" if number else token for token, number in zip(tokens, numeric, strict=True))
    return template, tuple(int(token) for token, number in zip(tokens, numeric, strict=True) if number)


def fitting(component: str, name: str, widths: tuple[int, int]) -> frozenset[int] | None:
    """The indices in `denoisers()` of the models that can have this module; None when no model has the name at all."""
    text = component.startswith("text_encoder")
    template, numbers = flattened(_TEXT_WRAPPERS.sub("", "_".join(_SEPARATOR.split(name)), count=1) if text else name)
    rules = (_encoder_index() if text else _denoiser_index()).get(template)
    if rules is None:
        return None
    fits = {index for index, rule in rules if rule.fits(numbers, widths)}
    return _having_encoders(component, frozenset(fits)) if text else frozenset(fits)


@lru_cache
def denoisers() -> tuple[Architecture, ...]:
    """Every UNet and transformer, under each of its names."""
    return tuple(architecture for architecture in _tables() if architecture.family != "encoder")


@lru_cache
def _encoders() -> tuple[Architecture, ...]:
    return tuple(architecture for architecture in _tables() if architecture.family == "encoder")


@lru_cache
def _denoiser_index() -> Mapping[str, list[tuple[int, Rule]]]:
    return _index(denoisers(), re.compile(r"\Z."))


@lru_cache
def _encoder_index() -> Mapping[str, list[tuple[int, Rule]]]:
    return _index(_encoders(), _TEXT_WRAPPERS)


def _index(models: tuple[Architecture, ...], wrappers: re.Pattern[str]) -> Mapping[str, list[tuple[int, Rule]]]:
    index: dict[str, list[tuple[int, Rule]]] = defaultdict(list)
    for at, model in enumerate(models):
        for template, rules in model.rules.items():
            index[wrappers.sub("", template, count=1)] += ((at, rule) for rule in rules)
    return dict(index)


@lru_cache
def _having_encoders(component: str, encoders: frozenset[int]) -> frozenset[int]:
    """The denoisers whose family has one of `encoders` as its `component`."""
    names = {_encoders()[index].variant for index in encoders}
    return frozenset(
        index
        for index, model in enumerate(denoisers())
        if names.intersection(_ENCODERS.get(model.family, {}).get(component, ()))
    )


@lru_cache
def _tables() -> tuple[Architecture, ...]:
    return tuple(_read(path) for path in sorted(FOLDER.glob("*.txt")))


def _read(path: Path) -> Architecture:
    family, *variant, naming = path.stem.split("@")
    rules: dict[str, list[Rule]] = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            for template, rule in _parsed(line):
                rules[template].append(rule)
    frozen = {template: tuple(found) for template, found in rules.items()}
    return Architecture(family=family, variant=variant[0] if variant else None, naming=naming, rules=frozen)


def _parsed(line: str) -> Iterator[tuple[str, Rule]]:
    """`3072 9216 blocks.[0-18]. attn.qkv` -> (`blocks_#_attn_qkv`, its rule)."""
    read, written, *names = line.split()
    head = names.pop(0) if names[0].endswith(".") else ""
    for name in names:
        numbers = tuple(_expanded(text) for text in _NUMBERS.findall(head + name))
        template = "_".join(_SEPARATOR.split(_NUMBERS.sub("#", head + name)))
        yield template, Rule(numbers=numbers, read=int(read), written=int(written))


def _expanded(text: str) -> frozenset[int]:
    """`[0-2,5]` -> {0, 1, 2, 5}."""
    found: set[int] = set()
    for run in text.strip("[]").split(","):
        low, _, high = run.partition("-")
        found.update(range(int(low), int(high or low) + 1))
    return frozenset(found)
