"""How often does a LoRA ship that is right at the limit at weight 0.7, or loses face or framing in full body?

    python -m benchmarks.weight_limit [--trials 400] [--claim interval point] [--spread 0.124]
                                     [--weight-correlation 0.56] [--faceless 0.15 0.20] [--reframed 0.20] [--again 3]

Scores of every (environment, framing, replicate) are drawn around a true mean at each weight; environments differ among
themselves by a standard deviation of 0.03 or of 0.06. Rounds, looks, demands and the rule `low-weight-forgetting` are
those of a check-up with the standard policy, or with its weights judged by their point estimates alone. Spread and
correlation are those of a full check-up of the healthy patient yuki (`benchmarks.sequential_design --measured`).
`--faceless`: instead, LoRAs that are sound at both weights and show no face in such a share of full bodies, the same
seeds at both weights, which is the worst case; `--claim` is then how the policy judges faces. `--reframed`: the
same, of full bodies that are framed otherwise than asked. `--again`: an open verdict is gone on with so often, each
time with as many rounds as the check-up says.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, cast

from lora_doctor.exact_shares import EACH_LOOK
from lora_doctor.judgement import Judges
from lora_doctor.matrix import plan_cells
from lora_doctor.metrics.estimates import (
    Estimate,
    declared_difference,
    declared_rate,
    end_with_one_worse,
    fixed,
    mean,
    told,
)
from lora_doctor.metrics.units import Sample
from lora_doctor.plugins import data_folder
from lora_doctor.policy import Claim, load_policy
from lora_doctor.rule_files import load_rules
from lora_doctor.rules import evaluate
from lora_doctor.run_folder import RunFolder
from lora_doctor.sequence import STEP, Sequenced, until_decided
from lora_doctor.settings import MatrixSettings
from lora_doctor.types import Cell, Dataset, Measurement, Study
from lora_doctor.verdict import decide

PLACES = (("a", True), ("b", True), ("c", False), ("d", False), ("e", False))
LIFTS = {"close-up": 0.08, "upper_body": 0.03, "full_body": -0.11}
"""By how much framings differ from the mean."""
WEIGHTS = {0.7: "0.7", 1.0: "1"}
TRUTHS = ((0.60, 0.80), (0.60, 0.90), (0.58, 0.80), (0.64, 0.78), (0.67, 0.80), (0.70, 0.80), (0.74, 0.84))
"""Mean identity at weight 0.7 and at 1; the first two are right at the limit, 0.60, the third must not ship either."""


ROUNDS = 8
"""At most, before an open verdict is gone on with."""
SOUND = (0.86, 0.90)
"""Of those that lose the face in full body: as strong as the strongest bundled patient."""


@dataclass(frozen=True, slots=True)
class Design:
    """How scores scatter."""

    spread: float = 0.124
    """Standard deviation between replicates, at one weight."""
    correlation: float = 0.56
    """Between the scores of a unit at its weights."""
    places: float = 0.03
    """Standard deviation between environments."""
    faceless: float = 0.0
    """Share of the seeds that show no face in full body, at either weight."""
    reframed: float = 0.0
    """Share of the seeds of full body that are framed otherwise, at either weight."""


@dataclass
class Memory:
    """Stands in for a run folder: remembers looks."""

    held: dict[str, Any] = field(default_factory=dict)

    def get_json(self, name: str) -> Any:
        """What was put there."""
        return self.held.get(name)

    def put_json(self, name: str, value: Any) -> None:
        """Remember it."""
        self.held[name] = value


@cache
def judges(claim: Claim, of: str) -> Judges:
    """The standard policy with the claim `of` something judged so, and the rule about weak LoRAs."""
    rules = data_folder("rules")
    weak = tuple(rule for rule in load_rules(rules) if rule.id == "low-weight-forgetting")
    standard = load_policy(rules, "standard")
    policy = replace(standard, **{of: claim})  # type: ignore[arg-type]
    return Judges(policy=policy, rules=weak, dataset_rules=(), file_rules=())


def check(truth: tuple[float, float], design: Design, claim: Claim, seed: str, again: int = 0) -> tuple[str, int]:
    """The verdict on one LoRA, and how many rounds it took.

    `again`: how often at most an open verdict is gone on with, with as many rounds as are said to bring it in reach.
    """
    run, most = cast(RunFolder, Memory()), ROUNDS
    for _ in range(again + 1):
        outcome, done = once(truth, design, claim, seed, run, most)
        most = done.reach or most + STEP
        if outcome != "INCONCLUSIVE":
            break
    return outcome, done.looks[-1].rounds


def once(
    truth: tuple[float, float], design: Design, claim: Claim, seed: str, run: RunFolder, most: int
) -> tuple[str, Sequenced]:
    """The verdict on one LoRA with `most` rounds at most, and how it was come to."""
    plan = plan_cells(
        weights=tuple(WEIGHTS), environments=list(PLACES), framings=tuple(LIFTS), replicates=most,
        prompt_of=lambda place, framing: "", negative_prompt="", seed=0,
    )  # fmt: skip
    of = "no_face_claim" if design.faceless else "framing_claim" if design.reframed else "weight_claim"
    known, seen = judges(claim, of), []

    def see(cells: Sequence[Cell], new: Sequence[Cell], bound: float) -> tuple[Study, tuple[Measurement, ...]]:
        study = Study(
            cells=tuple(cells), renders={}, missing={}, dataset=Dataset(path=data_folder("rules"), images=()),
            references=(), label_sets={}, spec={}, ship_weights=tuple(WEIGHTS), asked=(), bound=bound,
        )  # fmt: skip
        seen[:] = measured(cells, truth, design, seed, bound)
        return study, tuple(seen)

    matrix = MatrixSettings(weights=(0.0, *WEIGHTS), arms=())
    done = until_decided(plan, matrix, known, see, run)
    findings, not_evaluated = evaluate(known.rules, seen, known.policy.weights)
    novel = tuple(place for place, trained in PLACES if not trained)
    verdict = decide(findings, not_evaluated, seen, known.policy, novel=novel, ends=done.ends)
    return verdict.outcome, done


def measured(
    cells: Sequence[Cell], truth: tuple[float, float], design: Design, seed: str, bound: float
) -> Iterator[Measurement]:
    """What a check-up would measure of these cells, as far as the policy and the rule ask for it."""
    tables: dict[str, dict[str, dict[tuple[str, int], float | None]]] = {
        weight: {place: {} for place, _ in PLACES} for weight in ("ship", *WEIGHTS.values())
    }
    for cell in cells:
        if cell.weight != 0:
            score = _score(cell, truth, design, seed)
            tables[WEIGHTS[cell.weight]][cell.environment][cell.framing, cell.replicate] = score
    for place, units in tables["ship"].items():
        both = [tables[weight][place] for weight in WEIGHTS.values()]
        units.update({key: statistics.fmean(cast(float, one[key]) for one in both) for key in both[0]})
    samples = {weight: Sample(rate=False, units=units) for weight, units in tables.items()}
    yield Measurement(name="identity.gap", value=0.9, interval=(0.85, 0.95), n=9)
    for weight, every in samples.items():
        yield told(mean(every), "identity.score", {"weight": weight}, "score")
        for place, units in every.units.items():
            one = Sample(rate=False, units={place: units})
            own = told(fixed(one, every, bound), "identity.score", {"weight": weight, "environment": place}, "score")
            yield replace(own, one_worse=end_with_one_worse(one, every, bound))
    yield from _of_framings(samples["ship"], design, seed)
    yield told(mean(samples["1"]), "dose.plateau", {}, "score")
    for name, where, value in (
        ("overbake.adherence_loss", {"weight": "ship"}, 0.0), ("environment.match", {"weight": "0"}, 0.95),
        ("dose.low_weight_ratio", {}, 0.45), ("identity.framing_gap", {"framing": "close-up"}, -0.1),
        ("identity.environment_gap", {}, 0.0), ("identity.small_face_loss", {}, 0.2),
        ("environment.planned", {"environment_kind": "trained"}, 2.0),
    ):  # fmt: skip
        yield told(Estimate(value=value, interval=(value - 0.05, value + 0.05), n=9), name, where, "")


def _of_framings(every: Sample, design: Design, seed: str) -> Iterator[Measurement]:
    for framing in LIFTS:
        units = {place: {k: v for k, v in own.items() if k[0] == framing} for place, own in every.units.items()}
        where = {"weight": "ship", "framing": framing}
        yield told(mean(Sample(rate=False, units=units)), "identity.score", where, "score")
        lost = {p: {k: float(_faceless(p, *k, design, seed)) for k in own} for p, own in units.items()}
        shares = declared_rate(Sample(rate=True, units=lost), EACH_LOOK)
        yield told(shares, "identity.no_face", where, "share")
        ship = {p: {k: float(not _reframed(p, *k, design, seed)) for k in own} for p, own in units.items()}
        base, lora = Sample(rate=True, units=units).constant(1.0), Sample(rate=True, units=ship)
        yield told(declared_difference(base, lora, EACH_LOOK), "framing.loss", {"framing": framing}, "share")


def _faceless(place: str, framing: str, replicate: int, design: Design, seed: str) -> bool:
    luck = random.Random(f"{seed}/faces/{place}/{framing}/{replicate}").random()
    return framing == "full_body" and luck < design.faceless


def _reframed(place: str, framing: str, replicate: int, design: Design, seed: str) -> bool:
    luck = random.Random(f"{seed}/frames/{place}/{framing}/{replicate}").random()
    return framing == "full_body" and luck < design.reframed


def _score(cell: Cell, truth: tuple[float, float], design: Design, seed: str) -> float:
    """The same for a cell whenever it is asked; what a unit's weights share, and what a place's units share."""
    if _faceless(cell.environment, cell.framing, cell.replicate, design, seed):
        return 0.0
    of_place = random.Random(f"{seed}/{cell.environment}").gauss(0, design.places)
    unit = f"{seed}/{cell.environment}/{cell.framing}/{cell.replicate}"
    shared, own = random.Random(unit).gauss(0, 1), random.Random(f"{unit}/{cell.weight}").gauss(0, 1)
    scatter = design.correlation**0.5 * shared + (1 - design.correlation) ** 0.5 * own
    level = truth[list(WEIGHTS).index(cell.weight)]
    return level + LIFTS[cell.framing] + of_place + design.spread * scatter


def row(truth: tuple[float, float], design: Design, claim: Claim, trials: int, again: int = 0) -> str:
    """One line of a table."""
    found = [check(truth, design, claim, f"{truth}/{design.places}/{trial}", again) for trial in range(trials)]
    counts, rounds = Counter(outcome for outcome, _ in found), statistics.fmean(looks for _, looks in found)
    shares = " | ".join(f"{counts[outcome] / trials:.3f}" for outcome in ("SHIP", "INCONCLUSIVE", "HOLD"))
    share = design.faceless or design.reframed
    of = f"{share:.2f}" if share else f"{truth[0]:.2f} | {truth[1]:.2f}"
    return f"| {of} | {design.places:.2f} | {claim} | {shares} | {rounds:.1f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--claim", nargs="*", default=["interval"], choices=["interval", "point"])
    parser.add_argument("--spread", type=float, default=0.124)
    parser.add_argument("--weight-correlation", type=float, default=0.56)
    parser.add_argument("--faceless", type=float, nargs="*", default=[], metavar="SHARE")
    parser.add_argument("--reframed", type=float, nargs="*", default=[], metavar="SHARE")
    parser.add_argument("--again", type=int, default=0, metavar="TIMES", help="go on with an open verdict so often")
    asked = parser.parse_args()
    heads = ["without a face in full body"] if asked.faceless else ["at weight 0.7", "at 1"]
    heads = ["full bodies framed otherwise"] if asked.reframed else heads
    heads += ["places differ by", "judged by", "SHIP", "INCONCLUSIVE", "HOLD", "rounds"]
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for claim in asked.claim:
        for places in (0.03,) if asked.faceless or asked.reframed else (0.03, 0.06):
            plain = Design(asked.spread, asked.weight_correlation, places)
            cases = [(SOUND, replace(plain, faceless=share)) for share in asked.faceless]
            cases += [(SOUND, replace(plain, reframed=share)) for share in asked.reframed]
            for truth, design in cases or [(truth, plain) for truth in TRUTHS]:
                print(row(truth, design, claim, asked.trials, asked.again), flush=True)


if __name__ == "__main__":
    main()
