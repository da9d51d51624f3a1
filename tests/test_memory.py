"""Memory: which mode fits a card, and that a LoRA is merged in every one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

from lora_doctor import base_models
from lora_doctor.base_models import load_pipeline
from lora_doctor.errors import EnvironmentFailure, UsageError
from lora_doctor.lora_file import read_lora
from lora_doctor.memory import GB, WORKING, Memory, choose_memory, free_memory, part_bytes, place, weights_at_hand
from lora_doctor.render import Renderer
from lora_doctor.render_defaults import DEFAULTS
from lora_doctor.types import Cell
from tests.test_devices import ring
from tests.tiny_pipeline import SIZE, tiny_folder
from tests.tiny_transformers import ADAPTED, TRANSFORMERS

HALF_PRECISION = {
    "sd15": {"unet": 1.72, "text_encoder": 0.25, "vae": 0.17},
    "sdxl": {"unet": 5.14, "text_encoder": 0.25, "text_encoder_2": 1.39, "vae": 0.17},
    "sd3": {"transformer": 4.94, "text_encoder": 0.25, "text_encoder_2": 1.39, "text_encoder_3": 9.52, "vae": 0.17},
    "z-image": {"transformer": 12.3, "text_encoder": 8.04, "vae": 0.17},
    "flux": {"transformer": 23.8, "text_encoder": 0.25, "text_encoder_2": 9.52, "vae": 0.17},
    "qwen-image": {"transformer": 40.9, "text_encoder": 16.6, "vae": 0.25},
}
"""Family -> 10^9 bytes per part as published, at two bytes a number."""


@pytest.mark.parametrize(
    ("family", "modes"),
    [
        ("sd15", ("full", "full", "full", "full")),
        ("sdxl", ("offload", "offload", "full", "full")),
        ("sd3", ("sequential", "offload", "tiled", "full")),
        ("z-image", ("sequential", "sequential", "offload", "full")),
        ("flux", ("sequential", "sequential", "sequential", "full")),
        ("qwen-image", ("sequential", "sequential", "sequential", "full")),
    ],
)
def test_the_mode_for_cards_of_8_12_24_and_141_gb(family: str, modes: tuple[str, ...]) -> None:
    weights = {name: int(size * GB) for name, size in HALF_PRECISION[family].items()}
    cards = (8, 12, 24, 141)
    assert tuple(choose_memory(int(card * 0.96 * GB), weights, family) for card in cards) == modes


def test_less_memory_never_chooses_a_less_sparing_mode() -> None:
    order = ("full", "tiled", "offload", "sequential")
    for family, sizes in HALF_PRECISION.items():
        weights = {name: int(size * GB) for name, size in sizes.items()}
        chosen = [order.index(choose_memory(free * GB, weights, family)) for free in range(150, 0, -1)]
        assert chosen == sorted(chosen)


@pytest.mark.parametrize(
    ("family", "component", "copied"),
    [("sdxl", "text_encoder_2", "text_encoder_2"), ("flux", "text_encoder_3", "text_encoder_2")],
)
def test_the_copy_of_an_adapted_text_encoder_is_counted(family: str, component: str, copied: str) -> None:
    """A FLUX file calls its T5 the third text encoder."""
    weights = {name: int(size * GB) for name, size in HALF_PRECISION[family].items()}
    denoiser = weights.get("unet", 0) + weights.get("transformer", 0)
    least = sum(weights.values()) + denoiser + WORKING[family][0]
    assert choose_memory(least, weights, family) == choose_memory(least, weights, family, ["unet"]) == "full"
    assert choose_memory(least, weights, family, [component]) != "full"
    assert choose_memory(least + weights[copied], weights, family, [component]) == "full"


def test_part_sizes_are_counted_in_the_precision_they_are_loaded_in(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3, 5), "b": torch.zeros(7, dtype=torch.bfloat16)}, tmp_path / "x.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"\xff" * 100)
    parts = {"unet": (tmp_path / "x.safetensors",) * 2, "vae": (tmp_path / "broken.safetensors",)}
    assert part_bytes(parts, 2) == {"unet": 2 * (15 + 7) * 2, "vae": 100}


def test_on_the_cpu_there_is_no_memory_to_choose_by() -> None:
    assert free_memory("cpu") is None


def test_a_gpu_too_full_for_the_base_model_is_told_with_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any, **options: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("diffusers.StableDiffusionPipeline.to", full)
    with pytest.raises(EnvironmentFailure, match=r"out of memory while the base model is loaded.*`memory`.*offload"):
        load_pipeline(folder, "cpu")


def test_an_unknown_mode_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"no memory mode `low`.*offload"):
        load_pipeline(folder, "cpu", memory="low")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("models") / "base")


@pytest.fixture(scope="module")
def bases(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Family -> folder."""
    root = tmp_path_factory.mktemp("families")
    for family, make in TRANSFORMERS.items():
        make(root / f"{family}-parts").save_pretrained(root / family)
    return {"sd15": folder, **{family: root / family for family in TRANSFORMERS}}


