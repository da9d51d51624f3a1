"""The ruler's 0: what the base model draws anyway, from the renders at weight 0."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lora_doctor.metrics.estimates import Estimate, join, mean, moved
from lora_doctor.metrics.likeness import Likeness
from lora_doctor.metrics.units import framings_of, pick, sample
from lora_doctor.types import Cell, Study


def floors_of(study: Study, likeness: Likeness) -> dict[str, Estimate] | None:
    """Framing -> mean similarity of the weight-0 renders that show a face, `""` -> that of all; None without any.

    A framing's floor is shrunk toward the mean of the framings by the share of its spread that is chance.
    """
    cells = pick(study, {"weight": "0"})
    faceless = {c.key for c in cells if c.key in study.renders and study.renders[c.key].face.embedding is None}

    def value_of(cell: Cell) -> float | None:
        reading = study.renders.get(cell.key)
        return None if reading is None or reading.face.embedding is None else likeness(reading.face.embedding)

    whole = mean(sample((c for c in cells if c.key not in faceless), value_of, rate=False))
    if whole.value is None:
        return None
    note = f"{len(faceless)} of {len(cells)} weight-0 renders show no face" if faceless else None
    floors = {"": replace(whole, reason=join(whole.reason, note))}
    own = {f: sample((c for c in cells if c.framing == f and c.key not in faceless), value_of, rate=False)
           for f in framings_of(study)}  # fmt: skip
    numbers = {f: [v for values in one.present().values() for v in values] for f, one in own.items()}
    shrunk = shrink({f: values for f, values in numbers.items() if values})
    for framing, one in own.items():
        none = f"floor of all framings: no weight-0 render shows a face in {framing}"
        floors[framing] = moved(mean(one), shrunk[framing]) if framing in shrunk else replace(whole, reason=none)
    return floors


def raised_floors(
    study: Study, floors: Mapping[str, Estimate], ceilings: Mapping[str, Estimate]
) -> dict[str, Estimate] | None:
    """The floors as high as what is not seen allows; None = a face is seen in every weight-0 render.

    A render that is missing is taken for as alike as can be (1), one without a face for as alike as the dataset's own
    pictures are. A framing's own share of them raises its floor, the whole's that of all.
    """
    base = pick(study, {"weight": "0"})
    lost = {c.key for c in base if c.key not in study.renders}
    hidden = {c.key for c in base if c.key not in lost and study.renders[c.key].face.embedding is None}
    if not lost | hidden:
        return None

    def raised(framing: str) -> float:
        floor, cells = floors[framing].value or 0.0, [c for c in base if framing in ("", c.framing)]
        most = {**dict.fromkeys(lost, 1.0), **dict.fromkeys(hidden, max(floor, ceilings[framing].value or 0.0))}
        return statistics.fmean(most.get(cell.key, floor) for cell in cells) if cells else floor

    return {framing: moved(one, raised(framing)) for framing, one in floors.items()}


def shrink(groups: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Group means drawn toward their common mean, each by the share of its distance that its sampling error explains.

    Between-group variance by the method of moments; groups that differ by chance alone all get the common mean.
    """
    means = {name: statistics.fmean(values) for name, values in groups.items()}
    centre, count = statistics.fmean(means.values()), sum(len(values) for values in groups.values())
    if len(groups) < 2 or count == len(groups):
        return means
    squares = sum((v - means[name]) ** 2 for name, values in groups.items() for v in values)
    errors = {name: squares / (count - len(groups)) / len(values) for name, values in groups.items()}
    between = max(0.0, statistics.variance(means.values()) - statistics.fmean(errors.values()))
    trust = {name: between / (between + error) if between + error > 0 else 0.0 for name, error in errors.items()}
    return {name: centre + trust[name] * (value - centre) for name, value in means.items()}
