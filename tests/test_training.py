"""The reference trainer on a tiny real pipeline: what it learns, what it writes, and that it goes on where it was."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft.tuners.lora import LoraLayer
from PIL import Image, ImageDraw, ImageOps
from safetensors import safe_open
from safetensors.torch import load_file

from lora_doctor import training
from lora_doctor.base_models import load_pipeline
from lora_doctor.errors import EnvironmentFailure, InputRefused, UsageError
from lora_doctor.lora_file import read_lora
from lora_doctor.render import Renderer
from lora_doctor.training import diffusion_targets, rate_share, train_lora
from lora_doctor.training_model import TARGETS, add_adapters, encode_pictures, load_base
from lora_doctor.training_plan import TrainingPlan
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, Cell, Dataset, DatasetImage, TrainingSettings
from tests.tiny_pipeline import SIZE, tiny_folder, tiny_xl_pipeline

Train = Callable[..., Path]
SHORT = TrainingSettings(steps=6, rank=4, alpha=2.0, batch_size=2, learning_rate=1e-3, seed=3, identity_ratio=0.33,
                         caption_token_dropout=0.3, negative_tokens=("black_hair", "brown_eyes"))  # fmt: skip

QUICK = dataclasses.replace(SHORT, steps=1)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("models") / "tiny-base")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder, images = tmp_path_factory.mktemp("dataset"), []
    for number in range(4):
        picture = Image.new("RGB", (SIZE + 4 * number, SIZE), (200, 40 + 20 * number, 40))
        ImageDraw.Draw(picture).ellipse((3, 3, 11, 11), fill=(30, 30, 220))
        picture.save(folder / f"{number}.png")
        images.append(
            DatasetImage(
                path=folder / f"{number}.png",
                width=picture.width,
                height=picture.height,
                caption="1girl, yu, beach",
                sha256=hashlib.sha256((folder / f"{number}.png").read_bytes()).hexdigest(),
                role=IDENTITY_EMPHASIS if number % 2 else IN_CONTEXT,
            )
        )
    return Dataset(path=folder, images=tuple(images))


@pytest.fixture
def train(base: Path, dataset: Dataset, tmp_path: Path) -> Train:
    def run(settings: TrainingSettings = SHORT, **options: Any) -> Path:
        options = {"trigger": "yu", "out": tmp_path / "lora.safetensors", "device": "cpu"} | options
        return train_lora(base, dataset, settings, **options)

    return run


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


def test_training_lowers_the_loss(train: Train) -> None:
    losses, counted = [], []

    def note(step: int, steps: int, loss: float) -> None:
        counted.append((step, steps))
        losses.append(loss)

    settings = TrainingSettings(steps=27, rank=8, batch_size=6, learning_rate=1.5e-2)
    train(settings, targets=tuple(TARGETS), progress=note)
    assert counted == [(step, 27) for step in range(1, 28)]
    assert np.mean(losses[-9:]) < 0.8 * np.mean(losses[:9])


def test_only_adapters_are_trained_and_the_base_stays(base: Path, train: Train) -> None:
    before = {path: path.read_bytes() for path in base.rglob("*") if path.is_file()}
    model = load_base(base)
    stored = {name: value.clone() for name, value in model.unet.state_dict().items()}
    adapters = add_adapters(model, TrainingPlan(steps=1, resolution=SIZE), ("attention",), "cpu")
    assert not any(p.requires_grad for p in (*model.vae.parameters(), *model.text_encoder.parameters()))
    trained = [name for name, p in model.unet.named_parameters() if p.requires_grad]
    assert len(trained) == len(adapters) and all("lora_" in name for name in trained)
    frozen = {name.replace(".base_layer", ""): p for name, p in model.unet.named_parameters() if not p.requires_grad}
    assert all(torch.equal(frozen[name], value) for name, value in stored.items())
    train(QUICK)
    assert {path: path.read_bytes() for path in base.rglob("*") if path.is_file()} == before


def test_the_same_seed_writes_the_same_file(train: Train, tmp_path: Path) -> None:
    one, two = train(), train(out=tmp_path / "two.safetensors")
    assert one.read_bytes() == two.read_bytes()
    other = load_file(train(dataclasses.replace(QUICK, seed=4), out=tmp_path / "three.safetensors"))
    assert any(not torch.equal(value, other[name]) for name, value in load_file(one).items())


@pytest.mark.parametrize("text", [False, True])
def test_the_file_fits_the_product_and_changes_the_picture(base: Path, train: Train, text: bool) -> None:
    settings = TrainingSettings(steps=5, batch_size=2, rank=4, alpha=8, learning_rate=3e-2, train_text_encoder=text)
    lora = read_lora(train(settings))
    assert (lora.format, lora.unknown_keys, {module.scale for module in lora.modules}) == ("diffusers", (), {1.0})
    assert {module.component for module in lora.modules} == ({"unet", "text_encoder"} if text else {"unet"})
    assert sum(m.name.startswith("text_model.") for m in lora.modules) == (12 if text else 0)
    render = Renderer(load_pipeline(base, "cpu"), lora, steps=2, guidance=2.0, width=SIZE, height=SIZE)
    cells = [
        Cell(weight=weight, environment="e", trained=True, framing="close-up", replicate=0, prompt="yu",
             negative_prompt="", seed=1) for weight in (0.0, 1.0)
    ]  # fmt: skip
    plain, adapted = (np.asarray(picture, dtype=int) for _, picture in render.render(cells))
    assert np.abs(plain - adapted).max() > 3


def test_diffusers_reads_the_file_at_the_scale_it_was_trained_with(base: Path, train: Train) -> None:
    """alpha = rank / 2 is in the factors: the delta in diffusers equals the delta that was trained."""
    path = train(QUICK)
    pipeline = load_pipeline(base, "cpu")
    pipeline.load_lora_weights(path, adapter_name="x")
    layer = pipeline.unet.mid_block.attentions[0].transformer_blocks[0].attn1.to_q
    tensors = load_file(path)
    stem = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    expected = tensors[f"{stem}.lora_B.weight"].float() @ tensors[f"{stem}.lora_A.weight"].float()
    assert layer.scaling["x"] == 1.0
    assert torch.allclose(layer.get_delta_weight("x"), expected.float(), rtol=1e-2, atol=1e-6)
    assert expected.abs().max() > 0


def test_the_learning_rate_rises_once_and_falls_to_a_tenth() -> None:
    shares = [rate_share(step, 200) for step in range(200)]
    assert shares[0] == pytest.approx(0.1)
    assert max(shares) == shares[10] == 1.0
    assert shares[:11] == sorted(shares[:11])
    assert shares[10:] == sorted(shares[10:], reverse=True)
    assert shares[-1] == pytest.approx(0.1)
    assert rate_share(0, 1) == 1.0


def test_groups_of_layers_can_be_chosen(train: Train) -> None:
    names = {name.removeprefix("unet.") for name in load_file(train(QUICK, targets=("attention", "resnet")))}
    assert any(name.endswith("conv1.lora_A.weight") for name in names)
    assert not any("proj_in" in name or ".ff." in name for name in names)
    with pytest.raises(UsageError, match="unknown group"):
        train(QUICK, targets=("everything",))


def test_the_metadata_tells_how_it_was_trained(train: Train) -> None:
    told = metadata(train(QUICK, extra={"lora_doctor.note": "patched"}))
    expected = {
        "format": "pt", "rank": "4", "lora_alpha": "4", "steps": "1", "lora_doctor.alpha": "2.0",
        "lora_doctor.caption_token_dropout": "0.3", "lora_doctor.identity_ratio": "0.33", "lora_doctor.seed": "3",
        "lora_doctor.negative_tokens": "black_hair, brown_eyes", "lora_doctor.train_text_encoder": "False",
        "lora_doctor.base": "tiny-base", "lora_doctor.trigger": "yu", "lora_doctor.trainer": "lora-doctor",
        "lora_doctor.resolution": str(SIZE), "lora_doctor.note": "patched",
    }  # fmt: skip
    assert expected.items() <= told.items()
    assert len(told["lora_doctor.dataset_sha256"]) == 64
    assert not any("/" in value for value in told.values())


class Killed(Exception):
    """Stands for whatever ends a training."""


def test_an_interrupted_training_goes_on_to_the_same_file(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(step: int, steps: int, loss: float) -> None:
        seen.append(step)
        if step == 4:
            raise Killed

    seen: list[int] = []
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    checkpoint = tmp_path / "training.safetensors"
    expected = train(out=tmp_path / "whole.safetensors").read_bytes()
    with pytest.raises(Killed):
        train(checkpoint=checkpoint, progress=kill)
    assert checkpoint.exists() and not (tmp_path / "lora.safetensors").exists()
    seen.clear()
    path = train(checkpoint=checkpoint, progress=lambda step, steps, loss: seen.append(step))
    assert seen == [5, 6] and path.read_bytes() == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lora.safetensors", "whole.safetensors"]


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_not_used(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: Any) -> None:
        raise Killed

    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    checkpoint = tmp_path / "training.safetensors"
    with pytest.raises(Killed):
        train(checkpoint=checkpoint, progress=kill)
    with pytest.raises(UsageError, match="another training"):
        train(TrainingSettings(steps=6, rank=8), checkpoint=checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    with pytest.raises(InputRefused, match="damaged"):
        train(checkpoint=checkpoint)


def test_a_full_disk_leaves_nothing_half_written(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(EnvironmentFailure, match="no space left"):
        train(QUICK)
    assert list(tmp_path.iterdir()) == []


def test_captions_reach_the_text_encoder_as_they_are_sampled(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    encode = training._encode_text

    def record(run: Any, captions: list[str]) -> torch.Tensor:
        shown.extend(captions)
        return encode(run, captions)

    monkeypatch.setattr(training, "_encode_text", record)
    train(TrainingSettings(steps=8, batch_size=20, rank=1, caption_token_dropout=0.5, negative_tokens=("x",)))
    assert len(shown) == 160 and all(caption.startswith("1girl, yu") for caption in shown)
    assert 0.35 < sum("beach" in caption for caption in shown) / 160 < 0.65
    assert 0.15 < sum(caption.endswith(", x") for caption in shown) / 160 < 0.45


def test_long_captions_are_reported(base: Path, dataset: Dataset, tmp_path: Path) -> None:
    long = dataclasses.replace(dataset.images[0], caption="1girl, yu, " + "very_long_hair, " * 20)
    longer = dataclasses.replace(dataset, images=(long, *dataset.images[1:]))
    with pytest.warns(UserWarning, match="1 of 4 captions are longer than the 77 tokens"):
        train_lora(base, longer, QUICK, trigger="yu", out=tmp_path / "x.safetensors", device="cpu")


def test_a_rate_that_diverges_is_the_users_to_lower(train: Train, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a number at step"):
        train(TrainingSettings(steps=20, rank=4, batch_size=1, learning_rate=1e30))
    assert list(tmp_path.iterdir()) == []


def test_latents_are_the_posterior_of_square_pictures(base: Path, dataset: Dataset) -> None:
    vae = load_base(base).vae
    means, deviations = encode_pictures(dataset.images, vae, SIZE, "cpu")
    assert means.shape == deviations.shape == (4, 4, SIZE // 2, SIZE // 2)
    with Image.open(dataset.images[0].path) as picture:
        pixels = torch.from_numpy(np.asarray(picture.convert("RGB"), dtype=np.float32)).permute(2, 0, 1)[None]
    posterior = vae.encode(pixels / 127.5 - 1).latent_dist
    assert torch.allclose(means[:1], posterior.mean * vae.config.scaling_factor, atol=1e-5)
    assert torch.allclose(deviations[:1], posterior.std * vae.config.scaling_factor, atol=1e-5)


def test_mirrored_latents_are_those_of_mirrored_pictures(base: Path, dataset: Dataset, tmp_path: Path) -> None:
    vae = load_base(base).vae
    turned = []
    for image in dataset.images:
        ImageOps.mirror(Image.open(image.path)).save(tmp_path / image.path.name)
        turned.append(dataclasses.replace(image, path=tmp_path / image.path.name))
    asked = encode_pictures(dataset.images, vae, SIZE, "cpu", mirrored=True)
    for own, other in zip(asked, encode_pictures(turned, vae, SIZE, "cpu"), strict=True):
        assert torch.allclose(own, other, atol=1e-5)
    assert not torch.allclose(asked[0], encode_pictures(dataset.images, vae, SIZE, "cpu")[0], atol=1e-3)


def test_pictures_are_mirrored_half_of_the_time_and_only_when_asked(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    count = 4

    class Spied(tuple):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            for part in super().__iter__():
                yield _Indexed(part)

    class _Indexed:
        def __init__(self, part: torch.Tensor) -> None:
            self.part = part

        def __getitem__(self, drawn: list[int]) -> torch.Tensor:
            seen.append(torch.tensor(drawn))
            return self.part[drawn]

    prepare = training._prepare

    def spied(*given: Any) -> Any:
        run, adapters = prepare(*given)
        return dataclasses.replace(run, latents=Spied(run.latents)), adapters

    monkeypatch.setattr(training, "_prepare", spied)
    train(TrainingSettings(steps=8, batch_size=20, rank=1, flip_augmentation=True))
    share = float((torch.cat(seen) >= count).float().mean())
    assert 0.35 < share < 0.65
    seen.clear()
    train(TrainingSettings(steps=2, batch_size=20, rank=1))
    assert int(torch.cat(seen).max()) < count


def test_the_base_keeps_its_zero_terminal_snr(base: Path) -> None:
    model = load_base(base)
    assert model.prediction == "v_prediction" and float(model.signal[-1]) == 0.0


def test_merged_layers_compute_what_pefts_own_do(base: Path) -> None:
    model = load_base(base)
    plan = TrainingPlan(steps=1, resolution=16, rank=4, alpha=6.0, learning_rate=1e-3, train_text_encoder=True)
    for parameter in add_adapters(model, plan, tuple(TARGETS), "cpu").values():
        torch.nn.init.normal_(parameter, std=0.2)
    layers = [layer for part in (model.unet, model.text_encoder) for layer in part.modules()
              if isinstance(layer, LoraLayer)]  # fmt: skip
    assert {layer.base_layer.weight.dim() for layer in layers} == {2, 4}
    for layer in layers:
        side = (5, 5) if layer.base_layer.weight.dim() == 4 else ()
        width = layer.base_layer.weight.shape[1]
        x = torch.randn(2, *((width, *side) if side else (3, width)))
        ours, theirs = layer(x), type(layer).forward(layer, x)
        torch.testing.assert_close(ours, theirs)
        assert not torch.allclose(theirs, layer.base_layer(x), atol=1e-3)


def test_targets_are_those_of_diffusers_and_weights_finite_at_the_terminal_step() -> None:
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction")
    times = torch.tensor([0, 250, 999])
    latents, noise = torch.randn(2, 3, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    signal = scheduler.alphas_cumprod[times]
    noisy, target, weight = diffusion_targets(latents, noise, signal, "v_prediction")
    assert torch.allclose(noisy, scheduler.add_noise(latents, noise, times), atol=1e-6)
    assert torch.allclose(target, scheduler.get_velocity(latents, noise, times), atol=1e-6)
    clear, middle, _ = (signal / (1 - signal)).tolist()
    assert weight.tolist() == pytest.approx([5 / (clear + 1), middle / (middle + 1), training.TERMINAL_SNR], rel=1e-4)
    _, epsilon, weight = diffusion_targets(latents, noise, signal, "epsilon")
    assert torch.equal(epsilon, noise)
    assert weight.tolist() == pytest.approx([5 / clear, 1, 1], rel=1e-4)


def test_trains_on_a_base_that_predicts_noise(tmp_path: Path, dataset: Dataset) -> None:
    folder = tiny_folder(tmp_path / "epsilon", prediction="epsilon")
    path = train_lora(folder, dataset, QUICK, trigger="yu", out=tmp_path / "x.safetensors", device="cpu")
    assert read_lora(path).modules


def test_refuses_what_it_cannot_train_on(tmp_path: Path, dataset: Dataset, train: Train) -> None:
    with pytest.raises(InputRefused, match="not a diffusers pipeline folder"):
        train_lora(tmp_path, dataset, SHORT, trigger="yu", out=tmp_path / "x.safetensors")
    tiny_xl_pipeline(tmp_path / "parts").save_pretrained(tmp_path / "xl")
    with pytest.raises(InputRefused, match="this is a StableDiffusionXLPipeline"):
        train_lora(tmp_path / "xl", dataset, SHORT, trigger="yu", out=tmp_path / "x.safetensors")
    with pytest.raises(UsageError, match="multiple of 4"):
        train(TrainingSettings(steps=1, resolution=SIZE + 2))


def test_a_picture_that_cannot_be_read_is_named(base: Path, dataset: Dataset, tmp_path: Path) -> None:
    torn = tmp_path / "torn.png"
    torn.write_bytes(dataset.images[0].path.read_bytes()[:60])
    broken = dataclasses.replace(dataset, images=(dataclasses.replace(dataset.images[0], path=torn), *dataset.images))
    with pytest.raises(InputRefused, match=r"torn\.png"):
        train_lora(base, broken, SHORT, trigger="yu", out=tmp_path / "x.safetensors", device="cpu")
