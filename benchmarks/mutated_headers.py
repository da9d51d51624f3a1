"""Does any mutated safetensors header slip through? Each is given to lora-doctor's validator and to the library.

    python -m benchmarks.mutated_headers --count 1000000 [--seed 0] [--processes 2]

What the validator accepts and the library refuses, or an exception of either that is not its refusal, is printed and
makes the exit code 1. Reproducible: the same seed and count give the same headers, in any number of processes.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from safetensors import SafetensorError, deserialize

from benchmarks.header_mutations import mutated
from benchmarks.jobs import run_jobs
from fixtures.hostile.loras import SOUND, UNKNOWN
from lora_doctor.errors import InputRefused
from lora_doctor.safetensors_header import parse_header

BLOCK = 10_000
"""Headers of one job, which has a generator of its own."""
OUTCOMES = ("accepted by both", "refused by both", "refused by lora-doctor alone", "accepted by lora-doctor alone",
            "uncaught in lora-doctor", "uncaught in the library")  # fmt: skip
WRONG = OUTCOMES[3:]
SAMPLES: list[bytes] = [content for content, _ in (*SOUND.values(), *UNKNOWN.values())]


@dataclass
class Tally:
    """What became of some mutated headers."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    """Seconds of lora-doctor's validator."""
    examples: list[tuple[str, bytes]] = field(default_factory=list)
    """The first few whose outcome is in `WRONG`."""


def outcome(content: bytes) -> tuple[str, float]:
    """What both readers do with a file, one of `OUTCOMES`, and how many seconds lora-doctor takes."""
    start = time.perf_counter()
    try:
        parse_header(content, len(content))
        ours = True
    except InputRefused:
        ours = False
    except Exception:
        return "uncaught in lora-doctor", time.perf_counter() - start
    seconds = time.perf_counter() - start
    try:
        deserialize(content)  # type: ignore[no-untyped-call]
        theirs = True
    except SafetensorError:
        theirs = False
    except Exception:
        return "uncaught in the library", seconds
    if ours == theirs:
        return ("accepted by both" if ours else "refused by both"), seconds
    return ("accepted by lora-doctor alone" if ours else "refused by lora-doctor alone"), seconds


def judge(contents: Iterable[bytes]) -> Tally:
    tally = Tally()
    for content in contents:
        what, seconds = outcome(content)
        tally.outcomes[what] += 1
        tally.slowest = max(tally.slowest, seconds)
        if what in WRONG and len(tally.examples) < 5:
            tally.examples.append((what, content))
    return tally


def headers(seed: int, block: int, count: int) -> Iterator[bytes]:
    """`count` mutated files; the same for the same seed and block."""
    rng = random.Random(f"{seed}/{block}")
    for _ in range(count):
        yield mutated(rng, rng.choice(SAMPLES))


def work(job: tuple[int, int, int]) -> Tally:
    return judge(headers(*job))


def merged(tallies: Iterable[Tally]) -> Tally:
    whole = Tally()
    for tally in tallies:
        whole.outcomes += tally.outcomes
        whole.slowest = max(whole.slowest, tally.slowest)
        whole.examples = (whole.examples + tally.examples)[:5]
    return whole


def run(count: int, seed: int, processes: int = 1) -> Tally:
    jobs = [(seed, block, min(BLOCK, count - start)) for block, start in enumerate(range(0, count, BLOCK))]
    return merged(run_jobs(work, jobs, processes))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    start = time.perf_counter()
    tally = run(options.count, options.seed, options.processes)
    seconds = time.perf_counter() - start
    print(f"| of {options.count:,} headers | |\n|---|---|")
    print("\n".join(f"| {what} | {tally.outcomes[what]:,} |" for what in OUTCOMES))
    print(f"| slowest | {tally.slowest * 1e3:.1f} ms |\n| all | {seconds:.0f} s |")
    for what, content in tally.examples:
        print(f"{what}: {content!r}", file=sys.stderr)
    return 1 if any(tally.outcomes[what] for what in WRONG) else 0


if __name__ == "__main__":
    sys.exit(main())
