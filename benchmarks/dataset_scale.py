"""How long a dataset of 10,000 pictures takes to read, in how much memory, and what a killed reading costs.

    python -m benchmarks.dataset_scale [--pictures 10000] [--side 256] [--work build/dataset-scale]

Builds the pictures once in `--work` (half PNG, half JPEG, all of different bytes, with captions), reads them in a
process of its own, then again in one that is killed half-way and one that resumes; what is known of a picture is kept
as a line of JSON. Prints a table.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.defects.draft import healthy
from lora_doctor.dataset import survey
from lora_doctor.types import Layout, PictureFacts, Subset

DIFFERENT = 300
"""Drawings; the other pictures are these with another pixel."""
A_FOLDER = 1000
"""Pictures in one sub-folder."""


def build(folder: Path, pictures: int, side: int) -> None:
    """The dataset, unless it is there."""
    made = folder / "made.json"
    wanted = {"pictures": pictures, "side": side}
    if made.is_file() and json.loads(made.read_text()) == wanted:
        return
    if folder.exists():
        shutil.rmtree(folder)
    drawings = [each.drawn().resize((side, side)) for seed in range(5000, 5008) for each in healthy(seed).pictures]
    rng = random.Random(0)
    for number in range(pictures):
        drawing = drawings[number % min(DIFFERENT, len(drawings))].copy()
        drawing.putpixel((number % side, number // side % side), tuple(rng.randbytes(3)))
        ending = (".png", ".jpg")[number % 2]
        path = folder / "dataset" / f"{1 + number // A_FOLDER}_part" / f"{number:05d}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        drawing.save(path, **({"compress_level": 1} if ending == ".png" else {"quality": 95, "comment": str(number)}))
        path.with_suffix(".txt").write_text(f"yuki_nk, 1girl, solo, number {number}, standing, beach, smile\n")
    made.write_text(json.dumps(wanted))


class LinesOfJson:
    """What is known of pictures, a line each: a line that was cut off by a kill is no line."""

    def __init__(self, path: Path, stop_after: int | None) -> None:
        """Opens `path`, new or not; after `stop_after` pictures the process kills itself."""
        self.known: dict[str, tuple[PictureFacts, int, int]] = {}
        self.stop_after = stop_after
        if path.is_file():
            for line in path.read_text().splitlines(keepends=True):
                if line.endswith("\n"):
                    self._take(json.loads(line))
        self.found = len(self.known)
        self.file = path.open("a")

    def remember(self, sha256: str, facts: PictureFacts, width: int, height: int) -> None:
        """Writes a line."""
        self.file.write(json.dumps([sha256, dataclasses.asdict(facts), width, height]) + "\n")
        self.file.flush()
        self.known[sha256] = (facts, width, height)
        if len(self.known) - self.found == self.stop_after:
            os.kill(os.getpid(), signal.SIGKILL)

    def _take(self, line: list[Any]) -> None:
        sha256, fields, width, height = line
        held = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
        self.known[sha256] = (PictureFacts(**held), width, height)


def read(folder: Path, store: Path, stop_after: int | None) -> None:
    """Reads the dataset and prints what came of it as JSON: the work of the child process."""
    lines = LinesOfJson(store, stop_after)
    began = time.perf_counter()
    layout = Layout(trainer="folder", subsets=(Subset(folder=folder, recursive=True),))
    dataset = survey(layout, folder, known=lines.known.get, remember=lines.remember)
    seconds = time.perf_counter() - began
    status = Path("/proc/self/status").read_text()
    told = {
        "seconds": seconds,
        "mib": int(status.partition("VmHWM:")[2].split()[0]) / 1024,
        "pictures": len(dataset.images),
        "decoded": len(lines.known) - lines.found,
        "captions": sum(image.caption is not None for image in dataset.images),
        "skipped": len(dataset.skipped),
    }
    print(json.dumps(told))


def in_a_child(folder: Path, store: Path, stop_after: int | None = None) -> tuple[int, dict[str, Any], float]:
    """(exit status, what it told, seconds with the start of Python) of one reading."""
    command = [sys.executable, "-m", "benchmarks.dataset_scale", "--read", str(folder), "--store", str(store)]
    command += [] if stop_after is None else ["--stop-after", str(stop_after)]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(done.stderr)
    return done.returncode, json.loads(done.stdout or "{}"), seconds


def table(work: Path, pictures: int, side: int) -> list[str]:
    """Markdown: read at once, killed half-way and resumed, and read again when all is known."""
    build(work, pictures, side)
    folder = work / "dataset"
    rows = ["| reading | seconds | peak MiB | decoded | pictures, captions |", "|---|---|---|---|---|"]

    def row(name: str, store: Path, stop_after: int | None = None) -> None:
        status, told, whole = in_a_child(folder, store, stop_after)
        if status:
            rows.append(f"| {name} | {whole:.1f} | | {stop_after} | killed |")
        else:
            rows.append(
                f"| {name} | {told['seconds']:.1f} | {told['mib']:.0f} | {told['decoded']} "
                f"| {told['pictures']}, {told['captions']} |"
            )

    whole, halves = work / "whole.jsonl", work / "halves.jsonl"
    for store in (whole, halves):
        store.unlink(missing_ok=True)
    row(f"{pictures} pictures of {side} x {side}", whole)
    row("the same, killed half-way", halves, pictures // 2)
    row("resumed", halves)
    row("again, all known", whole)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=256, help="pixels")
    parser.add_argument("--work", type=Path, default=Path("build/dataset-scale"))
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--stop-after", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.read is not None:
        read(asked.read, asked.store, asked.stop_after)
    else:
        print("\n".join(table(asked.work, asked.pictures, asked.side)))


if __name__ == "__main__":
    main()
