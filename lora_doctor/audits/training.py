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
_HALF_OF_THEM = ("sd-scripts", "ai-toolkit")
"""Trainers that show as many regularisation pictures as others. Source: kohya-ss/sd-scripts library/train_util.py
(DreamBoothDataset: their repeats are filled up to the number of training pictures); ostris/ai-toolkit
jobs/process/BaseSDTrainProcess.py (every other step)."""
_UNKNOWN_SHARE = ("SimpleTuner",)
"""Trainers that draw from all folders by rules of their own. Others count steps without them, or have none."""


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
    """Steps as the trainer counts them, and exposures: how often the average picture was shown.

    Exposures are epochs, when nothing is repeated.
    """
    settings, images = case.training, len(case.dataset.images)
    shown_per_epoch = sum(image.repeats for image in case.dataset.images)
    steps: float | None = settings.steps
    share, note, exposures = _own_share(case), None, None
    per_step = (settings.batch_size or 0) * (settings.gradient_accumulation or 1) * (share or 0)
    if steps is None and settings.epochs is not None and per_step:
        steps = settings.epochs * shown_per_epoch / per_step
        note = f"computed from {settings.epochs:g} epochs"
    if settings.steps is not None and per_step and images:
        exposures = settings.steps * per_step / images
    elif settings.steps is None and settings.epochs is not None and images:
        exposures = settings.epochs * shown_per_epoch / images
    unknown = _SILENT if settings.steps is None else f"{_SILENT} what the batch size is"
    if share is None and settings.steps is not None:
        unknown = "how many of the steps were regularisation pictures is not told"
    return [
        _exact("steps", steps, "steps", note),
        _exact("exposures", exposures, "exposures", None if exposures is not None else unknown),
    ]


def _own_share(case: Case) -> float | None:
    """Share of the pictures of a counted step that show the character; None where nobody tells.

    What the LoRA's own record says of its folders comes before the folders that are there now.
    """
    folders = case.lora.record.folders if case.lora is not None else ()
    regularised = any(folder.regularisation for folder in folders) if folders else case.dataset.regularisation > 0
    if not regularised or case.training.trainer not in (*_HALF_OF_THEM, *_UNKNOWN_SHARE):
        return 1.0
    return 0.5 if case.training.trainer in _HALF_OF_THEM else None


def _exact(name: str, value: float | None, unit: str, note: str | None = None) -> Measurement:
    reason = note or (_SILENT if value is None else None)
    number = None if value is None else float(value)
    return Measurement(name=f"training.{name}", value=number, unit=unit, n=int(value is not None), reason=reason)
