"""What the training config says, as measurements; what it does not say has no value and that reason."""

from __future__ import annotations

from lora_doctor.types import Case, Measurement

_SILENT = "the training config does not say"
_DIM_IS_NO_RANK = ("loha", "lokr")
"""Kinds whose setting of that name is not the rank of the update, which `spectrum.rank` is for all of them."""
_UNITS = {
    "rank": "rank",
    "alpha": "",
    "caption_token_dropout": "share",
    "caption_dropout": "share",
    "identity_ratio": "share",
    "learning_rate": "",
    "train_text_encoder": "yes = 1",
    "flip_augmentation": "yes = 1",
}
"""Settings that are measured as they stand."""


def audit(case: Case) -> list[Measurement]:
    """`training.*`: rank, alpha, steps, exposures, dropouts, identity ratio, learning rate, text encoder, flips."""
    settings = case.training
    told = {name: getattr(settings, name) for name in _UNITS}
    why: dict[str, str] = {}
    if settings.kind in _DIM_IS_NO_RANK and settings.rank is not None:
        told["rank"], why["rank"] = None, f"the rank that a {settings.kind} is trained with is not that of its update"
    if (told_by := settings.why_no_rate) is not None:
        told["learning_rate"], why["learning_rate"] = None, told_by
    return [*(_exact(name, told[name], unit, why.get(name)) for name, unit in _UNITS.items()), *_length(case)]


def _length(case: Case) -> list[Measurement]:
    """Optimiser steps, and exposures: how often the average picture was shown (epochs, when nothing is repeated)."""
    settings, images = case.training, len(case.dataset.images)
    shown_per_epoch = sum(image.repeats for image in case.dataset.images)
    steps: float | None = settings.steps
    note = None
    if steps is None and settings.epochs is not None and settings.batch_size:
        steps = settings.epochs * shown_per_epoch / settings.batch_size
        note = f"computed from {settings.epochs:g} epochs"
    exposures = None
    if settings.steps is not None and settings.batch_size and images:
        exposures = settings.steps * settings.batch_size / images
    elif settings.steps is None and settings.epochs is not None and images:
        exposures = settings.epochs * shown_per_epoch / images
    unknown = _SILENT if settings.steps is None else f"{_SILENT} what the batch size is"
    return [
        _exact("steps", steps, "steps", note),
        _exact("exposures", exposures, "exposures", None if exposures is not None else unknown),
    ]


def _exact(name: str, value: float | None, unit: str, note: str | None = None) -> Measurement:
    reason = note or (_SILENT if value is None else None)
    number = None if value is None else float(value)
    return Measurement(name=f"training.{name}", value=number, unit=unit, n=int(value is not None), reason=reason)
