"""Does the same LoRA get the same verdict when it is checked again with other seeds?

    python -m benchmarks.retest --kept
    python -m benchmarks.retest --work DIR [--seeds 3] [--processes 2] [FOLDER ...]

For each FOLDER with a lora-doctor.toml and a lora.safetensors (default: the bundled patients, and the healthy ones of
them at other strengths, `benchmarks.strengths`): a check-up with seed 0, and one with each other seed, which draws
other noise and other environments that are new to the dataset. Every pair of check-ups of one LoRA agrees or does not.
A verdict that is open for want of rounds says how to go on (`most_replicates`): where it does, the check-up goes on,
four rounds at a time or to as many as it names, twelve more at most, and what comes of that is told beside it
(`INCONCLUSIVE > SHIP`). Resumable; what was measured is kept in `benchmarks/results/retest` (and `retest-on`), and
judged by the rules of today, also without the LoRAs (`--kept`). With seed 0 is what `benchmarks.rounds_against_full`
kept in rounds, or a check-up beside the LoRA.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from benchmarks.jobs import run_jobs
from benchmarks.kept import ENDING, RESULTS, keep, kept_names, recall
from benchmarks.strengths import all_severities
from lora_doctor.checkup import run_checkup
from lora_doctor.metrics.intervals import wilson
from lora_doctor.settings import load_settings
from lora_doctor.types import Diagnosis
from lora_doctor.wording import how_to_go_on

MORE, TIMES = 4, 3
"""Rounds that an open verdict goes on for, where `how_to_go_on` names no other number, and how often at most."""


@dataclass(frozen=True)
class Job:
    """One LoRA."""

    name: str
    folder: Path
    work: Path
    seeds: int
    results: Path = RESULTS / "retest"

    def kept(self, seed: int) -> Path:
        """The file with what the check-up with this seed measured."""
        return self.results / f"{self.name}.seed-{seed}{ENDING}"

    def went_on(self, seed: int) -> Path:
        """The same, of one that was open and went on."""
        return self.results.parent / f"{self.results.name}-on" / self.kept(seed).name


def retest(job: Job) -> dict[str, Any]:
    """What each seed's check-up says: verdict and confirmed findings."""
    return {"name": job.name, "told": [_told(job, seed) for seed in range(job.seeds)]}


def _told(job: Job, seed: int) -> dict[str, Any]:
    kept = job.kept(seed)
    if not kept.is_file():
        print(f"{job.name} seed {seed}", file=sys.stderr, flush=True)
        model, out = job.folder / "lora.safetensors", job.work / job.name / f"seed-{seed}"
        own, in_rounds = load_settings(model, {}).out, job.results.parent / "rounds" / f"{job.name}.rounds{ENDING}"
        if seed == 0 and in_rounds.is_file():
            job.results.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(in_rounds, kept)
        else:
            if seed == 0 and own.is_dir() and not out.is_dir():
                shutil.copytree(own, out)
            run_checkup(load_settings(model, {"out": str(out), "seed": seed}))
            keep(out, kept)
    diagnosis = recall(kept)
    told = {"verdict": diagnosis.verdict.outcome, "confirmed": list(diagnosis.confirmed)}
    return {**told, "then": _gone_on(job, seed, diagnosis)}


def _gone_on(job: Job, seed: int, diagnosis: Diagnosis) -> str:
    """The verdict after more rounds, where it is open for want of rounds; else the one there is."""
    kept, first = job.went_on(seed), diagnosis.matrix["rounds"]["at_most"]
    model, out = job.folder / "lora.safetensors", job.work / job.name / f"seed-{seed}"
    now = recall(kept) if kept.is_file() else diagnosis
    while how_to_go_on(now) and job.folder != Path() and (more := _more(now)) <= first + TIMES * MORE:
        print(f"{job.name} seed {seed} goes on to {more} rounds", file=sys.stderr, flush=True)
        if not out.is_dir():  # of another benchmark's: what is as it was is drawn again as it was
            run_checkup(load_settings(model, {"out": str(out), "seed": seed}))
        run_checkup(load_settings(model, {"out": str(out), "seed": seed, "matrix.most_replicates": more}))
        keep(out, kept)
        now = recall(kept)
    return now.verdict.outcome


def _more(diagnosis: Diagnosis) -> int:
    """How many rounds it goes on to: those that are said to bring it in reach, or four more."""
    rounds = diagnosis.matrix["rounds"]
    return int(rounds.get("reach") or rounds["at_most"] + MORE)


def table(results: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Markdown: a row per LoRA, and how many pairs of check-ups agree."""
    seeds = max(len(one["told"]) for one in results)
    yield f"| LoRA | {' | '.join(f'seed {seed}' for seed in range(seeds))} |"
    yield "|---" * (seeds + 1) + "|"
    for one in results:
        yield f"| {one['name']} | {' | '.join(_words(told) for told in one['told'])} |"
    pairs = [pair for one in results for pair in combinations(one["told"], 2)]
    for what, same in (
        ("verdict", [a["verdict"] == b["verdict"] for a, b in pairs]),
        ("verdict, where an open one goes on,", [a["then"] == b["then"] for a, b in pairs]),
        ("verdict and first finding", [_first(a) == _first(b) for a, b in pairs]),
    ):
        low, high = wilson(sum(same), len(same))
        told = f"{sum(same)} of {len(same)} pairs ({sum(same) / len(same):.0%} [{low:.2f}, {high:.2f}])"
        yield f"\nThe same {what} in {told}."
    # The pairs of one LoRA are not independent; LoRAs are.
    same = [len({told["verdict"] for told in one["told"]}) == 1 for one in results]
    low, high = wilson(sum(same), len(same))
    yield f"\nAll seeds of a LoRA agree in {sum(same)} of {len(same)} LoRAs ([{low:.2f}, {high:.2f}])."


def _first(told: dict[str, Any]) -> tuple[str, str]:
    return told["verdict"], next(iter(told["confirmed"]), "")


def _words(told: dict[str, Any]) -> str:
    then = f" > {told['then']}" if told["then"] != told["verdict"] else ""
    return f"{told['verdict']}{then} {', '.join(told['confirmed'])}".strip()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--work", type=Path, default=Path("build/retest"))
    parser.add_argument("--results", type=Path, default=Job.results, help="where measurements are kept")
    parser.add_argument("--kept", action="store_true", help="judge what is kept, and do no more")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    folders = asked.folders or ([] if asked.kept else all_severities(asked.work / "strengths"))
    jobs = [Job(folder.name, folder, asked.work, asked.seeds, asked.results) for folder in folders]
    if asked.kept:
        seeds = Counter(name.partition(".seed-")[0] for name in kept_names(asked.results))
        jobs = [Job(name, Path(), Path(), count, asked.results) for name, count in seeds.items()]
    print("\n".join(table(list(run_jobs(retest, jobs, asked.processes)))))


if __name__ == "__main__":
    main()
