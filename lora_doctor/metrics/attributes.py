"""What the character looks like: each attribute of the spec.

The share of renders read as the spec says is divided by the share of the dataset's own pictures that are (Rogan and
Gladen 1978 with specificity 1, clipped to 0 and 1). The correction is one-sided: how often the instrument reads the
spec's label where another is true is not known, so a match is, if anything, overstated and a symptom understated. Flips
are freed from those that the instrument sees in the dataset's own pictures. Intervals carry the uncertainty of both;
where fewer than five pictures show a trait the sensitivity is taken as 1, and said to be.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from lora_doctor.metrics.calibration import Calibration, carried, jeffreys, without_false
from lora_doctor.metrics.estimates import Estimate, mean, moved, spread, told
from lora_doctor.metrics.intervals import wilson
from lora_doctor.metrics.positive_control import colour_blind
from lora_doctor.metrics.sensitivity import (
    MIN_REFERENCES,
    WITNESSED,
    Seen,
    Sensitivity,
    calibration,
    false_flips,
    is_flip,
    pictures,
    sensitivity,
)
from lora_doctor.metrics.units import Sample, framings_of, pick, sample, ship_caveat, weights_of
from lora_doctor.types import Cell, LabelSet, Measurement, Reading, Study, Where


def measure(study: Study) -> list[Measurement]:
    """`attribute.*` for every attribute of the spec."""
    return [one for attribute in study.spec for one in _attribute(study, attribute)]


def _attribute(study: Study, attribute: str) -> Iterator[Measurement]:
    whole = {"attribute": attribute}
    ship = {**whole, "weight": "ship"}
    labels, problem = labels_of(study, attribute)
    framings = [f for f in framings_of(study) if labels is None or f in labels.framings]
    slices = [{**whole, "weight": weight} for weight in weights_of(study)]
    for where in (*slices, ship, *({**ship, "framing": framing} for framing in framings)):
        one, caveat = matches(study, attribute, where)
        estimate = carried(mean(one), known(study, attribute, where))
        yield told(estimate, "attribute.match", where, "share", caveat, ship_caveat(study, where))
    base, caveat = matches(study, attribute, {"weight": "0"})
    estimate = carried(mean(base), known(study, attribute, {"weight": "0"}))
    yield told(estimate, "attribute.base_match", whole, "share", caveat)
    yield told(_sensitivity(study, labels, problem), "attribute.sensitivity", whole, "share")
    flipped, caveat = flips(study, attribute)
    raw = mean(flipped)
    rate = freed(study, attribute, raw)
    yield told(rate, "attribute.flip_rate", whole, "share", caveat, ship_caveat(study))
    yield told(_excused(raw, rate), "attribute.excused_flips", whole, "share", caveat, ship_caveat(study))
    yield told(spread(flipped), "attribute.flip_scene_spread", whole, "share", caveat, ship_caveat(study))


def matches(study: Study, attribute: str, where: Where) -> tuple[Sample, str | None]:
    """1 / sensitivity where a render is read as the spec says, else 0, over the readable framings of a slice."""
    spec = study.spec[attribute]

    def value_of(reading: Reading, labels: LabelSet, share: float) -> float | None:
        label = reading.top_label(labels)
        return None if label is None else float(label == spec) / share

    return _readable(study, attribute, pick(study, where), value_of)


def known(study: Study, attribute: str, where: Where) -> Calibration:
    """How uncertain the sensitivities are that `matches` divides by."""
    labels, _ = labels_of(study, attribute)
    return Calibration() if labels is None else calibration(study, labels, pick(study, where))


def flips(
    study: Study,
    attribute: str,
    seen: Seen | None = None,
    framings: Collection[str] | None = None,
) -> tuple[Sample, str | None]:
    """1 where a ship render is confidently read as another label than the spec's, else 0.

    `seen` makes another number of it, from the reading and whether it is such a flip. Environments in which the
    instrument is blind for the trait are left out, and named in the caveat. `framings`: only these (None = all).
    """
    spec = study.spec[attribute]

    def value_of(reading: Reading, labels: LabelSet, share: float) -> float | None:
        flip = is_flip(reading, labels, spec)
        if flip is None or seen is None:
            return None if flip is None else float(flip)
        return seen(reading, flip)

    cells, blind = pick(study, {"weight": "ship"}), colour_blind(study, attribute)
    kept = [
        cell
        for cell in cells
        if cell.environment not in blind.environments and (framings is None or cell.framing in framings)
    ]
    one, caveat = _readable(study, attribute, kept, value_of)
    return one, "; ".join(note for note in (blind.note, caveat) if note) or None


def freed(study: Study, attribute: str, rate: Estimate, seen: Seen | None = None) -> Estimate:
    """A rate of flips without those that are seen in the same way in the dataset's own pictures, where five show it.

    Without a second opinion false ones may be as many as they are with the pictures that CLIP is certain show another.
    """
    labels, _ = labels_of(study, attribute)
    shown, false = (0, 0) if labels is None else false_flips(study, labels, seen)
    if shown < MIN_REFERENCES or false == shown:
        return rate
    low, high = jeffreys(false, shown)
    if attribute not in WITNESSED and labels is not None:
        everything, of_these = false_flips(study, labels, seen, others_too=True)
        high = max(high, of_these / everything)
    return without_false(rate, false / shown, (low, high))


def _excused(raw: Estimate, rate: Estimate) -> Estimate:
    """What is left out of the rate of flips because the dataset's own pictures are read so too; as unsure as what was
    read."""
    return raw if raw.value is None or rate.value is None else moved(raw, raw.value - rate.value)


def _readable(
    study: Study, attribute: str, of: Sequence[Cell], value_of: Callable[[Reading, LabelSet, float], float | None]
) -> tuple[Sample, str | None]:
    """A sample over those of some cells in which the attribute can be read, and the caveats on it."""
    labels, problem = labels_of(study, attribute)
    if labels is None:
        return Sample(rate=True, absent=problem), None
    cells = [cell for cell in of if cell.framing in labels.framings]
    if not cells:
        return Sample(rate=True, absent=f"no cell was planned in which {attribute} can be read"), None
    told_of = {framing: sensitivity(study, labels, framing) for framing in dict.fromkeys(c.framing for c in cells)}
    measurable = [cell for cell in cells if told_of[cell.framing].share is not None]
    if not measurable:
        return Sample(rate=True, absent=_notes(told_of)), None

    def of_cell(cell: Cell) -> float | None:
        reading, share = study.renders.get(cell.key), told_of[cell.framing].share
        return None if reading is None or share is None else value_of(reading, labels, share)

    return sample(measurable, of_cell, rate=True), _notes(told_of) or None


def _notes(known: Mapping[str, Sensitivity]) -> str:
    """What the sensitivities have to say, once for all framings that share it."""
    notes: dict[str, list[str]] = {}
    for framing, one in known.items():
        if one.note:
            notes.setdefault(one.note, []).append(framing)
    return "; ".join(f"{', '.join(framings)}: {note}" for note, framings in notes.items())


def labels_of(study: Study, attribute: str) -> tuple[LabelSet | None, str]:
    """The label set of an attribute of the spec, or None and why it cannot be used."""
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
