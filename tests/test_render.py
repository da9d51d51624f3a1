"""Rendering with real diffusers pipelines, tiny and random: exactness, restoring, refusals, batches."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from lora_doctor import lora_merge
from lora_doctor.errors import EnvironmentFailure, InputRefused, UsageError
from lora_doctor.lora_file import read_lora
from lora_doctor.render import Renderer
from lora_doctor.types import Cell, LoraFile
from tests.tiny_pipeline import SIZE, tiny_pipeline, tiny_xl_pipeline

UNET_LAYERS = (
    "mid_block.attentions.0.transformer_blocks.0.attn2.to_k",
    "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0",
    "mid_block.attentions.0.proj_in",
    "down_blocks.1.resnets.0.conv1",
    "up_blocks.1.resnets.0.time_emb_proj",
)
TEXT_LAYERS = ("text_model.encoder.layers.0.self_attn.q_proj", "text_model.encoder.layers.1.mlp.fc1")
RANK, ALPHA = 3, 1.5


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tiny_pipeline(tmp_path_factory.mktemp("base"))


def cell(weight: float = 0.0, *, replicate: int = 0, prompt: str = "a girl", negative: str = "") -> Cell:
    return Cell(
        weight=weight, environment="beach", trained=False, framing="close-up", replicate=replicate,
        prompt=prompt, negative_prompt=negative, seed=100 + replicate,
    )  # fmt: skip


def renderer(pipeline: Any, lora: LoraFile | None = None, **options: Any) -> Renderer:
    return Renderer(pipeline, lora, **{"steps": 3, "guidance": 3.0, "width": SIZE, "height": SIZE} | options)


def layer(pipeline: Any, component: str, name: str) -> torch.nn.Module:
    part = getattr(pipeline, component)
    return part.get_submodule(name if hasattr(part, "text_model") else name.removeprefix("text_model."))


def factors(pipeline: Any, *, unet: Sequence[str] = UNET_LAYERS, text: Sequence[str] = TEXT_LAYERS) -> dict[Any, Any]:
    """(component, layer) -> (down, up), large enough to change the picture plainly."""
    made, generator = {}, torch.Generator().manual_seed(5)
    for component, names in (("unet", unet), ("text_encoder", text)):
        for name in names:
            shape = layer(pipeline, component, name).weight.shape
            down = torch.randn(RANK, *shape[1:], generator=generator) / 4
            up = torch.randn(shape[0], RANK, *(1 for _ in shape[2:]), generator=generator) / 4
            made[component, name] = (down, up)
    return made


def write_lora(
    path: Path, made: dict[Any, Any], *, kohya: bool = False, extra: dict[str, Any] | None = None
) -> LoraFile:
    """The factors as a file in kohya's or diffusers' layout, read back the way the product does."""
    tensors = dict(extra or {})
    for (component, name), (down, up) in made.items():
        short = {"unet": "lora_unet_", "text_encoder": "lora_te_"}.get(component, "")
        stem = short + name.replace(".", "_") if kohya else f"{component}.{name}"
        below, above = ("lora_down", "lora_up") if kohya else ("lora_A", "lora_B")
        tensors |= {f"{stem}.{below}.weight": down, f"{stem}.{above}.weight": up, f"{stem}.alpha": torch.tensor(ALPHA)}
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, path)
    return read_lora(path)


@pytest.fixture(scope="module")
def lora(pipeline: Any, tmp_path_factory: pytest.TempPathFactory) -> LoraFile:
    return write_lora(tmp_path_factory.mktemp("lora") / "x.safetensors", factors(pipeline))


def pictures(render: Renderer, cells: Sequence[Cell]) -> dict[str, np.ndarray[Any, Any]]:
    found = dict(render.render(cells))
    assert all(isinstance(picture, Image.Image) for picture in found.values()), found
    return {each.key: np.asarray(picture, dtype=np.int16) for each, picture in found.items()}


def weights_of(pipeline: Any) -> dict[str, torch.Tensor]:
    parts = (name for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module))
    return {f"{p}.{k}": v.clone() for p in parts for k, v in getattr(pipeline, p).state_dict().items()}


def directly(pipeline: Any, asked: Cell) -> np.ndarray[Any, Any]:
    """The cell's picture by one plain call of the pipeline."""
    result = pipeline(
        prompt=asked.prompt, negative_prompt=asked.negative_prompt, num_inference_steps=3, guidance_scale=3.0,
        width=SIZE, height=SIZE, generator=torch.Generator("cpu").manual_seed(asked.seed),
    )  # fmt: skip
    return np.asarray(result.images[0], dtype=np.int16)


def test_weight_zero_is_the_base_model(pipeline: Any, lora: LoraFile) -> None:
    asked = cell(0.0, negative="bad")
    expected = directly(pipeline, asked)
    shown = pictures(renderer(pipeline, lora, batch_size=1), [cell(1.0), asked])
    assert np.array_equal(shown[asked.key], expected)
    assert not np.array_equal(shown[cell(1.0).key], expected)