def cells(*weights: float) -> list[Cell]:
    return [
        Cell(
            weight=weight, environment="beach", trained=False, framing="close-up", replicate=0, prompt="a girl",
            negative_prompt="", seed=7,
        )
        for weight in weights
    ]  # fmt: skip


def write_lora(base: Path, family: str, path: Path) -> None:
    """A LoRA on one layer of the denoiser, large enough to show."""
    part, _, layer = ADAPTED[family].partition(".")
    outputs, inputs = getattr(load_pipeline(base, "cpu"), part).get_submodule(layer).weight.shape
    generator = torch.Generator().manual_seed(5)
    down, up = (3 * torch.randn(shape, generator=generator) for shape in ((2, inputs), (outputs, 2)))
    save_file({f"{ADAPTED[family]}.lora_A.weight": down, f"{ADAPTED[family]}.lora_B.weight": up}, path)


def drawn(base: Path, lora: Path, memory: str, device: str, weights: tuple[float, ...]) -> list[np.ndarray[Any, Any]]:
    pipeline = load_pipeline(base, device, memory=memory)
    pipeline.vae.disable_tiling()  # the seams of tiles this small are another picture, with a LoRA and without
    render = Renderer(pipeline, read_lora(lora), steps=2, guidance=20.0, width=SIZE, height=SIZE)
    return [np.asarray(picture, dtype=np.int16) for _, picture in render.render(cells(*weights))]


@pytest.mark.parametrize("memory", ["tiled", "offload", "sequential"])
@pytest.mark.parametrize("family", ["sd15", *TRANSFORMERS])
def test_a_lora_is_merged_in_every_mode(bases: dict[str, Path], tmp_path: Path, family: str, memory: str) -> None:
    """The offloading hooks are the real ones; here they move weights between the CPU and the CPU."""
    base = bases[family]
    write_lora(base, family, tmp_path / "x.safetensors")
    weights = (0.0, 1.0, -1.0)
    expected = drawn(base, tmp_path / "x.safetensors", "full", "cpu", weights)
    found = drawn(base, tmp_path / "x.safetensors", memory, "cpu", weights)
    assert all(np.abs(one - two).max() <= 1 for one, two in zip(expected, found, strict=True))
    assert np.abs(expected[0] - expected[1]).max() > 1 and np.abs(expected[1] - expected[2]).max() > 1


def test_sequential_offload_really_empties_the_modules_and_merging_needs_them_back(folder: Path) -> None:
    pipeline = load_pipeline(folder, "cpu", memory="sequential")
    weight = pipeline.unet.conv_in.weight
    assert weight.is_meta
    with weights_at_hand(pipeline):
        live = pipeline.unet.conv_in.weight
        assert not live.is_meta
    assert pipeline.unet.conv_in.weight.is_meta
    with torch.no_grad():
        live.zero_()
    seen: list[float] = []
    hook = pipeline.unet.conv_in.register_forward_hook(
        lambda *given: seen.append(float(given[2].flatten(2).std(2).max()))
    )
    pipeline("a girl", num_inference_steps=1, width=SIZE, height=SIZE)
    hook.remove()
    assert seen == [0.0]  # without weights a convolution's output is its bias, the same everywhere
    assert pipeline.unet.conv_in.weight.is_meta


