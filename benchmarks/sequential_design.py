"""How often the ship rule errs, and how many pictures it takes to find out: the real rule on simulated scores.

    python -m benchmarks.sequential_design [--trials 2000] [--spread 0.18] [--faceless 0.03] [--measured RUN]
        [--interval-alone] [--spend-all]

Scores are drawn for every (environment, framing, replicate) around a true mean per environment; the looks, their bound
and the intervals are those of a check-up. One row per truth: shares of SHIP and HOLD, pictures with a LoRA used of all
that were planned. `worst` is the hardest that must not ship: one environment too few holds, the rest are on the limit;
`worst, one seed in N fails` are as hard, and look better until the first seed that gives somebody else.
`--interval-alone --spend-all` is the plain group-sequential design after Pocock, without what was added to it since.
`--measured` takes spread, correlation and faceless share from a finished run (of `check --full`, say).
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lora_doctor.looks import ALPHA, next_bound, partial_conjunction_alpha, planned_bound
from lora_doctor.metrics.estimates import end_with_one_worse, fixed
from lora_doctor.metrics.units import Sample

FRAMINGS = ("close-up", "upper_body", "full_body")
LIMIT, WANTED = 0.60, 3
"""Of rules/policies/standard.toml."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What a LoRA is."""

    means: tuple[float, ...]
    """The true mean score of each environment."""
    failing: float = 0.0
    """Share of seeds at which the environments on the limit give somebody else (0); the other seeds make up for it."""


TRUTHS: Mapping[str, Truth] = {
    "healthy": Truth((0.85, 0.85, 0.85, 0.85)),
    "good": Truth((0.75, 0.75, 0.75, 0.75)),
    "near": Truth((0.68, 0.68, 0.68, 0.68)),
    "weak": Truth((0.50, 0.50, 0.50, 0.50)),
    "fail": Truth((0.25, 0.25, 0.25, 0.25)),
    "environment-locked": Truth((0.85, 0.30, 0.30, 0.30)),
    "worst": Truth((0.85, 0.85, 0.60, 0.60)),
    **{f"worst, one seed in {n} fails": Truth((0.85, 0.85, 0.60, 0.60), failing=1 / n) for n in (20, 10, 6, 4, 3)},
}


@dataclass(frozen=True, slots=True)
class Design:
    """How pictures are drawn and looked at."""

    spread: float = 0.18
    """Standard deviation of a score between replicates, at one weight."""
    weight_correlation: float = 0.5
    """Between the scores of a unit at its weights."""
    weights: int = 2
    faceless: float = 0.03
    """Share of pictures without a face: they score 0."""
    least: int = 2
    most: int = 8
    one_worse: bool = True
    """Whether a claim must hold with one picture more like the worst, as a check-up asks; else its interval alone."""
    saved: bool = True
    """Whether a fifth of the error is kept for a run that goes on, as in a check-up (`looks.SAVED`)."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one simulated LoRA came to."""

    outcome: str
    pictures: int


def simulate(lora: Truth, design: Design, rng: random.Random, *, sequential: bool = True) -> Result:
    """One LoRA whose environments have these true means, rendered until it is decided, or to the end."""
    truth = lora.means
    alpha = partial_conjunction_alpha(ALPHA, len(truth), WANTED)
    schedule = range(design.least, design.most + 1) if sequential else [design.most]
    bound = (planned_bound if design.saved else next_bound)(alpha, (), schedule)
    open_ones, pictures = set(range(len(truth))), 0
    units: dict[str, dict[tuple[str, int], float | None]] = {str(e): {} for e in range(len(truth))}
    holding, failing, drawn = set[int](), set[int](), 0
    for rounds in schedule:
        for replicate in range(drawn, rounds):
            for e in open_ones:
                for framing in FRAMINGS:
                    units[str(e)][framing, replicate] = _unit(
                        truth[e], lora.failing if truth[e] == LIMIT else 0.0, design, rng
                    )
                    pictures += design.weights
        drawn = rounds
        everywhere = Sample(rate=False, units=units)
        for e in sorted(open_ones):
            own = Sample(rate=False, units={str(e): units[str(e)]})
            ends, worse = fixed(own, everywhere, bound).interval, end_with_one_worse(own, everywhere, bound)
            if ends is None or worse is None:
                continue
            if min(ends[0], worse if design.one_worse else ends[0]) >= LIMIT:
                holding.add(e)
            elif ends[1] < LIMIT:
                failing.add(e)
        open_ones -= holding | failing
        if len(holding) >= WANTED:
            return Result("SHIP", pictures)
        if len(failing) > len(truth) - WANTED:
            return Result("HOLD", pictures)
    return Result("INCONCLUSIVE", pictures)