def test_merged_weights_equal_a_dense_computation(pipeline: Any, lora: LoraFile) -> None:
    dense, asked = copy.deepcopy(pipeline), cell(0.7)
    for (component, name), (down, up) in factors(pipeline).items():
        weight = layer(dense, component, name).weight
        delta = up.double().flatten(1) @ down.double().flatten(1) * 0.7 * ALPHA / RANK
        weight.data = (weight.double() + delta.view_as(weight)).float()
    shown = pictures(renderer(pipeline, lora), [asked])[asked.key]
    assert np.abs(shown - directly(dense, asked)).max() <= 1
    assert np.abs(shown - directly(pipeline, asked)).max() > 8


def test_agrees_with_the_loader_of_diffusers(pipeline: Any, tmp_path: Path) -> None:
    other, asked = copy.deepcopy(pipeline), cell(0.6)
    made = factors(pipeline)
    expected_file = write_lora(tmp_path / "kohya.safetensors", made, kohya=True)
    other.load_lora_weights(tmp_path / "kohya.safetensors", adapter_name="x")
    other.set_adapters(["x"], [0.6])
    shown = pictures(renderer(pipeline, expected_file), [asked])[asked.key]
    assert np.abs(shown - directly(other, asked)).max() <= 1


@pytest.mark.parametrize("stop_early", [False, True])
def test_afterwards_every_weight_is_pristine(pipeline: Any, lora: LoraFile, stop_early: bool) -> None:
    before = weights_of(pipeline)
    iterator = renderer(pipeline, lora, batch_size=1).render([cell(0.4), cell(1.0), cell(1.0, replicate=1)])
    next(iterator)
    changed = {name for name, value in weights_of(pipeline).items() if not torch.equal(value, before[name])}
    assert len(changed) == len(UNET_LAYERS) + len(TEXT_LAYERS)
    if stop_early:
        iterator.close()
    else:
        list(iterator)
    assert all(torch.equal(value, before[name]) for name, value in weights_of(pipeline).items())


def test_kohya_and_diffusers_names_give_the_same_picture(pipeline: Any, lora: LoraFile, tmp_path: Path) -> None:
    kohya = write_lora(tmp_path / "kohya.safetensors", factors(pipeline), kohya=True)
    assert kohya.format == "kohya" and lora.format == "diffusers"
    asked = cell(0.8)
    one, two = (pictures(renderer(pipeline, file), [asked])[asked.key] for file in (kohya, lora))
    assert np.array_equal(one, two)


def test_a_picture_does_not_depend_on_its_batch(pipeline: Any, lora: LoraFile) -> None:
    cells = [cell(w, replicate=n, prompt=f"{n} girl") for w in (0.0, 0.8) for n in range(4)]
    alone = pictures(renderer(pipeline, lora, batch_size=1), cells)
    together = pictures(renderer(pipeline, lora, batch_size=4), list(reversed(cells)))
    assert alone.keys() == together.keys()
    assert max(np.abs(alone[key] - together[key]).max() for key in alone) <= 1
    assert len({alone[key].tobytes() for key in alone}) == len(cells)


def test_what_is_done_is_left_out_and_the_rest_is_as_if_nothing_had_stopped(pipeline: Any, lora: LoraFile) -> None:
    cells = [cell(w, replicate=n, prompt=f"{n} girl") for w in (0.0, 0.8) for n in range(5)]
    whole = pictures(renderer(pipeline, lora, batch_size=4), cells)
    done = set(cells[:2] + cells[5:9])
    batches: list[int] = []
    hook = pipeline.vae.decoder.register_forward_pre_hook(lambda _, inputs: batches.append(len(inputs[0])))
    try:
        rest = dict(renderer(pipeline, lora, batch_size=4).render(cells, done))
    finally:
        hook.remove()
    assert set(rest) == set(cells) - done
    assert all(np.array_equal(np.asarray(picture, dtype=np.int16), whole[c.key]) for c, picture in rest.items())
    assert batches == [4, 1, 1]  # weight 0.8's first four are all there


def test_each_prompt_is_encoded_once_per_weight_only_if_text_is_adapted(
    pipeline: Any, lora: LoraFile, tmp_path: Path
) -> None:
    calls: list[int] = []
    hook = pipeline.text_encoder.register_forward_pre_hook(lambda *_: calls.append(1))
    cells = [cell(w, replicate=n, prompt=p) for w in (0.0, 1.0) for n in range(3) for p in ("a", "b")]
    try:
        pictures(renderer(pipeline, lora), cells)
        with_text = len(calls)
        calls.clear()
        unet_only = write_lora(tmp_path / "unet.safetensors", factors(pipeline, text=()))
        pictures(renderer(pipeline, unet_only), cells)
    finally:
        hook.remove()
    assert (with_text, len(calls)) == (2 * 2 * 2, 2 * 2)  # each with its negative prompt


