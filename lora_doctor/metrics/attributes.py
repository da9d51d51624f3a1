"""What the character looks like: each attribute of the spec.

The share of renders read as the spec says is divided by the share of the dataset's own pictures that are (Rogan and
Gladen 1978 with specificity 1, clipped to 0 and 1). The correction is one-sided: how often the instrument reads the
spec's label where another is true is not known, so a match is, if anything, overstated and a symptom understated. The
interval is that of the renders; the sensitivity is taken as known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from lora_doctor.metrics.estimates import Estimate, mean, spread, told
from lora_doctor.metrics.intervals import wilson
from lora_doctor.metrics.sensitivity import Sensitivity, pictures, sensitivity
from lora_doctor.metrics.units import Sample, framings_of, pick, sample, ship_caveat, weights_of
from lora_doctor.types import Cell, LabelSet, Measurement, Reading, Study, Where

CONFIDENT = 0.5
"""A label more probable than all others together: from here a reading is called confident."""


def measure(study: Study) -> list[Measurement]:
    """`attribute.*` for every attribute of the spec."""
    return [one for attribute in study.spec for one in _attribute(study, attribute)]


def _attribute(study: Study, attribute: str) -> Iterator[Measurement]:
    whole = {"attribute": attribute}
    ship = {**whole, "weight": "ship"}
    labels, problem = _labels(study, attribute)
    framings = [f for f in framings_of(study) if labels is None or f in labels.framings]
    slices = [{**whole, "weight": weight} for weight in weights_of(study)]
    for where in (*slices, ship, *({**ship, "framing": framing} for framing in framings)):
        one, caveat = matches(study, attribute, where)
        yield told(mean(one), "attribute.match", where, "share", caveat, ship_caveat(study, where))
    base, caveat = matches(study, attribute, {"weight": "0"})
    yield told(mean(base), "attribute.base_match", whole, "share", caveat)
    yield told(_sensitivity(study, labels, problem), "attribute.sensitivity", whole, "share")
    flips, caveat = _flips(study, attribute)
    yield told(mean(flips), "attribute.flip_rate", whole, "share", caveat, ship_caveat(study))
    yield told(spread(flips), "attribute.flip_scene_spread", whole, "share", caveat, ship_caveat(study))


def matches(study: Study, attribute: str, where: Where) -> tuple[Sample, str | None]:
    """1 / sensitivity where a render is read as the spec says, else 0, over the readable framings of a slice."""
    spec = study.spec[attribute]

    def value_of(reading: Reading, labels: LabelSet, share: float) -> float | None:
        label = reading.top_label(labels)
        return None if label is None else float(label == spec) / share

    return _readable(study, attribute, where, value_of)


def _flips(study: Study, attribute: str) -> tuple[Sample, str | None]:
    """1 where a ship render is confidently read as another label than the spec's, else 0."""
    spec = study.spec[attribute]

    def value_of(reading: Reading, labels: LabelSet, share: float) -> float | None:
        label = reading.top_label(labels)
        if label is None:
            return None
        return float(label != spec and float(reading.probabilities[attribute].max()) > CONFIDENT)

    return _readable(study, attribute, {"weight": "ship"}, value_of)


def _readable(
    study: Study, attribute: str, where: Where, value_of: Callable[[Reading, LabelSet, float], float | None]
) -> tuple[Sample, str | None]:
    """A sample over the cells of a slice in which the attribute can be read, and the caveats on it."""
    labels, problem = _labels(study, attribute)
    if labels is None:
        return Sample(rate=True, absent=problem), None
    cells = [cell for cell in pick(study, where) if cell.framing in labels.framings]
    if not cells:
        return Sample(rate=True, absent=f"no cell was planned in which {attribute} can be read"), None
    known = {framing: sensitivity(study, labels, framing) for framing in dict.fromkeys(c.framing for c in cells)}
    measurable = [cell for cell in cells if known[cell.framing].share is not None]
    if not measurable:
        return Sample(rate=True, absent=_notes(known)), None

    def of_cell(cell: Cell) -> float | None:
        reading, share = study.renders.get(cell.key), known[cell.framing].share
        return None if reading is None or share is None else value_of(reading, labels, share)

    return sample(measurable, of_cell, rate=True), _notes(known) or None


def _notes(known: Mapping[str, Sensitivity]) -> str:
    """What the sensitivities have to say, once for all framings that share it."""
    notes: dict[str, list[str]] = {}
    for framing, one in known.items():
        if one.note:
            notes.setdefault(one.note, []).append(framing)
    return "; ".join(f"{', '.join(framings)}: {note}" for note, framings in notes.items())


def _labels(study: Study, attribute: str) -> tuple[LabelSet | None, str]:
    labels = study.label_sets.get(attribute)
    if labels is None:
        return None, f"there is no label set for {attribute}"
    if study.spec[attribute] not in labels.labels:
        return None, f"the label set of {attribute} has no label {study.spec[attribute]}"
    return labels, ""


def _sensitivity(study: Study, labels: LabelSet | None, problem: str) -> Estimate:
    """Share of the references that show the attribute and are read as the spec says; Wilson's interval."""
    if labels is None:
        return Estimate(reason=problem)
    counts = pictures(study, labels).values()
    shown, right = sum(n for n, _ in counts), sum(k for _, k in counts)
    if not shown:
        return Estimate(reason="no picture of the dataset shows it")
    return Estimate(value=right / shown, interval=wilson(right, shown), n=shown)
