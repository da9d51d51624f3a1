"""Which face and CLIP instruments look, where the settings leave them out: the bundled ones only at their own world."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from lora_doctor.errors import UsageError
from lora_doctor.settings import FILE_NAME, InstrumentSettings, Settings
from lora_doctor.types import DatasetImage

MINIATURE = "miniature"
BUNDLED = InstrumentSettings(face=MINIATURE, clip=MINIATURE)
"""The instruments of the miniature, by name."""
SIDE = 64
"""Pixels of the miniature's pictures: its instruments know nothing larger, and find faces and hair in anything."""
ADVICE = (
    'Write `face = "buffalo_l"` (or "yunet-sface") and `clip = "ViT-B-32/laion2b_s34b_b79k"` under [instruments] of '
    f"{FILE_NAME}: README.md, Instruments, tells which there are."
)


def left_out(names: InstrumentSettings) -> str | None:
    """Which of the two instruments are not named, in words; None where both are."""
    absent = [f"no `{kind}` instrument" for kind in ("face", "clip") if getattr(names, kind) is None]
    return f"{' and '.join(absent)} is named" if absent else None


def completed(names: InstrumentSettings) -> InstrumentSettings:
    """With the miniature's in place of those that are not named."""
    return replace(names, face=names.face or MINIATURE, clip=names.clip or MINIATURE)


def with_instruments(settings: Settings, family: str) -> Settings:
    """The settings of a check-up with a base model of `family`, both instruments named.

    Raises UsageError where one is left out and the base model is not the miniature.
    """
    if family == MINIATURE:
        return replace(settings, instruments=completed(settings.instruments))
    if (what := left_out(settings.instruments)) is not None:
        what += ", and the bundled ones know only the drawn world of the miniature."
        raise UsageError(what, path=settings.source or Path(FILE_NAME), advice=ADVICE)
    return settings


def for_pictures(names: InstrumentSettings, images: Iterable[DatasetImage]) -> InstrumentSettings | str:
    """The instruments for a dataset alone, both named; or why there are none to look at these pictures."""
    what = left_out(names)
    if what is None:
        return names
    if all(max(image.width, image.height) <= SIDE for image in images):
        return completed(names)
    return what