def test_refuses_modules_that_the_base_model_lacks(pipeline: Any, tmp_path: Path) -> None:
    made = factors(pipeline)
    made["unet", "down_blocks.7.attentions.0.proj_in"] = made["unet", "mid_block.attentions.0.proj_in"]
    made["transformer", "blocks.0.to_q"] = made["text_encoder", TEXT_LAYERS[0]]
    file = write_lora(tmp_path / "x.safetensors", made)
    before = weights_of(pipeline)
    with pytest.raises(InputRefused, match=r"2 of 9 modules are not in the base model: .*down_blocks\.7.*family"):
        renderer(pipeline, file)
    assert all(torch.equal(value, before[name]) for name, value in weights_of(pipeline).items())


def test_refuses_factors_of_another_shape(pipeline: Any, tmp_path: Path) -> None:
    made = factors(pipeline)
    down, up = made["unet", UNET_LAYERS[0]]
    made["unet", UNET_LAYERS[0]] = (torch.cat([down, down], dim=1), up)
    file = write_lora(tmp_path / "x.safetensors", made)
    with pytest.raises(InputRefused, match=r"1 of 7 modules have another shape .*attn2\.to_k"):
        renderer(pipeline, file)


def test_refuses_an_update_of_zeros(pipeline: Any, tmp_path: Path) -> None:
    zero = {where: (down, torch.zeros_like(up)) for where, (down, up) in factors(pipeline).items()}
    with pytest.raises(InputRefused, match="changes nothing"):
        renderer(pipeline, write_lora(tmp_path / "x.safetensors", zero))


def test_refuses_what_merging_would_leave_out(pipeline: Any, tmp_path: Path) -> None:
    file = write_lora(tmp_path / "x.safetensors", factors(pipeline), extra={"something.else": torch.ones(32)})
    with pytest.raises(InputRefused, match=r"1 tensor.*something\.else"):
        renderer(pipeline, file)


def test_a_weight_needs_a_lora(pipeline: Any) -> None:
    assert len(pictures(renderer(pipeline), [cell(0.0)])) == 1
    with pytest.raises(UsageError):
        list(renderer(pipeline).render([cell(0.5)]))


@pytest.mark.parametrize(("fits", "left"), [(4, 2), (0, 1)])
def test_out_of_memory_halves_the_batch(pipeline: Any, fits: int, left: int) -> None:
    def refuse(_: Any, arguments: Any) -> None:
        if len(arguments[0]) > fits:  # guidance doubles the batch
            raise torch.OutOfMemoryError("CUDA out of memory")

    hook, render = pipeline.unet.register_forward_pre_hook(refuse), renderer(pipeline, batch_size=8)
    cells = [cell(replicate=n) for n in range(5)]
    try:
        if fits:
            assert len(pictures(render, cells)) == 5
        else:
            with pytest.raises(EnvironmentFailure, match="out of memory"):
                list(render.render(cells))
    finally:
        hook.remove()
    assert render.batch_size == left


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("CUDA error: unspecified launch failure")]
)
def test_a_machine_that_fails_between_two_weights_is_told_as_that(
    pipeline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*given: Any, **options: Any) -> Any:
        raise error

    render = renderer(pipeline, write_lora(tmp_path / "x.safetensors", factors(pipeline)))
    rendered = render.render([cell(0.0), cell(1.0)])
    next(rendered)
    monkeypatch.setattr(lora_merge, "weight_at", fails)
    with pytest.raises(EnvironmentFailure, match="while pictures are rendered"):
        next(rendered)


@pytest.mark.parametrize(("value", "reason"), [(float("nan"), "not finite"), (0.0, "flat")])
def test_a_failed_picture_comes_with_its_reason(pipeline: Any, value: float, reason: str) -> None:
    broken = copy.deepcopy(pipeline)
    torch.nn.init.constant_(broken.vae.decoder.conv_out.weight, value)
    ((asked, outcome),) = renderer(broken).render([cell()])
    assert asked == cell() and isinstance(outcome, str) and reason in outcome


def test_a_prompt_that_would_be_cut_is_not_rendered(pipeline: Any) -> None:
    long = cell(prompt="a girl, " * 40, replicate=1)
    outcomes = dict(renderer(pipeline).render([long, cell()]))
    assert isinstance(outcomes[long], str) and "77" in outcomes[long]
    assert isinstance(outcomes[cell()], Image.Image)


def test_sdxl_renders_with_both_text_encoders_adapted(tmp_path: Path) -> None:
    pipeline = tiny_xl_pipeline(tmp_path)
    made = factors(pipeline)
    down, up = made["text_encoder", TEXT_LAYERS[0]]
    made["text_encoder_2", TEXT_LAYERS[0]] = (down, up)
    render = renderer(pipeline, write_lora(tmp_path / "x.safetensors", made), batch_size=2)
    plain, adapted = (cell(weight, negative="bad") for weight in (0.0, 1.0))
    shown = pictures(render, [plain, adapted, cell(1.0, replicate=1)])
    assert np.abs(shown[plain.key] - directly(pipeline, plain)).max() <= 1
    assert np.abs(shown[plain.key] - shown[adapted.key]).max() > 8
