"""Datasets on paper: face boxes and CLIP rows of photos, anime and big-headed characters, drawn as pictures are framed.

Where a frame cuts the body is drawn from landmarks of each body (in heads below the chin), not from the mixture that
reads them: seated, lying and far-away figures, cut crowns, boxes that are off, backs without a face, and a CLIP that is
wrong in its own way in each dataset are all in it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lora_doctor.types import FRAMINGS, IDENTITY_EMPHASIS, IN_CONTEXT, FaceReading, LabelSet, Reading, Role

Style = Literal["photo", "anime", "big-headed"]
STYLES: tuple[Style, ...] = ("photo", "anime", "big-headed")
HEIGHT = 1000


@dataclass(frozen=True)
class Body:
    """Proportions of a kind of character."""

    heads: tuple[float, float]
    """From, to: how many heads tall."""
    waist: float
    crotch: float
    """Where they are, as shares of the body below the chin; the chest is half way to the waist."""
    face: tuple[float, float]
    """Face box / head height: mean and spread between datasets."""


BODIES: dict[Style, Body] = {
    "photo": Body((7.0, 8.0), 0.31, 0.46, (0.75, 0.03)),
    "anime": Body((5.0, 6.5), 0.33, 0.48, (0.69, 0.05)),
    "big-headed": Body((2.0, 3.0), 0.45, 0.62, (0.70, 0.06)),
}
"""Photos: the canon of 7.5 to 8 heads. Anime and big-headed: drawing manuals' 5 to 6.5 and 2 to 3 heads."""

LABELS = {
    "framing": LabelSet(
        attribute="framing", labels=FRAMINGS, prompts=tuple((f,) for f in FRAMINGS), kind="framing", crop="whole"
    ),
    "environment": LabelSet(
        attribute="environment", labels=("street", "simple_background"), prompts=(("a",), ("b",)), kind="environment",
        crop="whole",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class PaperSet:
    """Readings and their true roles."""

    readings: tuple[Reading, ...]
    roles: tuple[Role, ...]
    shots: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """The true identity ratio."""
        return sum(role == IDENTITY_EMPHASIS for role in self.roles) / len(self.roles)


def draw_set(rng: random.Random, style: Style, *, pictures: int, ratio: float, clip: bool = True) -> PaperSet:
    """One dataset of one character; `clip`: whether CLIP was asked."""
    body, eye = BODIES[style], _Clip(rng)
    heads, face = rng.uniform(*body.heads), rng.gauss(*body.face)
    tight, shares = rng.uniform(0.3, 1.0), [rng.gammavariate(1.0, 1.0) for _ in _WIDE]
    drawn = []
    close = round(pictures * ratio)
    for i in range(pictures):
        if i < close:
            shot = "close-up" if rng.random() < tight else "head and shoulders"
        else:
            shot = rng.choices(_WIDE, shares)[0]
        box = _face(rng, shot, body, heads, face * rng.lognormvariate(0, 0.05))
        rows = eye.read(shot) if clip else {}
        reading = FaceReading(faces=0) if box is None else FaceReading(faces=1, score=0.9, box=box)
        drawn.append((Reading(width=HEIGHT, height=HEIGHT, face=reading, probabilities=rows), shot, i < close))
    rng.shuffle(drawn)
    return PaperSet(
        readings=tuple(reading for reading, _, _ in drawn),
        roles=tuple(IDENTITY_EMPHASIS if near else IN_CONTEXT for _, _, near in drawn),
        shots=tuple(shot for _, shot, _ in drawn),
    )


_WIDE = ("waist", "thighs", "standing", "seated", "far", "lying")
_LOST = {"close-up": 0.02, "head and shoulders": 0.02, "waist": 0.05, "thighs": 0.06, "far": 0.3, "lying": 0.2}
"""How often no face is found (backs of heads, profiles, small faces)."""


def _face(
    rng: random.Random, shot: str, body: Body, heads: float, face: float
) -> tuple[float, float, float, float] | None:
    """The face box of one picture, with the detector's errors."""
    if rng.random() < _LOST.get(shot, 0.12):
        return None
    above = rng.uniform(0.0, 0.28)
    if shot == "lying":
        head, chin = HEIGHT * rng.uniform(0.1, 0.2), HEIGHT * rng.uniform(0.4, 0.95)
    else:
        low, high = _cut(shot, body)
        if shot in ("close-up", "head and shoulders"):
            above = rng.uniform(-0.12, 0.22)
        below = rng.uniform(low, high) * (heads - 1)
        zoom = rng.uniform(1.3, 2.5) if shot == "far" else 1.0
        head = HEIGHT / ((1 + below) * zoom / (1 - above) if above >= 0 else 1 + below + above * 1.5)
        chin = HEIGHT - below * head * (1 if shot != "far" else rng.uniform(1.0, 1.2))
    tall = head * face
    chin += rng.gauss(0, 0.05) * tall
    return (400.0, chin - tall * rng.lognormvariate(0, 0.06), 400.0 + 0.8 * tall, chin)


def _cut(shot: str, body: Body) -> tuple[float, float]:
    """Between which heights the lower edge of such a picture cuts the body, as shares of it below the chin."""
    chest = body.waist / 2
    return {
        "close-up": (-0.05 * chest, 0.8 * chest),
        "head and shoulders": (0.8 * chest, 1.35 * chest),
        "waist": (0.85 * body.waist, 1.2 * body.waist),
        "thighs": (body.crotch, body.crotch + 0.5 * (1 - body.crotch)),
        "seated": (0.55, 0.8),
    }.get(shot, (1.0, 1.35))


class _Clip:
    """A CLIP with the habits it has in one dataset."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._wrong = rng.uniform(0.25, 0.4) if rng.random() < 0.15 else rng.uniform(0.02, 0.15)
        self._leans = rng.choice((0, 1, 2))
        self._bust_is_close = rng.uniform(0.2, 0.95)
        plain = rng.random()
        self._plain = (0.95, 0.95) if plain < 0.15 else (0.02, 0.02) if plain < 0.25 else (rng.uniform(0.3, 0.8), 0.15)

    def read(self, shot: str) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
        """Probabilities of framing and environment."""
        rng, near = self._rng, shot in ("close-up", "head and shoulders")
        if shot == "head and shoulders":
            label = 0 if rng.random() < self._bust_is_close else 1
        else:
            label = {"close-up": 0, "waist": 1, "thighs": 2 if rng.random() < 0.3 else 1}.get(shot, 2)
        wrong = rng.random() < self._wrong
        if wrong:
            label = self._leans if rng.random() < 0.6 else min(2, max(0, label + rng.choice((-1, 1))))
        logits = np.array([rng.gauss(0, 1) for _ in FRAMINGS])
        logits[label] = logits.max() + rng.gammavariate(2.0, 1.0 if wrong else 2.0)
        framing = np.exp(logits - logits.max())
        plain = rng.random() < self._plain[0 if near else 1]
        sure = rng.uniform(0.6, 0.99)
        ground = np.array([1 - sure, sure] if plain else [sure, 1 - sure])
        return {"framing": (framing / framing.sum()).astype(np.float32), "environment": ground.astype(np.float32)}
