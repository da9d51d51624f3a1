"""Are planted faults found, and healthy LoRAs left alone, on characters that no rule was fitted on?

    python -m benchmarks.detection --kept [--show side.kept]
    python -m benchmarks.detection --work build/detection [--rounds 6] [--healthy 12] [--faults ...]
                                  [--characters 209 ...] [--processes 2]

In every round each fault gets a new character: draw the dataset, train the LoRA with the fault, check it, note what
came first and why. Resumable: finished LoRAs and check-ups are kept in `--work`, and what they measured in `--results`
(`benchmarks/results/detection`), where the next call finds it and judges it by the rules of today; `--kept` does no
more than that. Prints every LoRA, whatever came of it, the confusion matrix, and Wilson's 90 % intervals.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.jobs import run_jobs
from benchmarks.kept import ENDING, RESULTS, keep, kept_names, recall
from benchmarks.tables import number
from fixtures.miniature.build.patients import build_patient
from fixtures.miniature.build.recipes import ANY, BESIDE, RECIPES
from lora_doctor.checkup import run_checkup
from lora_doctor.errors import LoraDoctorError
from lora_doctor.metrics.intervals import wilson
from lora_doctor.plugins import data_folder
from lora_doctor.settings import load_settings
from lora_doctor.types import Diagnosis

FIRST_SEED, FIRST_HEALTHY = 201, 401
"""Characters of the faulty and of the healthy. Bundled patients have seeds 101 to 108, rules were changed with 202 and
206 in view, the characters of the models' training have a million and above."""
BESIDE_SEEDS = {
    "varied": (426, 427, 429, 430, 432, 433, 434, 435, 438, 439, 441, 442),
    "varied-long": (),
    "varied-slow": (),
    "plenty-short": (),
    "plenty-long": (),
    "plenty": (443, 444, 445, 446, 447, 451, 454, 455, 457, 458, 459, 460),
    "undrawn-build": (425, 428, 431, 436),
    "flip-augmentation": (605, 611, 607, 612),
    "low-resolution": (701, 702, 703, 704),
    "two-people": (801, 821, 841),
    "crowd": (802, 822, 842),
    "no-trigger": (803, 823, 843),
    "leak": (804, 824, 844),
    "nobody-else": (814, 834, 854),
    "two-faces": (815, 835, 855, 875, 895, 915),
    "scaled-up": (816, 836, 856),
    "bleed": (805, 825, 845),
    "copies": (806, 826, 846),
    "few-pictures": (807, 827, 847),
    "one-light": (808, 828, 848),
    "one-outfit": (809, 829, 849),
    "over-trained": (810, 830, 850),
    "under-trained": (811, 831, 851),
    "sibling-base": (812, 832, 852),
    "dead-blocks": (813, 833, 853),
}
"""Characters of the recipes without a bundled patient, chosen before any training. From 425 on those are healthy whose
build the base model draws in half of the pictures that ask for it and more, the others have an undrawn build
(`benchmarks.drawn_builds`). Flips show where something is on one side: of seeds 601 to 612 these are some in whose
datasets nine in ten pictures are told right (`side.told_share`)."""
FAULTS = {**RECIPES, **BESIDE}
HEALTHY = "healthy"


@dataclass(frozen=True)
class Job:
    """One patient to build and check."""

    fault: str
    seed: int
    folder: Path
    results: Path = RESULTS / "detection"
    """Where the measurements are kept."""
    show: str = ""
    """Name of a measurement to show."""

    @property
    def name(self) -> str:
        """`low-rank-206`."""
        return f"{self.fault}-{self.seed}"

    @property
    def kept(self) -> Path:
        """The file with the measurements."""
        return self.results / f"{self.name}{ENDING}"


@dataclass(frozen=True)
class Outcome:
    """What a patient got."""

    job: Job
    verdict: str
    confirmed: tuple[str, ...] = ()
    suspected: tuple[str, ...] = ()
    cause: str = ""
    """The first cause of the first confirmed finding."""
    shown: str = ""
    """A measurement over the ship weights, or of no slice, that was asked for, with its interval."""

    @property
    def first(self) -> str:
        """The first confirmed finding, or the verdict where there is none."""
        return self.confirmed[0] if self.confirmed else self.verdict

    @property
    def found(self) -> bool:
        """Whether verdict and first finding are as planted."""
        recipe = FAULTS[self.job.fault]
        return recipe.verdict in (ANY, self.verdict) and self.first in (recipe.finding or self.verdict, *recipe.as_good)

    @property
    def explained(self) -> bool:
        """Whether the first cause is one that was planted, too."""
        return self.found and (is_healthy(self.job.fault) or self.cause.startswith(FAULTS[self.job.fault].causes))


def is_healthy(fault: str) -> bool:
    """Whether a recipe plants no fault."""
    return not FAULTS[fault].finding


def diagnose(job: Job) -> Outcome:
    """Build and check one patient, unless what it measures is kept; a refusal is a result too."""
    if job.kept.is_file():
        return outcome(job, recall(job.kept))
    print(f"{job.fault} {job.seed}", file=sys.stderr, flush=True)
    recipe, trigger = FAULTS[job.fault], f"c{job.seed}_nk"
    build_patient(job.folder, data_folder("miniature") / "base", recipe, job.seed, trigger, redraw=False)
    settings = load_settings(job.folder / "lora.safetensors", {})
    try:
        diagnosis = run_checkup(settings)
    except LoraDoctorError as error:
        return Outcome(job, f"refused: {error}")
    keep(settings.out, job.kept)
    return outcome(job, diagnosis)


