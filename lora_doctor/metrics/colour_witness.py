"""Colours by two witnesses: a flip is told as one where CLIP sees it and the pixels, or the tagger, see it too.

CLIP is weak at naming colours (ColorFoil, ColorBench), so it may not be the only judge of hair and eyes. The tagger is
the second witness where there is one and the dataset's own pictures show that it can read the trait; else the pixels
are: how far in CIE Lab (Delta-E 1976) a colour lies outside those of the references. From which distance on that is
another colour, a rule says: `delta_e` names the distances that are counted. A colour must lie outside both as it is
and as the references' light would show it, which the skin beside it tells: else a sunset would dye hair.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lora_doctor.metrics.attributes import flips, freed, labels_of
from lora_doctor.metrics.estimates import Estimate, mean, told
from lora_doctor.metrics.relighting import relit
from lora_doctor.metrics.sensitivity import CONFIDENT, MEASURABLE, MIN_REFERENCES, WITNESSED, Seen, shown
from lora_doctor.metrics.units import framings_of, pick, ship_caveat
from lora_doctor.types import LabelSet, Measurement, Reading, Study

DISTANCES = (10, 20, 40)
"""Delta-E at which flips are counted: a clear difference, another colour, the opposite one."""
SKIN = "skin"
WITHIN = 0.9
"""Share of the references that lie within their hull: one in ten may be lit oddly, or read beside the hair."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hull:
    """The references' own colours: a ball in CIE Lab, which unlike a polytope one odd picture does not stretch."""

    centre: tuple[float, float, float]
    """The median of each coordinate."""
    radius: float
    """Delta-E within which nine in ten references lie."""
    skin: tuple[float, float, float] | None = None
    """The references' own skin; None = not seen."""

    def outside(self, colour: Sequence[float]) -> float:
        """Delta-E from the ball; 0 inside."""
        return max(0.0, math.dist(colour, self.centre) - self.radius)


MOSTLY = 0.5
"""A framing in which the witness cannot see the trait in at least this share of the renders is not asked about: eyes in
full body are two pixels."""
Witness = Callable[[Reading], bool | None]
"""Whether a picture shows another colour; None where it cannot tell."""


def measure(study: Study) -> list[Measurement]:
    """`attribute.witnessed_flip_rate` and `.witness_agreement` by attribute and `delta_e`, for colours of the spec."""
    return [one for attribute in study.spec if attribute in WITNESSED for one in _attribute(study, attribute)]


def _attribute(study: Study, attribute: str) -> Iterator[Measurement]:
    for distance in DISTANCES:
        where = {"attribute": attribute, "delta_e": str(distance)}
        witness, note = find_witness(study, attribute, distance)
        framings, blind = ([], "") if witness is None else _framings(study, witness)
        for name, seen in (("witnessed_flip_rate", _both), ("witness_agreement", _agree)):
            if witness is None or not framings:
                yield told(Estimate(reason=blind or note), f"attribute.{name}", where, "share")
                continue
            one, caveat = flips(study, attribute, seen(witness), framings)
            estimate = mean(one)
            silent = None
            if seen is _both:
                estimate = freed(study, attribute, estimate, _both(witness))
                silent = _on_clips_word(study, attribute, witness, framings)
            yield told(estimate, f"attribute.{name}", where, "share", note, blind, silent, caveat, ship_caveat(study))


def _framings(study: Study, witness: Witness) -> tuple[list[str], str]:
    """The framings in which the witness can mostly see the trait, and a note naming the others."""
    kept: list[str] = []
    blind: list[str] = []
    for framing in framings_of(study):
        cells = [c for c in pick(study, {"weight": "ship", "framing": framing}) if c.key in study.renders]
        speaks = sum(witness(study.renders[cell.key]) is not None for cell in cells)
        (kept if speaks > MOSTLY * len(cells) else blind).append(framing)
    if not kept:
        return kept, "no second witness: the trait is too small to be seen in the renders"
    return kept, f"without {', '.join(blind)}, where the second witness cannot see it" if blind else ""


