"""Whether the prompt's framing is rendered, and what the LoRA takes away of that."""

from __future__ import annotations

from lora_doctor.metrics.estimates import mean, paired_difference, told
from lora_doctor.metrics.units import Sample, framings_of, pick, sample, ship_caveat, weights_of
from lora_doctor.types import Cell, Measurement, Study, Where


def measure(study: Study) -> list[Measurement]:
    """`framing.match` by weight, and `framing.loss` by framing: match at weight 0 minus match at the ship weights."""
    found = []
    for weight in (*weights_of(study), "ship"):
        where = {"weight": weight}
        found.append(told(mean(_matches(study, where)), "framing.match", where, "share", ship_caveat(study, where)))
    for framing in framings_of(study):
        base, ship = (_matches(study, {"weight": weight, "framing": framing}) for weight in ("0", "ship"))
        loss, reach = paired_difference(base.masked(ship), ship.masked(base)), _reach(base, ship)
        found.append(told(loss, "framing.loss", {"framing": framing}, "share", ship_caveat(study), reach=reach))
    return found


def _reach(base: Sample, ship: Sample) -> tuple[float, float] | None:
    """The least and the most the loss may be, whatever the missing renders would show; None where none is missing."""
    if base.n == base.planned and ship.n == ship.planned:
        return None
    ends = [paired_difference(base.filled(at), ship.filled(1.0 - at)).value for at in (0.0, 1.0)]
    return None if ends[0] is None or ends[1] is None else (ends[0], ends[1])


def _matches(study: Study, where: Where) -> Sample:
    """1 where a render is read as the framing asked for, else 0."""
    labels = study.label_sets.get("framing")
    if labels is None:
        return Sample(rate=True, absent="there is no label set of framings")

    def value_of(cell: Cell) -> float | None:
        reading = study.renders.get(cell.key)
        label = None if reading is None else reading.top_label(labels)
        return None if label is None else float(label == cell.framing)

    cells = [cell for cell in pick(study, where) if cell.framing in labels.labels]
    return sample(cells, value_of, rate=True)