def outcome(job: Job, diagnosis: Diagnosis) -> Outcome:
    """What the diagnosis says of the patient."""
    confirmed = [finding for finding in diagnosis.findings if finding.state == "confirmed"]
    return Outcome(
        job, diagnosis.verdict.outcome, diagnosis.confirmed,
        tuple(dict.fromkeys(finding.rule for finding in diagnosis.findings if finding.state == "suspected")),
        confirmed[0].causes[0].because if confirmed and confirmed[0].causes else "",
        _shown(diagnosis, job.show) if job.show else "",
    )  # fmt: skip


def _shown(diagnosis: Diagnosis, name: str) -> str:
    """Over the ship weights; where it is not measured by weight, as a whole."""
    by_weight = number(diagnosis, name, weight="ship")
    return number(diagnosis, name) if by_weight == "-" else by_weight


def row(one: Outcome) -> str:
    """A row of the table of all patients."""
    cells = [
        one.job.fault, str(one.job.seed), one.verdict, ", ".join(one.confirmed) or "-", ", ".join(one.suspected) or "-",
        one.cause or "-", "yes" if one.explained else "finding" if one.found else "NO",
        *([one.shown] if one.job.show else []),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def confusion(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Markdown: planted faults against what came first."""
    columns = list(dict.fromkeys(one.first for one in sorted(outcomes, key=lambda one: one.first)))
    yield f"| planted | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for fault in dict.fromkeys(one.job.fault for one in outcomes):
        counts = Counter(one.first for one in outcomes if one.job.fault == fault)
        yield f"| {fault} | {' | '.join(str(counts[name] or '') for name in columns)} |"


def shares(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Markdown: how many of each fault were found and explained, with intervals; and the false alarms."""
    yield "| planted | found | cause first too |\n|---|---|---|"
    for fault in dict.fromkeys(one.job.fault for one in outcomes):
        own = [one for one in outcomes if one.job.fault == fault]
        told = [share(sum(which), len(own)) for which in zip(*((one.found, one.explained) for one in own), strict=True)]
        yield f"| {fault} | {' | '.join(told)} |"
    for fault in dict.fromkeys(one.job.fault for one in outcomes if is_healthy(one.job.fault)):
        alarms = [len(one.confirmed) for one in outcomes if one.job.fault == fault]
        yield f"\nConfirmed symptoms in {len(alarms)} {fault} LoRAs: {sum(alarms)}."


def share(count: int, of: int) -> str:
    """`5 of 6 [0.47, 0.97]`."""
    low, high = wilson(count, of)
    return f"{count} of {of} [{low:.2f}, {high:.2f}]"


def kept_jobs(results: Path) -> list[Job]:
    """What is kept, the healthy first, by fault and character."""
    found = [(fault, int(seed)) for fault, _, seed in (name.rpartition("-") for name in kept_names(results))]
    order = sorted(FAULTS, key=lambda fault: not is_healthy(fault))
    return [Job(f, s, Path(), results) for f, s in sorted(found, key=lambda one: (order.index(one[0]), one[1]))]


def planned(work: Path, faults: Sequence[str], rounds: int, healthy: int, results: Path = Job.results) -> list[Job]:
    """Each fault with its characters; a fault's characters do not depend on which other ones are asked for."""
    ill = [fault for fault in RECIPES if fault != HEALTHY]
    numbered = [(FIRST_SEED + r * len(RECIPES) + 1 + i, fault) for r in range(rounds) for i, fault in enumerate(ill)]
    well = [(FIRST_HEALTHY + n, HEALTHY) for n in range(healthy)]
    beside = [(seed, fault) for fault, seeds in BESIDE_SEEDS.items() for seed in seeds[:rounds]]
    asked = [(seed, fault) for seed, fault in (*numbered, *beside, *well) if fault in faults]
    return [Job(fault, seed, work / f"{fault}-{seed}", results) for seed, fault in asked]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("build/detection"))
    parser.add_argument("--results", type=Path, default=Job.results, help="where measurements are kept")
    parser.add_argument("--kept", action="store_true", help="judge what is kept, and do no more")
    parser.add_argument("--show", default="", metavar="NAME", help="a measurement (ship weights), as a column")
    parser.add_argument("--rounds", type=int, default=6, help="characters for each fault")
    parser.add_argument("--healthy", type=int, default=12, help="characters without a fault")
    parser.add_argument("--faults", nargs="*", default=list(RECIPES), choices=list(FAULTS))
    parser.add_argument("--characters", nargs="*", type=int, default=[], metavar="SEED", help="only these of them")
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    heads = ["planted", "character", "verdict", "confirmed", "suspected", "first cause", "as planted"]
    heads += [asked.show] if asked.show else []
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    outcomes = []
    jobs = kept_jobs(asked.results)
    if not asked.kept:
        jobs = planned(asked.work, asked.faults, asked.rounds, asked.healthy, asked.results)
    if asked.characters:
        jobs = [job for job in jobs if job.seed in asked.characters]
    for one in run_jobs(diagnose, [replace(job, show=asked.show) for job in jobs], asked.processes):
        print(row(one), flush=True)
        outcomes.append(one)
    print("", *confusion(outcomes), "", *shares(outcomes), sep="\n")


if __name__ == "__main__":
    main()