def _unit(mean: float, failing: float, design: Design, rng: random.Random) -> float:
    """The score of a unit, averaged over its weights, raised so that what fails leaves the mean as it is."""
    shared, own = design.weight_correlation**0.5, (1 - design.weight_correlation) ** 0.5
    common, level = rng.gauss(0, 1), mean / (1 - design.faceless) / (1 - failing)
    if failing and rng.random() < failing:
        level = 0.0
    scores = [level + design.spread * (shared * common + own * rng.gauss(0, 1)) for _ in range(design.weights)]
    return statistics.fmean(0.0 if rng.random() < design.faceless else score for score in scores)


def measured(run: Path, weights: Sequence[float] = (0.7, 1.0)) -> Design:
    """The design with the spread, the correlation between weights and the faceless share of a finished run."""
    cells = json.loads((run / "diagnosis.json").read_text("utf-8"))["cells"]
    known = [c for c in cells if c["weight"] in weights and c["identity"] is not None]
    faces = [c for c in known if c["identity"] != 0]
    strata: dict[tuple[str, str], dict[int, dict[float, float]]] = {}
    for cell in faces:
        units = strata.setdefault((cell["environment"], cell["framing"]), {})
        units.setdefault(cell["replicate"], {})[cell["weight"]] = cell["identity"]
    whole = [[[u[w] for w in weights] for u in s.values() if len(u) == len(weights)] for s in strata.values()]
    variance = statistics.fmean(statistics.variance(row) for s in whole for row in zip(*s, strict=True))
    covariance = statistics.fmean(statistics.covariance(*zip(*s, strict=True)) for s in whole)
    correlation = min(1.0, max(0.0, covariance / variance))
    faceless = 1 - len(faces) / len(known)
    return Design(spread=variance**0.5, weight_correlation=correlation, faceless=faceless, weights=len(weights))


def row(name: str, truth: Truth, design: Design, trials: int) -> str:
    """One line of the table."""
    rng = random.Random(f"sequential-{name}")
    results = [simulate(truth, design, rng) for _ in range(trials)]
    all_of = design.most * len(truth.means) * len(FRAMINGS) * design.weights

    used = statistics.fmean(result.pictures for result in results)
    ship, hold = (statistics.fmean(r.outcome == outcome for r in results) for outcome in ("SHIP", "HOLD"))
    return f"| {name} | {ship:.3f} | {hold:.3f} | {used:.0f} of {all_of} | {1 - used / all_of:.0%} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--spread", type=float, default=0.18)
    parser.add_argument("--weight-correlation", type=float, default=0.5)
    parser.add_argument("--faceless", type=float, default=0.03)
    parser.add_argument("--measured", type=Path)
    parser.add_argument("--interval-alone", action="store_true", help="what it would be without one picture more")
    parser.add_argument("--spend-all", action="store_true", help="what it would be with nothing saved for going on")
    asked = parser.parse_args()
    guessed = Design(asked.spread, asked.weight_correlation, faceless=asked.faceless)
    design = measured(asked.measured) if asked.measured else guessed
    design = replace(design, one_worse=not asked.interval_alone, saved=not asked.spend_all)
    known = f"spread {design.spread:.2f}, weights correlate {design.weight_correlation:.2f}"
    print(f"{known}, without a face {design.faceless:.0%}\n")
    print("| truth | SHIP | HOLD | pictures | saved |\n|---|---|---|---|---|")
    for name, truth in TRUTHS.items():
        print(row(name, truth, design, asked.trials), flush=True)


if __name__ == "__main__":
    main()
