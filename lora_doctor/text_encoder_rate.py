"""What a changed learning rate leaves as it was: the text encoder's own rate. Pure."""

from __future__ import annotations

from lora_doctor.types import TrainingSettings


def kept_rate(before: TrainingSettings, after: TrainingSettings) -> str | None:
    """A sentence where the rate was changed and a text encoder that is still trained keeps one of its own; else None.

    `before`, `after`: what the training config gives without its patch and with it. A patch changes the denoiser's
    rate. Whether the text encoder's was too high as well no check-up tells apart, so it is told and left.
    """
    own, changed = after.text_encoder_learning_rate, after.learning_rate != before.learning_rate
    if not own or not changed or own != before.text_encoder_learning_rate or after.train_text_encoder is False:
        return None
    factor = ""
    if before.learning_rate and after.learning_rate:
        factor = f"; {own * after.learning_rate / before.learning_rate:.3g} would follow the change"
    return f"The text encoder keeps a learning rate of its own, {own:.3g}{factor}."
