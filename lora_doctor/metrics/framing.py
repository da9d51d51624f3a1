"""Whether the prompt's framing is rendered, and what the LoRA takes away of that."""

from __future__ import annotations

from lora_doctor.exact_shares import EACH_LOOK
from lora_doctor.metrics.above_chance import undrawn
from lora_doctor.metrics.estimates import Estimate, declared_difference, mean, reach_of_difference, told
from lora_doctor.metrics.units import Sample, framings_of, pick, sample, ship_caveat, weights_of
from lora_doctor.types import Cell, Measurement, Study, Where


def measure(study: Study) -> list[Measurement]:
    """`framing.match` by weight, and `framing.loss` by framing: match at weight 0 minus match at the ship weights.

    The interval of the loss is that of the declared environments (`estimates.declared_difference`), at each look.
    """
    found, labels = [], study.label_sets.get("framing")
    sets = [] if labels is None else [labels]
    for weight in (*weights_of(study), "ship"):
        where = {"weight": weight}
        found.append(told(mean(_matches(study, where)), "framing.match", where, "share", ship_caveat(study, where)))
    for framing in framings_of(study):
        base, ship = (_matches(study, {"weight": weight, "framing": framing}) for weight in ("0", "ship"))
        loss = undrawn(base, sets, f"{framing} pictures") or _loss(base, ship)
        where, reach = {"framing": framing}, reach_of_difference(base, ship)
        found.append(told(loss, "framing.loss", where, "share", ship_caveat(study), reach=reach))
    return found


def _loss(base: Sample, ship: Sample) -> Estimate:
    return declared_difference(base.masked(ship), ship.masked(base), EACH_LOOK)


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
