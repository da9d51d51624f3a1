"""Training settings -> the plan the reference trainer follows, with nothing left open. Pure."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from lora_doctor.errors import UsageError
from lora_doctor.types import TrainingSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingPlan:
    """Every setting of one training; the defaults are what a setting is when the config does not say."""

    steps: int
    resolution: int
    """Pixels of the square pictures."""
    rank: int = 16
    alpha: float = 16.0
    batch_size: int = 8
    learning_rate: float = 5e-4
    train_text_encoder: bool = False
    identity_ratio: float | None = None
    """None = pictures are drawn by their repeats alone."""
    caption_token_dropout: float = 0.0
    caption_dropout: float = 0.0
    negative_tokens: tuple[str, ...] = ()
    flip_augmentation: bool = False
    """Each picture is shown mirrored half of the time."""
    seed: int = 0


def plan_training(settings: TrainingSettings, *, pictures: int, resolution: int, grain: int) -> TrainingPlan:
    """The settings with every default filled in: alpha = rank, `resolution` = the base model's own.

    `pictures` counts repeats; epochs become `ceil(epochs * pictures / batch_size)` steps, unless `steps` is given.
    Raises UsageError for a value out of range, and for a resolution that is no multiple of `grain` pixels.
    """
    names = {field.name for field in dataclasses.fields(TrainingPlan)}
    given = {name: value for name, value in dataclasses.asdict(settings).items() if value is not None and name in names}
    if settings.alpha is None:
        given["alpha"] = float(given.get("rank", TrainingPlan.__dataclass_fields__["rank"].default))
    plan = TrainingPlan(**{"steps": 0, "resolution": resolution, **given})
    for name in ("rank", "alpha", "batch_size", "learning_rate", "resolution"):
        if not getattr(plan, name) > 0:
            raise UsageError(f"training setting `{name}` is {getattr(plan, name)}; it must be above 0")
    for name in ("identity_ratio", "caption_token_dropout", "caption_dropout"):
        if not 0 <= (getattr(plan, name) or 0) <= 1:
            raise UsageError(f"training setting `{name}` is {getattr(plan, name)}; it must lie between 0 and 1")
    if plan.resolution % grain:
        raise UsageError(f"training setting `resolution` is {plan.resolution}; it must be a multiple of {grain}")
    return dataclasses.replace(plan, steps=_steps(settings, pictures, plan.batch_size))


def _steps(settings: TrainingSettings, pictures: int, batch_size: int) -> int:
    if settings.steps is None and settings.epochs is None:
        raise UsageError("the training settings name neither `steps` nor `epochs`")
    epochs = settings.epochs or 0
    steps = math.ceil(epochs * pictures / batch_size) if settings.steps is None else settings.steps
    if steps <= 0:
        raise UsageError(f"the training settings ask for {steps} steps; at least 1 is needed")
    return steps
