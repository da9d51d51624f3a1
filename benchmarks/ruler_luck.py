"""How often does a LoRA right at the limit ship because of which pictures its dataset happens to show?

    python -m benchmarks.ruler_luck [--trials 150] [--references 9 18 30] [--known] [--each 80 6 6]

Datasets of one character are drawn: references whose similarity to the character scatters by 0.10. The ceiling of each
lies a little higher or lower than that of all together, which is the true one. Renders are put right at 0.60 between
true floor and true ceiling, and judged by what a check-up with that dataset measures of identity; what else the
standard policy asks for holds. `--known`: as if each dataset's own ruler were without error. `--each`: datasets of so
many close-ups, upper bodies and full bodies, which scatter by 0.12 about 0.80, 0.75 and 0.65.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
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


EACH, EACH_SCATTER = dict(zip(FRAMINGS, (0.80, 0.75, 0.65), strict=True)), 0.12
"""Of datasets that show framings unevenly: small faces are less alike."""


def references(framings: Sequence[str], rng: random.Random, each: bool) -> tuple[Reading, ...]:
    """Pictures of one dataset, in these framings."""
    about, scatter = (EACH, EACH_SCATTER) if each else (dict.fromkeys(FRAMINGS, SHOWN), SCATTER)
    return tuple(
        reading(
            cosine=min(0.98, max(FLOOR, rng.gauss(about[framing], scatter))),
            noise=2 + i,
            labels=SPEC | {"environment": "library", "framing": framing},
        )
        for i, framing in enumerate(framings)
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


def row(name: str, framings: Sequence[str], score: float, trials: int, each: bool) -> str:
    """One line of the table."""
    rng = random.Random(1)
    plain = make_study(identity=lambda _: 0, replicates=4)
    studies = [replace(plain, references=references(framings, rng, each)) for _ in range(trials)]
    rulers = [ruler_of(study) for study in studies]

    def cosine(framing: str) -> float:
        marks = [(ruler.framings[framing] if each else ruler.whole, slope(ruler)) for ruler in rulers]
        return FLOOR + score * (statistics.fmean((mark.ceiling.value or 0.0) / long for mark, long in marks) - FLOOR)

    true, told = {framing: cosine(framing) for framing in FRAMINGS}, Counter[str]()
    for study in studies:
        renders = {cell.key: _render(cell, true[cell.framing], name) for cell in study.cells}
        found = replaced(ship_readings(), *identity.measure(replace(study, renders=renders)))
        told[decide((), (), found, STANDARD, novel=NOVEL).outcome] += 1
    shares = " | ".join(f"{told[outcome] / trials:.3f}" for outcome in ("SHIP", "INCONCLUSIVE", "HOLD"))
    return f"| {name} | {score:.2f} | {shares} |"


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
    parser.add_argument("--each", type=int, nargs=len(FRAMINGS), action="append", help="of each framing so many")
    asked = parser.parse_args()
    print("| references | true identity | SHIP | INCONCLUSIVE | HOLD |\n|---|---|---|---|---|")
    as_known = partial(mock.patch.object, identity, "with_ruler_error", lambda estimate, *_: estimate)
    alike = [(f"{many}", [FRAMINGS[i % len(FRAMINGS)] for i in range(many)]) for many in asked.references]
    uneven = [
        (" / ".join(map(str, counts)), [f for f, count in zip(FRAMINGS, counts, strict=True) for _ in range(count)])
        for counts in asked.each or ()
    ]
    for name, framings in uneven or alike:
        with as_known() if asked.known else nullcontext():
            print(row(name, framings, asked.score, asked.trials, bool(uneven)), flush=True)


if __name__ == "__main__":
    main()