def test_other_modes_leave_the_weights_where_they_are(folder: Path) -> None:
    pipeline = load_pipeline(folder, "cpu", memory="offload")
    before = pipeline.unet.conv_in.weight
    with weights_at_hand(pipeline):
        assert pipeline.unet.conv_in.weight is before


def test_a_mode_switches_the_decoders_tiles_on(folder: Path, bases: dict[str, Path]) -> None:
    plain, tiled = (load_pipeline(folder, "cpu", memory=mode) for mode in ("full", "tiled"))
    assert not plain.vae.use_tiling and not plain.vae.use_slicing
    assert tiled.vae.use_tiling and tiled.vae.use_slicing
    assert tiled.vae.tile_sample_min_size == SIZE // 2  # of a family that is not known: its decoder's own size
    known = load_pipeline(bases["sd3"], "cpu", memory="tiled").vae
    assert known.tile_sample_min_size == DEFAULTS["sd3"].width // 2


@pytest.mark.parametrize("memory", ["tiled", "offload", "sequential"])
@pytest.mark.parametrize(("family", "said"), [("sd15", 512), ("sd2", 768), ("sdxl", 1024), ("sdxl", 512)])
def test_a_picture_of_the_family_s_usual_size_is_decoded_and_encoded_in_tiles(
    folder: Path, monkeypatch: pytest.MonkeyPatch, family: str, said: int, memory: Memory
) -> None:
    """`said`: the sample size in the config of the decoder as published; some SDXL decoders say 512."""
    side, pipeline = DEFAULTS[family].width, load_pipeline(folder, "cpu", memory="full")
    pipeline.vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(2, 2, 2, 2), norm_num_groups=1, layers_per_block=1, sample_size=said,
        mid_block_add_attention=False,
    ).eval()  # fmt: skip
    place(pipeline, memory, "cpu", side=side)
    shapes: list[tuple[int, ...]] = []
    pipeline.vae.decoder.register_forward_hook(lambda *given: shapes.append(tuple(given[2].shape[2:])))
    with torch.inference_mode():
        pixels = torch.zeros(1, 3, side, side)
        latents = pipeline.vae.encode(pixels).latent_dist.mode()
        drawn = pipeline.vae.decode(latents).sample
    assert latents.shape[2:] == (side // 8, side // 8) and drawn.shape == pixels.shape
    assert len(shapes) > 1 and max(max(shape) for shape in shapes) == side // 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("memory", ["full", "tiled", "offload", "sequential"])
@pytest.mark.parametrize("family", ["sd15", *TRANSFORMERS])
def test_on_a_gpu_a_lora_is_merged_in_every_mode(
    bases: dict[str, Path], tmp_path: Path, family: str, memory: str
) -> None:
    base = bases[family]
    write_lora(base, family, tmp_path / "x.safetensors")
    weights = (0.0, 1.0, -1.0)
    expected = drawn(base, tmp_path / "x.safetensors", "full", "cuda", weights)
    found = drawn(base, tmp_path / "x.safetensors", memory, "cuda", weights)
    assert all(np.abs(one - two).max() <= 2 for one, two in zip(expected, found, strict=True))
    assert np.abs(expected[0] - expected[1]).max() > 1


def test_what_nobody_uses_any_more_is_released_before_free_memory_is_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counted(device: str) -> int | None:
        raise EnvironmentFailure("held" if left() is not None else "free")

    monkeypatch.setattr(base_models, "free_memory", counted)
    with ring() as left, pytest.raises(EnvironmentFailure, match="free"):
        load_pipeline(folder, "cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_free_memory_is_what_the_device_says(folder: Path) -> None:
    free = free_memory("cuda")
    assert free is not None and 0 < free <= torch.cuda.get_device_properties(0).total_memory


def test_a_gpu_that_is_not_there_is_the_machines_fault() -> None:
    with pytest.raises(EnvironmentFailure, match="cuda:99"):
        free_memory("cuda:99")
