"""Do rounds that stop early say what the whole matrix says, and with how many pictures?

    python -m benchmarks.rounds_against_full --work DIR [--processes 2] [FOLDER ...]

For each FOLDER with a lora-doctor.toml and a lora.safetensors (default: the bundled patients): a check-up in rounds,
then the same with `--full`, every replicate and one look; pictures that both need are rendered once. A check-up that
lies beside the LoRA (`benchmarks.detection` leaves one) is the one in rounds. Resumable.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.jobs import run_jobs
from lora_doctor.checkup import run_checkup
from lora_doctor.plugins import data_folder
from lora_doctor.run_folder import RunFolder
from lora_doctor.sequence import LOOKS
from lora_doctor.settings import load_settings
from lora_doctor.types import Diagnosis


@dataclass(frozen=True)
class Job:
    """One LoRA."""

    folder: Path
    work: Path


def compare(job: Job) -> dict[str, Any]:
    """What rounds and the whole matrix say of one LoRA; from the work folder where it is known."""
    place = job.work / job.folder.name
    kept = place / "result.json"
    if kept.is_file():
        return dict(json.loads(kept.read_text("utf-8")))
    model = job.folder / "lora.safetensors"
    print(job.folder.name, file=sys.stderr, flush=True)
    own = load_settings(model, {}).out
    if own.is_dir() and not (place / "rounds").is_dir():
        shutil.copytree(own, place / "rounds")
    rounds = run_checkup(load_settings(model, {"out": str(place / "rounds")}))
    if not (place / "full").is_dir():
        shutil.copytree(place / "rounds", place / "full")
        with RunFolder(place / "full") as run:
            run.put_json(LOOKS, {})
    full = run_checkup(load_settings(model, {"out": str(place / "full"), "matrix": {"full": True}}))
    found = {"name": job.folder.name, "rounds": _told(rounds), "full": _told(full)}
    kept.write_text(json.dumps(found, indent=1), "utf-8")
    return found


def _told(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "verdict": diagnosis.verdict.outcome,
        "confirmed": list(diagnosis.confirmed),
        "pictures": len(diagnosis.cells) + len(diagnosis.arms),
        "looks": diagnosis.matrix["rounds"]["looks"],
    }


def table(results: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown: a row per LoRA, and the sums."""
    lines = ["| LoRA | rounds | pictures | full | pictures | the same |", "|---|---|---|---|---|---|"]
    for one in results:
        row = [f"{_words(one[way])} | {one[way]['pictures']}" for way in ("rounds", "full")]
        same = "yes" if one["rounds"]["verdict"] == one["full"]["verdict"] else "NO"
        lines.append(f"| {one['name']} | {' | '.join(row)} | {same} |")
    used = statistics.fmean(one["rounds"]["pictures"] / one["full"]["pictures"] for one in results)
    same = sum(one["rounds"]["verdict"] == one["full"]["verdict"] for one in results)
    return [*lines, "", f"The same verdict for {same} of {len(results)}, with {used:.0%} of the pictures."]


def _words(told: dict[str, Any]) -> str:
    return f"{told['verdict']} {', '.join(told['confirmed'])}".strip()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    patients = sorted(path.parent for path in (data_folder("miniature") / "patients").glob("*/lora-doctor.toml"))
    jobs = [Job(folder, asked.work) for folder in asked.folders or patients]
    print("\n".join(table(list(run_jobs(compare, jobs, asked.processes)))))


if __name__ == "__main__":
    main()
