"""Every family renders through the same code: loaded from a folder, exact, independent of batch company, guided."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from lora_doctor import base_classes
from lora_doctor.base_models import base_family, load_pipeline, pipeline_defaults, pipeline_family
from lora_doctor.errors import UsageError
from lora_doctor.lora_file import read_lora
from lora_doctor.render import Renderer
from lora_doctor.render_prompts import too_long
from lora_doctor.types import Cell
from tests.tiny_pipeline import SIZE, TEXT_WIDTH, tiny_pipeline, tiny_xl_pipeline
from tests.tiny_transformers import ADAPTED, TRANSFORMERS, tiny_flux, tiny_sd15

MAKERS: dict[str, Callable[[Path], Any]] = {
    "sd15": tiny_sd15,
    "sd2": tiny_pipeline,  # predicts v, as SD2.1 does
    "sdxl": tiny_xl_pipeline,
    **TRANSFORMERS,
}
GUIDANCE = {"flux": 3.5, "z-image": 2.0}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Family -> folder, written by the pipeline's own save_pretrained."""
    root = tmp_path_factory.mktemp("families")
    for family, make in MAKERS.items():
        make(root / f"{family}-parts").save_pretrained(root / family)
    return {family: root / family for family in MAKERS}


@pytest.fixture(scope="module", params=list(MAKERS))
def loaded(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Any:
    """(family, pipeline as the product loads it); the tiny UNets' text width is given the family's name."""
    family = str(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(base_classes.TEXT_WIDTHS, TEXT_WIDTH, family)
        pipeline = load_pipeline(folders[family], "cpu")
        assert (base_family(folders[family]), pipeline_family(pipeline)) == (family, family)
        assert pipeline_defaults(pipeline).steps > 0
    return family, pipeline


def cell(replicate: int = 0, *, weight: float = 0.0, prompt: str = "a girl", negative: str = "") -> Cell:
    return Cell(
        weight=weight, environment="beach", trained=False, framing="close-up", replicate=replicate,
        prompt=prompt, negative_prompt=negative, seed=100 + replicate,
    )  # fmt: skip


def renderer(loaded: Any, lora: Any = None, **options: Any) -> Renderer:
    family, pipeline = loaded
    settings = {"steps": 2, "guidance": GUIDANCE.get(family, 3.0), "width": SIZE, "height": SIZE}
    return Renderer(pipeline, lora, **settings | options)


def pictures(render: Renderer, cells: Sequence[Cell]) -> dict[str, np.ndarray[Any, Any]]:
    found = dict(render.render(cells))
    assert all(isinstance(picture, Image.Image) for picture in found.values()), found
    return {each.key: np.asarray(picture, dtype=np.int16) for each, picture in found.items()}


def directly(loaded: Any, asked: Cell) -> np.ndarray[Any, Any]:
    """The cell's picture by one plain call of the pipeline, as its documentation has it."""
    family, pipeline = loaded
    strength = GUIDANCE.get(family, 3.0)
    guidance = {"true_cfg_scale": strength} if family == "qwen-image" else {"guidance_scale": strength}
    negative = {} if family == "flux" else {"negative_prompt": asked.negative_prompt}
    result = pipeline(
        prompt=asked.prompt, num_inference_steps=2, width=SIZE, height=SIZE, **guidance, **negative,
        generator=torch.Generator("cpu").manual_seed(asked.seed),
    )  # fmt: skip
    return np.asarray(result.images[0], dtype=np.int16)


def test_the_tiny_folders_are_small(folders: dict[str, Path]) -> None:
    for folder in folders.values():
        assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 3_000_000


def test_a_picture_is_that_of_the_pipelines_own_call(loaded: Any) -> None:
    asked = cell(negative="" if loaded[0] == "flux" else "bad")
    shown = pictures(renderer(loaded, batch_size=1), [asked])[asked.key]
    assert shown.shape == (SIZE, SIZE, 3)
    assert np.abs(shown - directly(loaded, asked)).max() <= 1


def test_a_picture_does_not_depend_on_its_batch(loaded: Any) -> None:
    prompts = ("a girl", "one girl with long red hair on a beach, close-up", "x")
    cells = [cell(number, prompt=prompt) for number, prompt in enumerate(prompts)]
    alone = pictures(renderer(loaded, batch_size=1), cells)
    together = pictures(renderer(loaded, batch_size=3), list(reversed(cells)))
    assert max(np.abs(alone[key] - together[key]).max() for key in alone) <= 1
    assert len({picture.tobytes() for picture in alone.values()}) == len(cells)


def test_the_prompt_and_the_guidance_change_the_picture(loaded: Any) -> None:
    plain, other = cell(prompt="a girl"), cell(prompt="two boys")
    weak, strong = renderer(loaded, guidance=1.5), renderer(loaded, guidance=30.0)
    first = pictures(strong, [plain])[plain.key]
    assert np.abs(first - pictures(strong, [other])[other.key]).max() > 1
    assert np.abs(first - pictures(weak, [plain])[plain.key]).max() > 1


def test_a_negative_prompt_works_or_its_absence_is_said(loaded: Any) -> None:
    family, _ = loaded
    plain, asked = cell(), cell(negative="worst quality, " * 3)
    render = renderer(loaded, guidance=30.0)
    if family == "flux":
        with pytest.warns(UserWarning, match="FluxPipeline at guidance 30 reads no negative prompt"):
            pictures(render, [asked])
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*negative prompt.*")
        shown = pictures(render, [asked])[asked.key]
    assert np.abs(shown - pictures(render, [plain])[plain.key]).max() > 1


def test_without_guidance_there_is_no_negative_pass(loaded: Any) -> None:
    family, pipeline = loaded
    denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
    seen: list[int] = []
    hook = denoiser.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(len(args[0] if args else kwargs["hidden_states"])), with_kwargs=True
    )
    try:
        pictures(renderer(loaded, guidance=0.0 if family == "z-image" else 1.0), [cell()])
    finally:
        hook.remove()
    assert seen == [1, 1]  # two steps, one picture each


@pytest.mark.parametrize("width", [SIZE + 2, 2])
def test_a_size_that_would_be_changed_silently_is_refused(loaded: Any, width: int) -> None:
    with pytest.raises(UsageError, match="multiples of"):
        renderer(loaded, width=width)


LIMITS = {"sd15": 77, "sd2": 77, "sdxl": 77, "sd3": 256, "flux": 512, "z-image": 512, "qwen-image": 1024}


def test_a_prompt_that_would_be_cut_is_not_rendered(loaded: Any) -> None:
    family, _ = loaded
    long = cell(prompt="x" * (LIMITS[family] + 1), replicate=1)
    outcomes = dict(renderer(loaded).render([long, cell()]))
    assert isinstance(outcomes[long], str) and f"the text encoder reads {LIMITS[family]}" in outcomes[long]
    assert isinstance(outcomes[cell()], Image.Image)


def tensors_in(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [tensor for each in inner for tensor in tensors_in(each)]


def denoiser_input(loaded: Any, asked: Cell) -> list[torch.Tensor]:
    """Every tensor the denoiser is given at the first step."""
    _, pipeline = loaded
    denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
    seen: list[list[torch.Tensor]] = []
    hook = denoiser.register_forward_pre_hook(lambda _, *given: seen.append(tensors_in(given)), with_kwargs=True)
    try:
        pictures(renderer(loaded), [asked])
    finally:
        hook.remove()
    return seen[0]


def test_the_last_word_of_the_longest_prompt_reaches_the_denoiser(loaded: Any) -> None:
    _, pipeline = loaded
    length = next(n for n in range(600, 0, -1) if too_long(pipeline, "x " * n + "a") is None)
    assert too_long(pipeline, "x " * (length + 1) + "a") is not None
    one, two = (denoiser_input(loaded, cell(prompt="x " * length + last)) for last in "ab")
    assert [tensor.shape for tensor in one] == [tensor.shape for tensor in two]
    assert not all(torch.equal(first, second) for first, second in zip(one, two, strict=True))


def test_a_lora_is_merged_and_taken_out_again(loaded: Any, tmp_path: Path) -> None:
    family, pipeline = loaded
    name = ADAPTED[family]
    part, _, layer = name.partition(".")
    weight = getattr(pipeline, part).get_submodule(layer).weight
    generator = torch.Generator().manual_seed(9)
    save_file(
        {
            f"{name}.lora_A.weight": torch.randn(2, weight.shape[1], generator=generator),
            f"{name}.lora_B.weight": torch.randn(weight.shape[0], 2, generator=generator),
        },
        tmp_path / "x.safetensors",
    )
    before, asked = weight.clone(), [cell(), cell(weight=1.0)]
    shown = pictures(renderer(loaded, read_lora(tmp_path / "x.safetensors")), asked)
    assert not np.array_equal(shown[asked[0].key], shown[asked[1].key])
    assert torch.equal(weight, before)


def test_flux_without_a_guidance_embedding_is_rendered_as_schnell(tmp_path: Path) -> None:
    tiny_flux(tmp_path / "parts", guidance_embeds=False).save_pretrained(tmp_path / "schnell")
    pipeline = load_pipeline(tmp_path / "schnell", "cpu")
    assert (pipeline_defaults(pipeline).steps, pipeline_defaults(pipeline).guidance) == (4, 0.0)
    long = cell(prompt="x" * 300)
    assert "reads 256" in str(dict(renderer(("flux", pipeline), guidance=0.0).render([long]))[long])


def test_sd3_without_its_third_text_encoder_reads_as_much_as_clip(tmp_path: Path) -> None:
    pipeline = TRANSFORMERS["sd3"](tmp_path / "parts")
    pipeline.register_modules(text_encoder_3=None, tokenizer_3=None)
    pipeline.save_pretrained(tmp_path / "sd3")
    loaded = ("sd3", load_pipeline(tmp_path / "sd3", "cpu"))
    assert pictures(renderer(loaded), [cell()])
    assert "reads 77" in str(dict(renderer(loaded).render([cell(prompt="x" * 100)])))
