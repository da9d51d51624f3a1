"""The reference trainer: a LoRA on any StableDiffusionPipeline folder, small enough to read, exact about sampling.

It honours `identity_ratio`, `caption_token_dropout`, `caption_dropout` and negative tokens literally, so that the
faults and the cures that lora-doctor speaks of can be produced on purpose.
"""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from lora_doctor.base_digest import folder_digest
from lora_doctor.caption_sampling import picture_shares, shown_caption
from lora_doctor.devices import resolved
from lora_doctor.errors import UsageError
from lora_doctor.training_files import Adapters, load_checkpoint, save_checkpoint, save_lora, sha256_of
from lora_doctor.training_model import DEFAULT_TARGETS, BaseModel, add_adapters, encode_pictures, load_base
from lora_doctor.training_plan import TrainingPlan, plan_training
from lora_doctor.types import OWN_TRAINER, Dataset, DatasetImage, TrainingSettings

if TYPE_CHECKING:
    import torch

Progress = Callable[[int, int, float], None]
"""Called after every step with the steps done, all steps and the step's loss."""

MIN_SNR_GAMMA = 5.0
"""Hang et al. 2023, arXiv:2303.09556."""
TERMINAL_SNR = 0.5
"""Floor of the signal-to-noise ratio in the v-prediction weight: without it the terminal step would count nothing."""
WARMUP_SHARE = 0.05
FINAL_SHARE = 0.1
"""Of the peak learning rate, at the last step."""
GRADIENT_CLIP = 1.0
CHECKPOINT_SECONDS = 30.0


def train_lora(
    base: Path | str,
    dataset: Dataset,
    settings: TrainingSettings,
    *,
    trigger: str,
    out: Path,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    device: str = "auto",
    extra: Mapping[str, str] | None = None,
    targets: Sequence[str] = DEFAULT_TARGETS,
) -> Path:
    """Train a LoRA on the pipeline folder `base` and write it to `out`, atomically; returns `out`.

    `settings` needs `steps` or `epochs`; what else it leaves open has the defaults of `TrainingPlan`. `targets` names
    groups of UNet layers (`training_model.TARGETS`). With `checkpoint`, the state is saved there about every 30
    seconds, a later call with the same arguments goes on from it, and the file is removed at the end. `extra` is added
    to the file's metadata.

    Float32, AdamW, learning rate as in `rate_share`. What a step sees depends only on the seed and the step's
    number, so on a CPU the same call writes the same bytes, interrupted or not.
    Raises UsageError for settings that do not fit or diverge, InputRefused for a base model or dataset that cannot be
    used, EnvironmentFailure when the file cannot be written.
    """
    folder = Path(base)
    run, adapters = _prepare(folder, dataset, settings, trigger, targets, device)
    contents = _dataset_hash(dataset)
    fingerprint = sha256_of(_weights(folder), contents, dataclasses.asdict(run.plan), trigger, list(targets))
    _loop(run, adapters, checkpoint, fingerprint, progress)
    told = {
        "base": folder.resolve().name,
        "base_sha256": folder_digest(folder),
        "trigger": trigger,
        "dataset_sha256": contents,
    }
    metadata = _metadata(settings, run.plan) | {f"lora_doctor.{name}": value for name, value in told.items()}
    save_lora(out, adapters, run.plan.alpha / run.plan.rank, metadata | dict(extra or {}))
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return out


def diffusion_targets(
    latents: torch.Tensor, noise: torch.Tensor, signal: torch.Tensor, prediction: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noisy latents, what the UNet should predict for them, and the weight of each sample's loss.

    `latents`, `noise`: (batch, channels, height, width); `signal`: (batch,) alphas_cumprod, 0 with zero terminal SNR.
    Weights are min-SNR's: min(snr, gamma) / snr for epsilon and / (snr + 1) for v-prediction (arXiv:2303.09556), the
    latter with a floor under snr so that the terminal step, where sampling begins, is trained as well.
    """
    kept, added = signal.sqrt().view(-1, 1, 1, 1), (1 - signal).sqrt().view(-1, 1, 1, 1)
    snr = signal / (1 - signal)
    noisy = kept * latents + added * noise
    if prediction == "epsilon":
        return noisy, noise, MIN_SNR_GAMMA / snr.clamp(min=MIN_SNR_GAMMA)
    return noisy, kept * noise - added * latents, snr.clamp(TERMINAL_SNR, MIN_SNR_GAMMA) / (snr + 1)


def rate_share(step: int, steps: int) -> float:
    """The share of the peak learning rate at `step` of `steps`: linear warm-up over 5 %, then a cosine down to 10 %.

    Values in (0, 1]. Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts.
    """
    warmup = math.ceil(WARMUP_SHARE * steps)
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - 1 - warmup)
    return FINAL_SHARE + (1 - FINAL_SHARE) * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True, slots=True)
class _Run:
    """Everything a step needs."""

    model: BaseModel
    plan: TrainingPlan
    images: tuple[DatasetImage, ...]
    shares: tuple[float, ...]
    latents: tuple[torch.Tensor, torch.Tensor]
    """Of all pictures; mirrored ones behind them, where they are shown."""
    trigger: str
    device: str


def _prepare(
    folder: Path, dataset: Dataset, settings: TrainingSettings, trigger: str, targets: Sequence[str], device: str
) -> tuple[_Run, Adapters]:
    """The base model with LoRA layers in it and the pictures as latents, all on the device."""
    import torch

    images, model = dataset.images, load_base(folder)
    pictures = round(sum(image.repeats for image in images))
    plan = plan_training(settings, pictures=pictures, resolution=model.resolution, grain=model.grain)
    shares = picture_shares(images, plan.identity_ratio)
    _warn_of_long_captions(images, model.tokenizer)
    place = resolved(device)
    latents = encode_pictures(images, model.vae, plan.resolution, place)
    if plan.flip_augmentation:
        other = encode_pictures(images, model.vae, plan.resolution, place, mirrored=True)
        latents = torch.cat([latents[0], other[0]]), torch.cat([latents[1], other[1]])
    adapters = add_adapters(model, plan, targets, place)
    return _Run(model, plan, images, shares, latents, trigger, place), adapters


def _loop(run: _Run, adapters: Adapters, checkpoint: Path | None, fingerprint: str, progress: Progress | None) -> None:
    """All steps, from the checkpoint's if there is one."""
    import torch

    steps, rate = run.plan.steps, run.plan.learning_rate
    parameters = list(adapters.values())
    optimizer = torch.optim.AdamW(parameters, lr=rate, fused=True)
    first = load_checkpoint(checkpoint, adapters, optimizer, fingerprint) if checkpoint is not None else 0
    saved = time.monotonic()
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * rate_share(step, steps)
        loss = _loss(run, step)
        if not math.isfinite(shown := float(loss.detach())):
            raise UsageError(f"the loss is not a number at step {step + 1}", advice="Lower `learning_rate`.")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, GRADIENT_CLIP)
        optimizer.step()
        if checkpoint is not None and step + 1 < steps and time.monotonic() - saved >= CHECKPOINT_SECONDS:
            save_checkpoint(checkpoint, adapters, optimizer, step=step + 1, fingerprint=fingerprint)
            saved = time.monotonic()
        if progress:
            progress(step + 1, steps, shown)


