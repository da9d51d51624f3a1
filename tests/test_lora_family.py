"""The family is told from real module lists, whole or in part, and never another one."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.families.diffusers_models import (
    DENOISERS,
    ENCODERS,
    Modules,
    denoiser_modules,
    encoder_modules,
    weighted_modules,
)
from fixtures.families.make import TABLES, table
from lora_doctor.lora_family import family_of
from lora_doctor.lora_family_tables import FAMILIES, Architecture, denoisers
from lora_doctor.types import FamilyGuess

Widths = Mapping[tuple[str, str], tuple[int, int]]
OURS = [key for key in DENOISERS if key[0] in FAMILIES]
UNETS = {"sd15", "sd2", "sdxl", "miniature"}


@lru_cache
def real(family: str, variant: str) -> list[Modules]:
    """The modules of every release, from the class in diffusers."""
    return denoiser_modules(DENOISERS[family, variant])


@lru_cache
def encoder(name: str) -> Modules:
    return encoder_modules(ENCODERS[name])[0]


def lora(modules: Modules, component: str = "transformer", *, flat: bool = False) -> Widths:
    return {(component, name.replace(".", "_") if flat else name): widths for name, widths in modules.items()}


def linear(modules: Modules, pattern: str = "") -> Modules:
    """The layers that trainers adapt, with names holding `pattern`."""
    return {name: widths for name, widths in modules.items() if any(widths) and re.search(pattern, name)}


@lru_cache
def listed(index: int) -> tuple[tuple[str, tuple[int, int]], ...]:
    """Every module of a table, flattened."""
    return tuple(_expanded(denoisers()[index]))


def _expanded(model: Architecture) -> Iterator[tuple[str, tuple[int, int]]]:
    for template, rules in model.rules.items():
        for rule in rules:
            for numbers in itertools.product(*(sorted(among) for among in rule.numbers)):
                name = template
                for number in numbers:
                    name = name.replace("#", str(number), 1)
                yield name, (rule.read, rule.written)


@pytest.mark.parametrize(("family", "variant"), OURS)
@pytest.mark.parametrize("flat", [False, True])
def test_a_whole_model_of_every_family_is_told(family: str, variant: str, flat: bool) -> None:
    for modules in real(family, variant):
        guess = family_of(lora(modules, flat=flat))
        assert (guess.family, guess.variant or "", guess.doubt) == (family, variant, None)
        assert guess.candidates == (family,)
        assert guess.evidence


@pytest.mark.parametrize(
    "index", range(len(denoisers())), ids=[f"{one.family}-{one.variant}-{one.naming}" for one in denoisers()]
)
def test_a_whole_model_is_told_under_its_other_names_too(index: int) -> None:
    model = denoisers()[index]
    blocks = {name: sizes for name, sizes in listed(index) if any(sizes)}
    assert family_of(lora(blocks)).candidates == ((model.family,) if model.family in FAMILIES else ())


@pytest.mark.parametrize(("family", "variant"), list(DENOISERS))
def test_a_table_holds_what_the_class_has_and_nothing_else(family: str, variant: str) -> None:
    """When it fails after an upgrade of diffusers: `python -m fixtures.families.make`."""
    stem = f"{family}@{variant}" if variant else family
    lines = (TABLES / f"{stem}@diffusers.txt").read_text(encoding="utf-8").splitlines()
    assert lines[1:] == table(real(family, variant))


@pytest.mark.parametrize("name", list(ENCODERS))
def test_an_encoder_s_table_holds_what_the_class_has(name: str) -> None:
    lines = (TABLES / f"encoder@{name}@transformers.txt").read_text(encoding="utf-8").splitlines()
    assert lines[1:] == table([encoder(name)])


# Names as they stand in the trainers' sources: sd-scripts networks/convert_flux_lora.py, networks/lora_sd3.py,
# networks/lora_lumina.py, networks/convert_anima_lora_to_comfy.py, networks/convert_hunyuan_image_lora_to_comfy.py;
# musubi-tuner networks/lora_wan.py, networks/convert_z_image_lora_to_comfy.py, flux_2/flux2_models.py.
@pytest.mark.parametrize(
    ("names", "family", "variant"),
    [
        ({"double_blocks_0_img_mod_lin": (3072, 18432), "single_blocks_37_linear1": (3072, 21504)}, "flux", None),
        ({"double_blocks.7.txt_mlp.0": (3072, 12288), "single_blocks.3.modulation.lin": (3072, 9216)}, "flux", None),
        ({"distilled_guidance_layer_layers_0_in_layer": (5120, 5120)}, "chroma", None),
        ({"double_blocks_0_img_attn_qkv": (6144, 18432)}, "flux2", "dev"),
        ({"single_blocks_0_linear1": (4096, 36864)}, "flux2", "klein-9b"),
        ({"single_blocks_0_linear1": (3072, 27648)}, "flux2", "klein-4b"),
        ({"double_blocks_19_img_attn_qkv": (3072, 9216)}, "hunyuan-video", None),
        ({"double_blocks_0_txt_mlp_fc1": (3072, 12288)}, "hunyuan-video", None),
        ({"double_blocks_0_txt_mlp_fc1": (3584, 14336)}, "hunyuan-image", None),
        ({"joint_blocks_0_x_block_attn_qkv": (1536, 4608)}, "sd3", None),
        ({"joint_blocks_0_x_block_attn2_qkv": (1536, 4608)}, "sd3", "3.5-medium"),
        ({"joint_blocks_37_context_block_adaLN_modulation_1": (2432, 4864)}, "sd3", "3.5-large"),
        ({"layers_25_attention_qkv": (2304, 3840)}, "lumina2", None),
        ({"layers_0_attention_qkv": (3840, 11520)}, "z-image", None),
        ({"layers.29.attention.out": (3840, 3840)}, "z-image", None),
        ({"layers_0_attention_to_out_0": (3840, 3840)}, "z-image", None),
        ({"transformer_blocks_59_img_mlp_net_0_proj": (3072, 12288)}, "qwen-image", None),
        ({"blocks_39_self_attn_q": (5120, 5120)}, "wan", "14B"),
        ({"blocks_39_cross_attn_k_img": (5120, 5120)}, "wan", "14B-i2v"),
        ({"blocks_0_ffn_0": (1536, 8960)}, "wan", "1.3B"),
        ({"blocks_0_ffn_2": (14336, 3072)}, "wan", "5B"),
        ({"blocks_27_cross_attn_k_proj": (1024, 2048)}, "anima", None),
        ({"llm_adapter_blocks_5_self_attn_o_proj": (1024, 1024)}, "anima", None),
        ({"input_blocks_4_1_transformer_blocks_1_attn1_to_q": (640, 640)}, "sdxl", None),
        ({"output_blocks_5_1_transformer_blocks_1_attn2_to_v": (2048, 640)}, "sdxl", None),
        ({"input_blocks_1_1_transformer_blocks_0_attn2_to_k": (768, 320)}, "sd15", None),
        ({"input_blocks_1_1_transformer_blocks_0_attn2_to_k": (1024, 320)}, "sd2", None),
    ],
)  # fmt: skip
def test_a_few_modules_under_the_names_of_a_trainer(names: Modules, family: str, variant: str | None) -> None:
    guess = family_of(lora(names))
    assert (guess.family, guess.variant, guess.doubt) == (family, variant, None)


@pytest.mark.parametrize(
    ("names", "candidates"),
    [
        ({"double_blocks_0_img_attn_qkv": (3072, 9216)}, ("flux", "flux2", "chroma", "hunyuan-video")),
        ({"double_blocks_18_img_attn_qkv": (3072, 9216)}, ("flux", "chroma", "hunyuan-video")),
        ({"single_blocks_30_linear1": (3072, 21504)}, ("flux", "chroma", "hunyuan-video")),
        ({"down_blocks_0_resnets_0_conv1": (320, 320)}, ("sdxl", "sd15", "sd2")),
        ({"mid_block_attentions_0_transformer_blocks_0_attn1_to_q": (1280, 1280)}, ("sdxl", "sd15", "sd2")),
        ({"down_blocks_3_resnets_0_conv1": (1280, 1280)}, ("sd15", "sd2")),
    ],
)
def test_modules_of_several_families_are_no_proof(names: Modules, candidates: tuple[str, ...]) -> None:
    guess = family_of(lora(names))
    assert (guess.family, guess.candidates) == ("unknown", candidates)
    assert guess.doubt
    assert all(family in guess.doubt for family in candidates)


ATTENTION = r"(attn|attention)\d?\.(to_|add_|qkv|proj|out|[qkvo]$|[qkv]_)"


@pytest.mark.parametrize(
    ("family", "variant", "pattern", "told"),
    [
        ("sd15", "", ATTENTION, ("sd15",)),
        ("sd15", "", "attn1", ("sd15", "sd2")),
        ("sdxl", "", "attn1", ("sdxl",)),
        ("sdxl", "", r"\.ff\.", ("sdxl",)),
        ("sd3", "3-medium", ATTENTION, ("sd3",)),
        ("flux", "", ATTENTION, ("flux", "chroma")),
        ("flux", "", r"^(single_)?transformer_blocks", ("flux",)),
        ("flux", "", r"^single_transformer_blocks\.(7|12|16|20)\.", ("flux", "hunyuan-video")),
        ("chroma", "", r"^(single_)?transformer_blocks", ("flux", "chroma")),
        ("hunyuan-video", "", ATTENTION, ("hunyuan-video",)),
        ("qwen-image", "", ATTENTION, ("qwen-image",)),
        ("auraflow", "", ATTENTION, ("auraflow",)),
        ("flux2", "klein-4b", "single", ("flux2",)),
        ("pixart", "", ATTENTION, ("pixart", "sana")),
        ("pixart", "", r"\.ff\.", ("pixart",)),
        ("sana", "0.6b", r"^transformer_blocks", ("sana",)),
        ("wan", "14B", ATTENTION, ("wan",)),
        ("ltx", "2B", ATTENTION, ("ltx",)),
    ],
)
def test_what_the_usual_choices_of_layers_leave_open(
    family: str, variant: str, pattern: str, told: tuple[str, ...]
) -> None:
    guess = family_of(lora(linear(real(family, variant)[0], pattern)))
    assert guess.candidates == told
    assert guess.family == (family if told == (family,) else "unknown")


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_a_part_of_a_model_is_never_told_another_family(data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(denoisers()) - 1))
    kind = data.draw(st.sampled_from(["any", "first blocks", "one kind"]))
    modules = list(listed(index))
    if kind == "first blocks":
        last = data.draw(st.integers(0, 59))
        modules = [one for one in modules if int((re.search(r"\d+", one[0]) or ["99"])[0]) <= last] or modules
    elif kind == "one kind":
        chosen = data.draw(st.sampled_from(modules))[0]
        modules = [one for one in modules if re.sub(r"\d+", "#", one[0]) == re.sub(r"\d+", "#", chosen)]
    if kind != "first blocks":
        size = data.draw(st.integers(1, min(len(modules), 40)))
        modules = random.Random(data.draw(st.integers())).sample(modules, size)
    hidden = data.draw(st.sampled_from(["none", "input", "output", "both"]))
    keep = {"none": (1, 1), "input": (0, 1), "output": (1, 0), "both": (0, 0)}[hidden]
    widths = {("unet", name): (read * keep[0], written * keep[1]) for name, (read, written) in modules}
    check_against(family_of(widths), denoisers()[index].family)


def check_against(guess: FamilyGuess, family: str) -> None:
    """`guess` may be less than `family`, never something else."""
    if family in FAMILIES:
        assert family in guess.candidates
    assert guess.family in (family, "unknown")
    assert (guess.doubt is None) == (guess.family != "unknown")
    assert guess.evidence


@pytest.mark.parametrize(("family", "variant"), [key for key in OURS if key[0] != "miniature"])
def test_a_whole_model_with_one_module_of_another_is_unknown(family: str, variant: str) -> None:
    other = "sd15" if family not in UNETS else "flux"
    extra = {
        "sd15": ("down_blocks.3.resnets.0.conv1", (1280, 1280)),
        "flux": ("single_blocks.37.linear1", (3072, 21504)),
    }
    name, sizes = extra[other]
    guess = family_of({**lora(real(family, variant)[0]), ("transformer", name): sizes})
    assert guess.family == "unknown"
    assert guess.doubt is not None
    assert "mixes" in guess.doubt
    assert name in guess.doubt
    assert family in guess.doubt


def test_two_halves_of_two_families_are_said_to_be_mixed() -> None:
    guess = family_of({**lora(linear(real("sdxl", "")[0])), **lora(linear(real("flux", "")[0], "single"))})
    assert guess.family == "unknown"
    assert guess.doubt is not None
    assert guess.doubt.startswith("it mixes families: 794 of its ")


@pytest.mark.parametrize("width", [4096, 512, 1280])
def test_a_width_that_no_family_has_is_unknown_however_many_modules_fit(width: int) -> None:
    modules = linear(real("sdxl", "")[0])
    changed = {name: (width, out) if re.search("attn2.to_[kv]", name) else (read, out)
               for name, (read, out) in modules.items()}  # fmt: skip
    guess = family_of(lora(changed))
    assert guess.family == "unknown"
    assert guess.doubt is not None
    assert str(width) in guess.doubt


def test_a_block_beyond_the_last_one_is_unknown() -> None:
    modules = linear(real("qwen-image", "")[0]) | {"transformer_blocks.60.attn.to_q": (3072, 3072)}
    assert family_of(lora(modules)).family == "unknown"


def test_a_few_unknown_modules_are_a_doubt_and_many_are_unknown() -> None:
    modules = linear(real("wan", "14B")[0], "blocks.0")
    strange = {f"vace_blocks.{number}.x": (5120, 5120) for number in range(len(modules))}
    few = family_of(lora(modules | dict(itertools.islice(strange.items(), 3))))
    assert few.family == "wan"
    assert few.doubt is not None
    assert few.doubt.startswith("3 of its 13 modules, such as 'vace_blocks.0.x',")
    many = family_of(lora(modules | strange))
    assert (many.family, many.candidates) == ("unknown", ())


TEXT: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "clip-l": {"text_encoder": ("sdxl", "sd15", "flux", "sd3"), "text_encoder_2": ("hunyuan-video",)},
    "openclip-h": {"text_encoder": ("sd2",)},
    "clip-g": {"text_encoder_2": ("sdxl", "sd3")},
    "t5-xxl": {"text_encoder": ("wan", "chroma", "ltx", "cogvideox", "pixart"), "text_encoder_2": ("flux",),
               "text_encoder_3": ("flux", "chroma", "sd3")},
    "gemma2-2b": {"text_encoder": ("lumina2", "sana")},
    "qwen3-0.6b": {"text_encoder": ("anima",)},
    "qwen3-4b": {"text_encoder": ("z-image", "flux2")},
    "clip-miniature": {"text_encoder": ("miniature",)},
}  # fmt: skip


@pytest.mark.parametrize(("name", "component"), [(name, part) for name, parts in TEXT.items() for part in parts])
@pytest.mark.parametrize("flat", [False, True])
def test_a_text_encoder_alone_tells_what_it_can(name: str, component: str, flat: bool) -> None:
    guess = family_of(lora(linear(encoder(name)), component, flat=flat))
    assert guess.candidates == TEXT[name][component]
    assert guess.family == (guess.candidates[0] if len(guess.candidates) == 1 else "unknown")


def test_wrappers_around_a_text_encoder_s_layers_change_nothing() -> None:
    bare = {name.removeprefix("text_model."): sizes for name, sizes in linear(encoder("openclip-h")).items()}
    assert family_of(lora(bare, "text_encoder")).family == "sd2"
    wrapped = {f"model.language_model.{name}": sizes for name, sizes in linear(encoder("qwen3-0.6b")).items()}
    assert family_of(lora(wrapped, "text_encoder")).family == "anima"


def test_both_text_encoders_and_the_unet_agree() -> None:
    whole = {
        **lora(linear(real("sdxl", "")[0], "attn1"), "unet"),
        **lora(linear(encoder("clip-l")), "text_encoder"),
        **lora(linear(encoder("clip-g")), "text_encoder_2"),
    }
    assert family_of(whole).family == "sdxl"


def test_a_text_encoder_decides_between_two_unets() -> None:
    unet = lora(linear(real("sd2", "")[0], "attn1"), "unet")
    assert family_of(unet).candidates == ("sd15", "sd2")
    assert family_of({**unet, **lora(linear(encoder("openclip-h")), "text_encoder")}).family == "sd2"


def test_another_family_s_text_encoder_is_a_mixture() -> None:
    widths = {**lora(linear(real("sdxl", "")[0])), **lora(linear(encoder("openclip-h")), "text_encoder")}
    guess = family_of(widths)
    assert guess.family == "unknown"
    assert guess.doubt is not None
    assert "mixes" in guess.doubt


def test_flux_is_told_from_the_longer_hunyuan_video_by_where_its_blocks_end() -> None:
    modules = linear(real("flux", "")[0], r"^(single_)?transformer_blocks\.\d+\.norm")
    assert family_of(lora(modules)).family == "flux"
    without_the_last = {name: sizes for name, sizes in modules.items() if ".37." not in name}
    assert family_of(lora(without_the_last)).candidates == ("flux", "hunyuan-video")


def test_blocks_changed_unevenly_do_not_prove_where_a_model_ends() -> None:
    modules = linear(real("flux", "")[0], r"^(single_)?transformer_blocks")
    del modules["single_transformer_blocks.20.norm.linear"]
    assert family_of(lora(modules)).candidates == ("flux", "hunyuan-video")


def test_the_evidence_is_said_in_sentences() -> None:
    guess = family_of(lora(linear(real("sdxl", "")[0])))
    assert guess.evidence[0] == "cross-attention reads 2048-wide text"
    assert guess.evidence[1].endswith("is a module of sdxl only")
    assert guess.evidence[-1] == "794 modules, all of them known by name and width"


def test_a_lora_without_modules_says_so() -> None:
    assert family_of({}) == FamilyGuess(family="unknown", doubt="it changes no modules")


@pytest.mark.parametrize(
    "name", ["", ".", "#", "blocks_#_attn", "\x1b[31m", "a" * 10_000, "9" * 5000, "blocks.٣.x", "²"]
)
@pytest.mark.parametrize("component", ["unet", "text_encoder", "text_encoder_9", ""])
def test_hostile_names_are_unknown_and_shown_escaped(name: str, component: str) -> None:
    guess = family_of({(component, name): (1, 1)})
    assert guess.family == "unknown"
    assert guess.doubt is not None
    assert guess.doubt.isprintable()
    assert len(guess.doubt) < 300


# Models of which whole blocks have the names and widths of another's; those of Wan, CogVideoX and HunyuanVideo were
# made from it. Nothing but metadata tells them apart.
TWINS = {
    "AnyFlowFARTransformer3DModel": "wan", "AnyFlowTransformer3DModel": "wan", "ChronoEditTransformer3DModel": "wan",
    "HeliosTransformer3DModel": "wan", "WanAnimateTransformer3DModel": "wan", "WanVACETransformer3DModel": "wan",
    "ConsisIDTransformer3DModel": "cogvideox", "HunyuanVideoTransformer3DModel": "hunyuan-video",
    "MotifVideoTransformer3DModel": "hunyuan-video", "BriaFiboTransformer2DModel": "flux",
    "BriaTransformer2DModel": "flux", "LongCatImageTransformer2DModel": "flux", "SanaVideoTransformer3DModel": "sana",
}  # fmt: skip


def test_the_other_models_of_diffusers_are_not_taken_for_one_of_these() -> None:
    import diffusers
    import torch

    ours = {model.cls for model in DENOISERS.values()}
    others = [name for name in dir(diffusers) if re.search(r"(?<!ControlNet)Transformer\w*Model$|UNet\w*Model$", name)]
    taken, seen = {}, 0
    for name in sorted(set(others) - ours):
        try:
            with torch.device("meta"):
                modules = linear(weighted_modules(getattr(diffusers, name)()))
        except (TypeError, ValueError):  # no default configuration
            continue
        seen += 1
        for pattern in ("", r"block|layers", ATTENTION):
            if (guess := family_of(lora(linear(modules, pattern)))).family != "unknown":
                taken[name] = guess.family
    assert seen > 30
    assert taken == TWINS
