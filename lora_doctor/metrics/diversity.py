"""Whether pictures of one prompt still differ from seed to seed, against the base model at the same seeds.

Told, and not judged: a character LoRA is there to make people alike, and how much of what is lost is the person and how
much is pose and composition, an embedding of the whole picture does not say.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import combinations

from lora_doctor.metrics.estimates import ratio, told
from lora_doctor.metrics.units import Key, Sample, alike, pick, ship_caveat
from lora_doctor.types import Cell, Measurement, Study

NAME = "diversity.kept"


def measure(study: Study) -> list[Measurement]:
    """`diversity.kept`: mean (1 - cosine) of CLIP's embeddings between replicates of one prompt, over the base's.

    1 = as diverse as the base model; over the ship weights.
    """
    lora = pick(study, {"weight": "ship"})
    base = alike(pick(study, {"weight": "0"}), lora)
    top, bottom = _apart(study, lora), _apart(study, base)
    kept = ratio(top.masked(bottom), bottom.masked(top))
    return [told(kept, NAME, {}, "ratio", ship_caveat(study))]


def _apart(study: Study, cells: Sequence[Cell]) -> Sample:
    """Environment and framing -> the mean distance between its replicates, at each weight by itself, then averaged."""
    groups: dict[tuple[str, str], dict[float, list[Cell]]] = {}
    for cell in cells:
        groups.setdefault((cell.environment, cell.framing), {}).setdefault(cell.weight, []).append(cell)
    units: dict[str, dict[Key, float | None]] = {}
    for (environment, framing), by_weight in groups.items():
        if any(len(each) > 1 for each in by_weight.values()):
            known = [_mean_distance(study, each) for each in by_weight.values()]
            told_all = [value for value in known if value is not None]
            whole = len(told_all) == len(known)
            units.setdefault(environment, {})[framing, 0] = statistics.fmean(told_all) if whole else None
    return Sample(rate=False, units=units, absent="" if units else "one replicate shows no diversity")


def _mean_distance(study: Study, cells: Sequence[Cell]) -> float | None:
    """(1 - cosine) over all pairs; None where a picture is missing or there is no pair."""
    rows = [reading.embedding for cell in cells if (reading := study.renders.get(cell.key)) is not None]
    known = [row for row in rows if row is not None]
    if len(known) < len(cells) or len(known) < 2:
        return None
    return statistics.fmean(min(1.0, 1.0 - float(one @ other)) for one, other in combinations(known, 2))
