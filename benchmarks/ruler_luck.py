"""How often does a LoRA right at the limit ship because of which pictures its dataset happens to show?

    python -m benchmarks.ruler_luck [--trials 150] [--references 9 18 30] [--known]

Datasets of one character are drawn: references whose similarity to the character scatters by 0.10. The ceiling of each
lies a little higher or lower than that of all together, which is the true one. Renders are put right at 0.60 between
true floor and true ceiling, and judged by what a check-up with that dataset measures of identity; what else the
standard policy asks for holds. `--known`: as if each dataset's own ruler were without error.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections import Counter
from dataclasses import replace
from functools import partial
from unittest import mock

from lora_doctor.metrics import identity
from lora_doctor.metrics.ruler import Ruler, build_ruler
from lora_doctor.types import FRAMINGS, Cell, Reading, Study
from lora_doctor.verdict import decide
from tests.metrics.make_study import SPEC, make_study, reading
from tests.test_verdict import STANDARD, replaced, ship_readings

FLOOR, SHOWN, SCATTER, NOISE = 0.2, 0.75, 0.10, 0.02
"""Cosine with the character of the base model's renders and of references, and how the latter and renders scatter."""
NOVEL = ("beach", "city", "snow")


def references(many: int, rng: random.Random) -> tuple[Reading, ...]:
    """Pictures of one dataset, each framing as often as the others."""
    return tuple(
        reading(
            cosine=min(0.98, max(FLOOR, rng.gauss(SHOWN, SCATTER))),
            noise=2 + i,
            labels=SPEC | {"environment": "library", "framing": FRAMINGS[i % len(FRAMINGS)]},
        )
        for i in range(many)
    )


def ruler_of(study: Study) -> Ruler:
    """The ruler of a study; RuntimeError where there is none."""
    ruler = build_ruler(study)
    if isinstance(ruler, str):
        raise RuntimeError(ruler)
    return ruler


def slope(ruler: Ruler) -> float:
    """Likeness to the references for a cosine of 1 with the character: they scatter about it."""
    half = reading(cosine=0.5, noise=1, labels={}).face.embedding
    return ruler.references.likeness(half) / 0.5


def row(many: int, score: float, trials: int) -> str:
    """One line of the table."""
    rng = random.Random(1)
    plain = make_study(identity=lambda _: 0, replicates=4)
    studies = [replace(plain, references=references(many, rng)) for _ in range(trials)]
    rulers = [ruler_of(study) for study in studies]
    true = statistics.fmean((ruler.whole.ceiling.value or 0.0) / slope(ruler) for ruler in rulers)
    cosine, told = FLOOR + score * (true - FLOOR), Counter[str]()
    for study in studies:
        renders = {cell.key: _render(cell, cosine, f"{many}") for cell in study.cells}
        found = replaced(ship_readings(), *identity.measure(replace(study, renders=renders)))
        told[decide((), (), found, STANDARD, novel=NOVEL).outcome] += 1
    shares = " | ".join(f"{told[outcome] / trials:.3f}" for outcome in ("SHIP", "INCONCLUSIVE", "HOLD"))
    return f"| {many} | {score:.2f} | {shares} |"


def _render(cell: Cell, cosine: float, seed: str) -> Reading:
    """At the base model's cosine at weight 0, and at the LoRA's own from 0.7 on."""
    noise = random.Random(f"{seed}/{cell.key}").gauss(0, NOISE)
    at = FLOOR + (cosine - FLOOR) * min(1.0, cell.weight / 0.7) + noise
    return reading(cosine=at, noise=1, labels=SPEC | {"environment": cell.environment, "framing": cell.framing})


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=150)
    parser.add_argument("--references", type=int, nargs="*", default=[9, 18, 30])
    parser.add_argument("--score", type=float, default=0.60)
    parser.add_argument("--known", action="store_true", help="as if the ruler were without error")
    asked = parser.parse_args()
    print("| references | true identity | SHIP | INCONCLUSIVE | HOLD |\n|---|---|---|---|---|")
    as_known = partial(mock.patch.object, identity, "with_ruler_error", lambda estimate, *_: estimate)
    for many in asked.references:
        if asked.known:
            with as_known():
                print(row(many, asked.score, asked.trials), flush=True)
        else:
            print(row(many, asked.score, asked.trials), flush=True)


if __name__ == "__main__":
    main()
