"""`rules/identity_ratio.toml`: the identity ratios that the source article recommends."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lora_doctor.errors import EnvironmentFailure
from lora_doctor.plugins import data_folder

FILE = "identity_ratio.toml"


@dataclass(frozen=True, kw_only=True, slots=True)
class ArticleBand:
    """Identity ratios, 0 to 1, ascending: from `low` to `high` is the article's band."""

    low: float
    aim: float
    """What plans bring a dataset to."""
    high: float


@cache
def article_band(path: Path | None = None) -> ArticleBand:
    """From the file, or rules/identity_ratio.toml; EnvironmentFailure when that cannot be read."""
    source = path or data_folder("rules") / FILE
    try:
        table = tomllib.loads(source.read_text(encoding="utf-8"))
        band = ArticleBand(low=float(table["low"]), aim=float(table["aim"]), high=float(table["high"]))
        if not 0 < band.low <= band.aim <= band.high < 1:
            raise ValueError("low, aim and high must go up, between 0 and 1")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EnvironmentFailure(
            f"cannot be read: {error}", path=source, advice="Install lora-doctor again."
        ) from error
    return band