def find_witness(study: Study, attribute: str, distance: float) -> tuple[Witness | None, str]:
    """The second witness of a colour at this Delta-E, with its name; None and why there is none."""
    labels, problem = labels_of(study, attribute)
    if labels is None:
        return None, problem
    references = [reading for _, reading in shown(study, labels)]
    spec = study.spec[attribute]
    tagged = [name for reading in references if (name := _tagged(reading, labels)) is not None]
    if len(tagged) >= MIN_REFERENCES and tagged.count(spec) >= MEASURABLE * len(tagged):
        return (lambda reading: _tagger_says(reading, labels, spec)), "second witness: the tagger"
    right = [reading for reading in references if reading.top_label(labels) == spec]
    coloured = [reading.colours for reading in right if attribute in reading.colours]
    hull = build_hull([one[attribute] for one in coloured], [one[SKIN] for one in coloured if SKIN in one])
    if isinstance(hull, str):
        return None, f"no second witness: {hull}"
    if hull.radius > distance:
        apart = f"the references' own colours lie {hull.radius:.0f} apart (Delta-E)"
        return None, f"no second witness: {apart}, and {distance:g} cannot be told from that"
    return (lambda reading: _pixels_say(reading, attribute, hull, distance)), (
        f"second witness: the pixels, {hull.radius:.0f} (Delta-E) among the references"
    )


def build_hull(
    colours: Sequence[tuple[float, float, float]], skins: Sequence[tuple[float, float, float]] = ()
) -> Hull | str:
    """The ball that nine in ten of the colours lie in, or why there is none."""
    if len(colours) < MIN_REFERENCES:
        return f"its colour can be read in {len(colours)} dataset pictures, and {MIN_REFERENCES} are needed"
    centre, skin = _median(colours), _median(skins) if skins else None
    apart = sorted(math.dist(colour, centre) for colour in colours)
    return Hull(centre=centre, radius=apart[math.ceil(WITHIN * len(apart)) - 1], skin=skin)


def _median(rows: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    light, red, yellow = (statistics.median(column) for column in zip(*rows, strict=True))
    return light, red, yellow


def _pixels_say(reading: Reading, attribute: str, hull: Hull, distance: float) -> bool | None:
    colour, skin = reading.colours.get(attribute), reading.colours.get(SKIN)
    if colour is None:
        return None
    seen = [colour] if skin is None or hull.skin is None else [colour, relit(colour, skin, hull.skin)]
    return all(hull.outside(one) > distance for one in seen)


def _tagged(reading: Reading, labels: LabelSet) -> str | None:
    row = reading.witness.get(labels.attribute)
    return None if row is None else labels.labels[int(row.argmax())]


def _tagger_says(reading: Reading, labels: LabelSet, spec: str) -> bool | None:
    label = _tagged(reading, labels)
    return None if label is None else label != spec and float(reading.witness[labels.attribute].max()) > CONFIDENT


def _both(witness: Witness) -> Seen:
    """1 where both see a flip, or CLIP does and the witness cannot tell: what hides the witness must not help."""
    return lambda reading, flip: float(flip and witness(reading) is not False)


def _on_clips_word(study: Study, attribute: str, witness: Witness, framings: Sequence[str]) -> str | None:
    """How many renders count as flips though the witness cannot tell of them; None without any."""

    def alone(reading: Reading, flip: bool) -> float:
        return float(flip and witness(reading) is None)

    one, _ = flips(study, attribute, alone, framings)
    count = sum(value > 0 for values in one.present().values() for value in values)
    told_of = f"in {count} of {one.n} units there are flips by CLIP's word alone: the second witness cannot tell"
    return told_of if count else None


def _agree(witness: Witness) -> Seen:
    """1 where the witness says what CLIP says."""

    def of(reading: Reading, flip: bool) -> float | None:
        says = witness(reading)
        return None if says is None else float(says == flip)

    return of
