"""Every kind of LoRA in every family, as written by its own library: lora-doctor's error beside diffusers' own.

`python -m benchmarks.lora_corpus` prints a table in Markdown; `--families sd15 flux` measures some of them. An error is
the largest relative error of any adapted weight's delta against what the writing library computes; 1 means that nothing
was applied.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from pathlib import Path

from fixtures.loras.table import FAMILIES, diffusers_error, files, our_error

GOOD = 1e-5


def measure(families: list[str]) -> dict[str, dict[str, tuple[float, float | str]]]:
    """Kind -> family -> (our error, diffusers' error or the name of its exception)."""
    table: dict[str, dict[str, tuple[float, float | str]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        pipelines = {family: FAMILIES[family](folder / family) for family in families}
        for family, kind, writer in files():
            if family in families:
                path = folder / family / kind.replace("/", " ") / "x.safetensors"
                path.parent.mkdir(parents=True)
                expected = writer(pipelines[family], path)
                ours = our_error(pipelines[family], path, expected)
                table.setdefault(kind, {})[family] = ours, diffusers_error(pipelines[family], path, expected)
    return table


def told(error: float | str) -> str:
    """An error in a few characters: a reader that is right, one that is wrong, one that refuses."""
    if isinstance(error, str):
        return "refuses"
    return "0" if error == 0 else f"{error:.0e}" if error <= GOOD else f"**{error:.2f}**"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", nargs="+", choices=list(FAMILIES), default=list(FAMILIES))
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    table = measure(asked.families)
    rows = [[kind, *("; ".join(map(told, row[family])) if family in row else "" for family in asked.families)]
            for kind, row in table.items()]  # fmt: skip
    for row in (["ours; diffusers alone", *asked.families], ["---"] * (len(asked.families) + 1), *rows):
        print(f"| {' | '.join(row)} |")
    errors = [ours for row in table.values() for ours, _ in row.values()]
    theirs = [other for row in table.values() for _, other in row.values()]
    wrong = sum(not isinstance(other, str) and other > GOOD for other in theirs)
    refused = sum(isinstance(other, str) for other in theirs)
    print(f"\n{len(errors)} files. lora-doctor: largest error {max(errors):.1e}.")
    print(f"diffusers alone: {wrong} loaded wrongly without an error, {refused} refused.")


if __name__ == "__main__":
    main()
