"""What is read of a trait that was asked for in words: the positive control of attributes, place by place.

In the arm `described` the spec's labels stand in the prompt. What the base model then draws shows what the instrument
makes of the trait in that place: where it misses it, as in neon light or at sunset, the instrument is blind there, and
what it calls a flip says nothing. At the ship weight the arm tells a trait that is bound weakly (asked for, it comes)
from one that the LoRA cannot draw.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lora_doctor.metrics.estimates import Estimate, mean, told
from lora_doctor.metrics.sensitivity import sensitivity
from lora_doctor.metrics.units import Sample, arm_cells, sample
from lora_doctor.types import Cell, Measurement, Study

ARM = "described"
SEEN = 0.5
"""A place where the trait is read in fewer than this share of the pictures that were asked for it is one where the
instrument is blind for it, as long as it is not so everywhere; a limit, not a judgement."""
FEWEST = 4
"""Pictures of a place without which a share is no control: three of three misread happen by chance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Blind:
    """Where the instrument is blind for a trait."""

    environments: tuple[str, ...] = ()
    note: str | None = None


def measure(study: Study) -> list[Measurement]:
    """`attribute.control` by attribute and environment, `attribute.described_match` by attribute."""
    return [one for attribute in study.spec for one in _attribute(study, attribute)]


def _attribute(study: Study, attribute: str) -> Iterator[Measurement]:
    whole = {"attribute": attribute}
    base = _asked(study, attribute, [c for c in arm_cells(study, ARM) if c.weight == 0])
    lora = _asked(study, attribute, [c for c in arm_cells(study, ARM) if c.weight > 0])
    for environment, units in base.units.items():
        place = Sample(rate=True, units={environment: units})
        yield told(mean(place), "attribute.control", {**whole, "environment": environment}, "share")
    yield told(mean(base), "attribute.control", whole, "share", colour_blind(study, attribute).note)
    yield told(mean(lora) if lora.units else Estimate(reason=lora.absent), "attribute.described_match", whole, "share")


def colour_blind(study: Study, attribute: str) -> Blind:
    """The environments in which the base model was asked for the trait and the instrument mostly misses it.

    None of them where it is missed everywhere: then it is the base model that does not know the trait, since the
    dataset's own pictures are read. None without the arm.
    """
    base = _asked(study, attribute, [c for c in arm_cells(study, ARM) if c.weight == 0])
    # A picture that is lost must not make a place blind, whose flips are then left out; nor a trait drawn anywhere.
    shares, least = (_shares(base.filled(lost)) for lost in (1.0, 0.0))
    missed = {environment: share for environment, share in shares.items() if share < SEEN}
    if not missed:
        return Blind()
    if all(share < SEEN for share in least.values()):
        return Blind(note="no positive control: asked for by name, the base model does not draw it anywhere")
    told_of = ", ".join(f"{environment} ({share:.0%})" for environment, share in missed.items())
    note = f"left out, since the base model, asked for it by name, is not read as it there: {told_of}"
    return Blind(environments=tuple(missed), note=note)


def _shares(base: Sample) -> dict[str, float]:
    """Environment -> share read as asked, where that is a control."""
    counts = {e: values for e, values in base.present().items() if len(values) >= FEWEST}
    return {environment: sum(values) / len(values) for environment, values in counts.items()}


def _asked(study: Study, attribute: str, cells: list[Cell]) -> Sample:
    """1 where a picture that was asked for the spec's label is read as it, else 0; readable framings only."""
    labels = study.label_sets.get(attribute)
    if labels is None:
        return Sample(rate=True, absent=f"there is no label set for {attribute}")
    if study.spec[attribute] not in labels.labels:
        return Sample(rate=True, absent=f"the label set of {attribute} has no label {study.spec[attribute]}")
    framings = [framing for framing in labels.framings if sensitivity(study, labels, framing).share is not None]
    asked = [cell for cell in cells if cell.framing in framings]
    if not asked:
        return Sample(rate=True, absent=f"nothing that can be read was rendered with {study.spec[attribute]} asked for")

    def value_of(cell: Cell) -> float | None:
        reading = study.renders.get(cell.key)
        label = None if reading is None else reading.top_label(labels)
        return None if label is None else float(label == study.spec[attribute])

    return sample(asked, value_of, rate=True)
