"""How long `inspect` takes on an SDXL LoRA of 200 MB, and how much memory.

`python -m benchmarks.inspect_speed` writes the file of `benchmarks.sdxl_lora` to a temporary folder, runs the command
on it three times with and without `--fast`, each in a process of its own, and prints the best.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 3


def measure(path: Path, *options: str) -> tuple[float, float]:
    """(seconds, MiB of resident memory at most) of one run."""
    command = [sys.executable, "-m", "lora_doctor", "inspect", *options, str(path)]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status:
        raise SystemExit(f"inspect failed with status {status}")
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sdxl.safetensors"
        # In a process of its own: what this one has held would count as the memory of every child.
        subprocess.run([sys.executable, "-m", "benchmarks.sdxl_lora", path], check=True, stdout=subprocess.DEVNULL)
        size = path.stat().st_size / 2**20
        print(f"| `inspect` of {size:.0f} MiB | seconds | MiB of memory |\n|---|---|---|")
        for label, options in (("`--fast`", ["--fast"]), ("every module", []), ("every module, `--json`", ["--json"])):
            best = min(measure(path, *options) for _ in range(RUNS))
            print(f"| {label} | {best[0]:.2f} | {best[1]:.0f} |")


if __name__ == "__main__":
    main()
