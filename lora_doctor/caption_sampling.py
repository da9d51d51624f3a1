"""What the reference trainer shows at a step: which pictures, and what becomes of their captions. Pure."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from random import Random

from lora_doctor.errors import InputRefused
from lora_doctor.spelling import calls, holds
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, DatasetImage

NEGATIVE_SHARE = 0.3
"""Share of the shown captions that get an off-spec token, when the settings name any."""


def picture_shares(images: Sequence[DatasetImage], identity_ratio: float | None) -> tuple[float, ...]:
    """The probability of each picture to be drawn; they sum to 1.

    Without `identity_ratio` pictures count by their repeats. With it, identity-emphasis pictures together get
    `identity_ratio` and in-context pictures the rest, by repeats within each role: the same as drawing the role first
    and then a picture of it. A role without pictures leaves its share to the other, with a warning; so is every
    picture that has no role and would never be drawn. Raises InputRefused when there is nothing to draw.
    """
    totals = {role: sum(i.repeats for i in images if i.role == role) for role in (IDENTITY_EMPHASIS, IN_CONTEXT, None)}
    if sum(totals.values()) <= 0:
        raise InputRefused("the dataset has no picture to train on")
    wanted = {IDENTITY_EMPHASIS: identity_ratio or 0.0, IN_CONTEXT: 1 - (identity_ratio or 0.0)}
    present = {role: share for role, share in wanted.items() if totals[role] > 0}
    if identity_ratio is None or not present:
        if identity_ratio is not None:
            _warn("no picture has a role; identity_ratio is ignored and pictures are drawn by their repeats")
        return tuple(image.repeats / sum(totals.values()) for image in images)
    if len(present) < len(wanted):
        (only,) = present
        _warn(f"identity_ratio is {identity_ratio:g}, but every picture with a role is {only}: only those are drawn")
        present = {only: 1.0}
    if totals[None] > 0:
        _warn("pictures without a role are never drawn, since identity_ratio is set")
    return tuple(present.get(i.role, 0.0) * i.repeats / totals[i.role] if i.role else 0.0 for i in images)


def shown_caption(
    caption: str | None,
    rng: Random,
    *,
    trigger: str,
    token_dropout: float = 0.0,
    caption_dropout: float = 0.0,
    negative_tokens: Sequence[str] = (),
) -> str:
    """The caption as it is shown at one step.

    - A picture without a caption (None) is shown with the trigger alone.
    - With probability `caption_dropout` the caption is empty, and nothing else happens.
    - Each comma-separated token is dropped with probability `token_dropout`, independently; the first token (the
      class token) and one that writes the trigger (`ohwx woman`) stay. This is the source article's `caption_dropout`.
    - Negative tokens: the article has off-spec tokens (`black_hair` for a white-haired character) added to captions.
      Here, with probability `NEGATIVE_SHARE`, one of `negative_tokens`, chosen at random, is appended to a caption
      that holds the trigger, while the picture stays the character's. So the LoRA learns that next to the trigger the
      off-spec word does not change the character. A caption without the trigger is left alone: there the word keeps
      its meaning. A word the caption holds already is not repeated.
    """
    if rng.random() < caption_dropout:
        return ""
    tokens = [token.strip() for token in (trigger if caption is None else caption).split(",")]
    tokens = [token for token in tokens if token]
    kept = [t for n, t in enumerate(tokens) if n == 0 or calls(t, trigger) or rng.random() >= token_dropout]
    if negative_tokens and holds(", ".join(tokens), trigger) and rng.random() < NEGATIVE_SHARE:
        word = rng.choice(list(negative_tokens))
        kept += [] if word in tokens else [word]
    return ", ".join(kept)


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=3)
