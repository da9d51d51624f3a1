"""How long `audit` takes, and how much memory, on datasets of a given size.

    python -m benchmarks.audit_speed --work build/audit-speed [--pictures 60] [--side 1024] [--kill]

Draws the pictures once, then runs `lora-doctor audit` in a process of its own, with the miniature's instruments. With
`--kill` the process is killed half-way and started again, to show what it resumes with.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

from fixtures.miniature.build.datasets import scenes
from fixtures.miniature.build.recipes import RECIPES
from fixtures.miniature.world.captions import BODY, caption_tokens
from fixtures.miniature.world.character import Character
from fixtures.miniature.world.drawing import draw_scene


def draw(folder: Path, count: int, side: int) -> None:
    """Write `count` pictures of one character with captions, enlarged to `side`; nothing where they are there."""
    if len(list(folder.glob("*.png"))) == count:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    character, rng, number = Character.from_seed(5000), random.Random(f"audit-speed-{count}"), 0
    while number < count:
        for scene in scenes(character, RECIPES["healthy"], rng)[: count - number]:
            picture = draw_scene(scene).image.resize((side, side), Image.Resampling.BICUBIC)
            picture.save(folder / f"{number:05d}.png", compress_level=1)
            tokens = caption_tokens(scene, trigger="speed_nk", extra=BODY)
            (folder / f"{number:05d}.txt").write_text(", ".join(tokens) + "\n", "utf-8")
            number += 1


def command(folder: Path, out: Path) -> list[str]:
    """The command that is measured."""
    return [sys.executable, "-m", "lora_doctor", "audit", str(folder), "--out", str(out), "--fail-on", "never"]


def timed(folder: Path, out: Path, kill_after: float | None = None) -> tuple[float, float]:
    """(seconds, peak MiB) of one audit; killed after `kill_after` seconds, if that is given."""
    began = time.monotonic()
    with subprocess.Popen(command(folder, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        if kill_after is not None:
            time.sleep(kill_after)
            process.send_signal(signal.SIGKILL)
        process.wait()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return time.monotonic() - began, peak


def main() -> None:
    """Print one line per audit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--kill", action="store_true")
    asked = parser.parse_args()
    folder, out = asked.work / f"{asked.pictures}x{asked.side}", asked.work / f"run-{asked.pictures}x{asked.side}"
    draw(folder, asked.pictures, asked.side)
    shutil.rmtree(out, ignore_errors=True)
    seconds, peak = timed(folder, out)
    what = f"{asked.pictures} pictures of {asked.side} x {asked.side}"
    print(f"{what}: {seconds:.1f} s, {peak:.0f} MiB at most", flush=True)
    again, _ = timed(folder, out)
    print(f"the same again: {again:.1f} s")
    if asked.kill:
        shutil.rmtree(out)
        timed(folder, out, kill_after=seconds / 2)
        rest, _ = timed(folder, out)
        print(f"killed after {seconds / 2:.1f} s and started again: {rest:.1f} s")


if __name__ == "__main__":
    main()
