"""Which instrument measures identity: the one whose floor and ceiling lie furthest apart, in standard errors.

A recogniser made for photographs is nearly blind to drawings, and the other way round; which one sees this character is
measured. Only the dataset and the renders at weight 0 are looked at, so that none is chosen for what it says of the
LoRA.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lora_doctor.metrics.likeness import Similarity
from lora_doctor.metrics.ruler import build_ruler
from lora_doctor.types import Reading, Study


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """An instrument, and how far apart its floor and ceiling lie."""

    name: str
    floor: float | None = None
    """Similarity, in the instrument's own terms."""
    ceiling: float | None = None
    gap: float | None = None
    interval: tuple[float, float] | None = None
    """90 % interval of the gap."""
    strength: float | None = None
    """The gap over the distance to the lower end of its interval: the gap in standard errors, divided by the t
    quantile, which counts few environments or references against it. Above 1 the gap is clearly above 0. None = no
    interval."""
    problem: str | None = None
    """Why identity cannot be measured with it, or None."""

    @property
    def says(self) -> str:
        """The gap in words."""
        if self.gap is None:
            return self.problem or "not measured"
        ends = f" ({self.interval[0]:.2f} to {self.interval[1]:.2f})" if self.interval else ""
        strength = "" if self.strength is None else f", {self.strength:.1f} times its margin of error"
        return f"gap {self.gap:.2f}{ends}{strength}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The instrument that measures identity, and what the others would have been worth."""

    study: Study
    """As the chosen instrument sees it."""
    chosen: str
    candidates: tuple[Candidate, ...]
    """The first one is the face instrument; empty when there was nothing to choose."""

    @property
    def described(self) -> dict[str, str]:
        """Candidate -> its gap in words, for records and reports; empty when there was nothing to choose."""
        return {c.name: f"{c.says}; {'used' if c.name == self.chosen else 'not used'}" for c in self.candidates}

    @property
    def sentence(self) -> str | None:
        """Which one was used and why, or None when there was nothing to choose."""
        if not self.candidates:
            return None
        others = "; ".join(f"{c.name}: {c.says}" for c in self.candidates if c.name != self.chosen)
        used = next(c for c in self.candidates if c.name == self.chosen)
        return f"Identity is measured with {used.name}: {used.says}. Not with {others}."


def choose_identity(
    study: Study, face: str, others: Mapping[str, Similarity | None], before: Choice | None = None
) -> Choice:
    """The study as the best of the named instruments sees it.

    `face` is the name of the face instrument; `others` are those in `Reading.identities`, with the function that
    compares their embeddings (None = cosine). The face instrument stays unless another's `strength` is greater. Without
    others nothing is computed. `before` is the choice of an earlier look at the same run, which stands.
    """
    if not others:
        return Choice(study=study, chosen=face, candidates=())
    if before is not None:
        kept = study if before.chosen == face else as_seen_by(study, before.chosen, others[before.chosen])
        return replace(before, study=kept)
    seen = {face: study} | {name: as_seen_by(study, name, similarity) for name, similarity in others.items()}
    candidates = tuple(candidate(name, each) for name, each in seen.items())
    best = max(candidates, key=lambda one: 0.0 if one.strength is None or one.problem else one.strength)
    return Choice(study=seen[best.name], chosen=best.name, candidates=candidates)


def candidate(name: str, study: Study) -> Candidate:
    """What the study's identity embeddings are worth."""
    ruler = build_ruler(study)
    if isinstance(ruler, str):
        return Candidate(name=name, problem=ruler)
    whole = ruler.whole
    gap, ends = whole.gap.value, whole.gap.interval
    margin = None if gap is None or ends is None else gap - ends[0]
    strength = gap / margin if gap is not None and margin is not None and margin > 0 else None
    return Candidate(
        name=name, floor=whole.floor.value, ceiling=whole.ceiling.value, gap=gap, interval=ends, strength=strength,
        problem=whole.problem,
    )  # fmt: skip


def as_seen_by(study: Study, name: str, similarity: Similarity | None) -> Study:
    """The study with another instrument's embeddings in place of the face instrument's; faces and boxes stay.

    It has no limits of size and pose: those of the face instrument are not its own.
    """
    return replace(
        study,
        renders={key: seen_by(reading, name) for key, reading in study.renders.items()},
        references=tuple(None if reading is None else seen_by(reading, name) for reading in study.references),
        similarity=similarity,
        least_face=0.0,
    )


def seen_by(reading: Reading, name: str) -> Reading:
    """The reading with another instrument's embedding in place of the face instrument's."""
    embedding: Any = reading.identities.get(name)
    return replace(reading, face=replace(reading.face, embedding=embedding, closer=None))