def _loss(run: _Run, step: int) -> torch.Tensor:
    """The weighted loss of one batch; its pictures, captions, noise and timesteps follow from the seed and `step`."""
    import torch

    seed = sha256_of(run.plan.seed, step)
    rng, generator = Random(seed), torch.Generator("cpu").manual_seed(int(seed[:15], 16))
    count, total = run.plan.batch_size, len(run.model.signal)
    drawn = rng.choices(range(len(run.images)), weights=run.shares, k=count)
    captions = [_caption(run, run.images[number], rng) for number in drawn]
    if run.plan.flip_augmentation:
        drawn = [number + rng.choice((0, len(run.images))) for number in drawn]
    means, deviations = (part[drawn] for part in run.latents)
    # One timestep from each of `count` equal strata: the same distribution with less variance.
    times = ((torch.arange(count) + torch.rand(count, generator=generator)) / count * total).long().clamp(max=total - 1)
    latents = means + deviations * torch.randn(means.shape, generator=generator).to(run.device)
    noise = torch.randn(means.shape, generator=generator).to(run.device)
    signal = run.model.signal[times].to(run.device)
    noisy, target, weight = diffusion_targets(latents, noise, signal, run.model.prediction)
    text = _encode_text(run, captions)
    predicted = run.model.unet(noisy, times.to(run.device), encoder_hidden_states=text, return_dict=False)[0]
    loss: torch.Tensor = (weight * (predicted - target).square().mean(dim=(1, 2, 3))).mean()
    return loss


def _caption(run: _Run, image: DatasetImage, rng: Random) -> str:
    return shown_caption(
        image.caption,
        rng,
        trigger=run.trigger,
        token_dropout=run.plan.caption_token_dropout,
        caption_dropout=run.plan.caption_dropout,
        negative_tokens=run.plan.negative_tokens,
    )


def _encode_text(run: _Run, captions: list[str]) -> torch.Tensor:
    """(batch, tokens, width), the way the pipeline encodes prompts."""
    import torch

    tokenizer = run.model.tokenizer
    tokens = tokenizer(
        captions, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    )
    with torch.set_grad_enabled(run.plan.train_text_encoder):
        encoded: torch.Tensor = run.model.text_encoder(tokens.input_ids.to(run.device))[0]
    return encoded


def _warn_of_long_captions(images: Sequence[DatasetImage], tokenizer: Any) -> None:
    limit = tokenizer.model_max_length
    captions = [image.caption for image in images if image.caption]
    cut = sum(len(tokenizer(text, truncation=False, verbose=False).input_ids) > limit for text in captions)
    if cut:
        what = f"{cut} of {len(captions)} captions are longer than the {limit} tokens a text encoder reads"
        warnings.warn(f"{what}; what comes after is not learned", stacklevel=3)


def _metadata(settings: TrainingSettings, plan: TrainingPlan) -> dict[str, str]:
    """Every setting as a string; `lora_alpha` = rank, because the scale is in the factors already."""
    used = dataclasses.asdict(settings) | {"trainer": settings.trainer or OWN_TRAINER} | dataclasses.asdict(plan)
    told = {name: ", ".join(value) if isinstance(value, tuple) else str(value) for name, value in used.items()
            if value is not None}  # fmt: skip
    return {f"lora_doctor.{name}": value for name, value in told.items()} | {
        "format": "pt",
        "rank": str(plan.rank),
        "lora_alpha": str(plan.rank),
        "steps": str(plan.steps),
        "lora_doctor.layout": "diffusers",
    }


def _dataset_hash(dataset: Dataset) -> str:
    return sha256_of([[image.sha256, image.caption, image.repeats, image.role] for image in dataset.images])


def _weights(base: Path) -> list[tuple[str, int]]:
    """Names and sizes of the base model's weights: enough to tell another model from this one."""
    return [(path.relative_to(base).as_posix(), path.stat().st_size) for path in sorted(base.rglob("*.safetensors"))]
