"""Do rounds that stop early say what the whole matrix says, and with how many pictures?

    python -m benchmarks.rounds_against_full --kept
    python -m benchmarks.rounds_against_full --work DIR [--processes 2] [FOLDER ...]

For each FOLDER with a lora-doctor.toml and a lora.safetensors (default: the bundled patients, and the healthy ones of
them at other strengths, `benchmarks.strengths`): a check-up in rounds, then the same with `--full`, every replicate and
one look; pictures that both need are rendered once. A check-up that lies beside the LoRA (`benchmarks.detection` leaves
one) is the one in rounds. Resumable; what was measured is kept in `benchmarks/results/rounds`, and judged by the rules
of today, also without the LoRAs (`--kept`).
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.jobs import run_jobs
from benchmarks.kept import ENDING, RESULTS, keep, kept_names, pictures, recall
from benchmarks.strengths import all_severities
from lora_doctor.checkup import run_checkup
from lora_doctor.run_folder import RunFolder
from lora_doctor.sequence import LOOKS
from lora_doctor.settings import load_settings

WAYS = ("rounds", "full")


@dataclass(frozen=True)
class Job:
    """One LoRA."""

    name: str
    folder: Path
    work: Path
    results: Path = RESULTS / "rounds"

    def kept(self, way: str) -> Path:
        """The file with what a check-up of this kind measured."""
        return self.results / f"{self.name}.{way}{ENDING}"


def compare(job: Job) -> dict[str, Any]:
    """What rounds and the whole matrix say of one LoRA; from what is kept where it is known."""
    if not all(job.kept(way).is_file() for way in WAYS):
        print(job.name, file=sys.stderr, flush=True)
        _check(job)
    return {"name": job.name} | {way: _told(job.kept(way)) for way in WAYS}


def _check(job: Job) -> None:
    """Both check-ups; the whole one begins with the pictures of the one in rounds."""
    model, place = job.folder / "lora.safetensors", job.work / job.name
    rounds, full = place / "rounds", place / "full"
    own = load_settings(model, {}).out
    if own.is_dir() and not rounds.is_dir():
        shutil.copytree(own, rounds)
    run_checkup(load_settings(model, {"out": str(rounds)}))
    keep(rounds, job.kept("rounds"))
    if not full.is_dir():
        shutil.copytree(rounds, full)
        with RunFolder(full) as run:
            run.put_json(LOOKS, {})
    run_checkup(load_settings(model, {"out": str(full), "matrix": {"full": True}}))
    keep(full, job.kept("full"))


def _told(kept: Path) -> dict[str, Any]:
    diagnosis = recall(kept)
    return {
        "verdict": diagnosis.verdict.outcome,
        "confirmed": list(diagnosis.confirmed),
        "pictures": pictures(kept),
        "looks": diagnosis.matrix["rounds"]["looks"],
    }


def table(results: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown: a row per LoRA, its pictures in the matrix and beside it; and the sums."""
    lines = ["| LoRA | rounds | pictures | full | pictures | the same |", "|---|---|---|---|---|---|"]
    for one in results:
        row = [f"{_words(one[way])} | {' + '.join(map(str, one[way]['pictures']))}" for way in WAYS]
        same = "yes" if one["rounds"]["verdict"] == one["full"]["verdict"] else "NO"
        lines.append(f"| {one['name']} | {' | '.join(row)} | {same} |")
    matrix = statistics.fmean(one["rounds"]["pictures"][0] / one["full"]["pictures"][0] for one in results)
    used = statistics.fmean(sum(one["rounds"]["pictures"]) / sum(one["full"]["pictures"]) for one in results)
    same = sum(one["rounds"]["verdict"] == one["full"]["verdict"] for one in results)
    return [
        *lines,
        "",
        f"The same verdict for {same} of {len(results)}, with {matrix:.0%} of the matrix, {used:.0%} of all pictures.",
    ]


def _words(told: dict[str, Any]) -> str:
    return f"{told['verdict']} {', '.join(told['confirmed'])}".strip()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--work", type=Path, default=Path("build/rounds"))
    parser.add_argument("--results", type=Path, default=Job.results, help="where measurements are kept")
    parser.add_argument("--kept", action="store_true", help="judge what is kept, and do no more")
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    folders = asked.folders or ([] if asked.kept else all_severities(asked.work / "strengths"))
    jobs = [Job(folder.name, folder, asked.work, asked.results) for folder in folders]
    if asked.kept:
        names = [name.removesuffix(".full") for name in kept_names(asked.results) if name.endswith(".full")]
        jobs = [Job(name, Path(), Path(), asked.results) for name in names]
    print("\n".join(table(list(run_jobs(compare, jobs, asked.processes)))))


if __name__ == "__main__":
    main()
