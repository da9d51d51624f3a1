"""One picture of a finished check-up, followed to the verdict: every number on the way, as docs/method.md shows it.

    lora-doctor check fixtures/miniature/patients/hana/lora.safetensors --out DIR
    python -m benchmarks.worked_example DIR [--cell w0.70_beach_upper_body_r0] [--strip strip.png]

Reads the run folder and computes the chain again from the stored embeddings, beside what diagnosis.json says.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from benchmarks.tables import number
from lora_doctor.compared_run import ComparedRun, Terms
from lora_doctor.comparison_runs import read_runs
from lora_doctor.comparison_samples import Scale, common_scale
from lora_doctor.metrics.estimates import Estimate
from lora_doctor.metrics.intervals import t_quantile
from lora_doctor.metrics.ruler import Mark, Ruler, scores
from lora_doctor.metrics.ruler_error import mark_of, with_ruler_error
from lora_doctor.metrics.units import Sample
from lora_doctor.run_folder import image_name
from lora_doctor.types import UPPER_BODY, Cell


def lines(run: ComparedRun, key: str | None) -> Iterator[str]:
    """The chain, a line a step. Raises SystemExit where identity was not measured or the cell is not there."""
    terms = Terms(shared=frozenset(run.cells), spec=run.spec, same_dataset=True)
    scale = common_scale([run], terms)
    if isinstance(scale.ruler, str):
        raise SystemExit(scale.ruler)
    cell = _cell(run, key)
    yield from _picture(run, cell, scale.ruler)
    for weight in sorted({*run.ship_weights}):
        yield from _weight(run, scale, cell, weight)
    yield from _places(run)
    yield f"verdict: {run.diagnosis.verdict.outcome}. {run.diagnosis.verdict.sentence}"


def _cell(run: ComparedRun, key: str | None) -> Cell:
    """The cell of that key; None = the first upper body of a new environment at the lowest ship weight."""
    fit = [c for c in run.cells.values() if not c.trained and c.framing == UPPER_BODY and c.weight in run.ship_weights]
    found = run.cells.get(key) if key else min(fit, key=lambda c: (c.weight, c.replicate, c.environment), default=None)
    if found is None or found.key not in run.renders:
        raise SystemExit(f"no such picture: {key}")
    return found


def _picture(run: ComparedRun, cell: Cell, ruler: Ruler) -> Iterator[str]:
    face, mark = run.renders[cell.key].face, ruler.framings[cell.framing]
    if face.embedding is None:
        raise SystemExit(f"{cell.key} shows no face: its score is 0")
    likeness, floor, ceiling = ruler.references.likeness(face.embedding), mark.floor.value or 0, mark.ceiling.value or 0
    yield f"picture: {cell.key}, seed {cell.seed}, prompt: {cell.prompt}"
    yield f"face: {face.faces} found, confidence {face.score:.2f}"
    yield f"similarity with the references: {likeness:.3f}"
    yield f"floor and ceiling of {cell.framing}: {floor:.3f}, {ceiling:.3f}"
    score = ruler.score(run.renders[cell.key], cell.framing)
    yield f"score: ({likeness:.3f} - {floor:.3f}) / ({ceiling:.3f} - {floor:.3f}) = {score:.3f}"


def _weight(run: ComparedRun, scale: Scale, cell: Cell, weight: float) -> Iterator[str]:
    """From the units of one weight to its interval."""
    cells = [each for each in run.cells.values() if each.weight == weight]
    found = scores(scale.study, scale.ruler, cells)[0]
    means = found.means()
    yield f"weight {weight:g}: {found.n} units in {len(means)} environments"
    yield f"  {cell.environment}: {_listed(found, cell.environment)}, mean {means[cell.environment]:.3f}"
    yield "  environments: " + ", ".join(f"{name} {mean:.3f}" for name, mean in means.items())
    values, count = list(means.values()), len(means)
    mean, error = statistics.fmean(values), statistics.stdev(values) / count**0.5
    half = t_quantile(count - 1) * error
    yield (
        f"  mean {mean:.3f}, spread of environments {statistics.stdev(values):.3f}, t({count - 1}) = "
        f"{t_quantile(count - 1):.3f}: {mean:.3f} +- {half:.3f} = [{mean - half:.3f}, {mean + half:.3f}]"
    )
    alone = Estimate(value=mean, interval=(mean - half, mean + half))
    low, high = with_ruler_error(alone, mark_of(scale.ruler)).interval or (0.0, 0.0)
    yield f"  with the ruler's own error ({_ends(mark_of(scale.ruler))}): [{low:.3f}, {high:.3f}]"
    yield f"  diagnosis.json: identity.score {number(run.diagnosis, 'identity.score', weight=f'{weight:g}')}"


def _ends(mark: Mark) -> str:
    """`floor -0.003 [-0.035, 0.028], ceiling 0.949 [0.944, 0.954]`."""
    told = []
    for name, one in (("floor", mark.floor), ("ceiling", mark.ceiling)):
        low, high = one.interval or (0.0, 0.0)
        told.append(f"{name} {one.value or 0:.3f} [{low:.3f}, {high:.3f}]")
    return ", ".join(told)


def strip(run: ComparedRun, key: str | None, weights: Sequence[float] = (0.0, 0.4, 0.7, 1.0)) -> Image.Image:
    """The scene of the cell at these weights, side by side, three times as large."""
    cell = _cell(run, key)
    files = [run.folder / image_name(replace(cell, weight=weight).key) for weight in weights]
    pictures = [Image.open(file).convert("RGB") for file in files]
    side = pictures[0].width
    together = Image.new("RGB", (side * len(pictures), side))
    for place, picture in enumerate(pictures):
        together.paste(picture, (side * place, 0))
    return together.resize((together.width * 3, together.height * 3), Image.Resampling.LANCZOS)


def _places(run: ComparedRun) -> Iterator[str]:
    """What is claimed of each environment, at the bound of the looks, and with one picture more that fails."""
    yield f"each environment over the ship weights, at {run.diagnosis.matrix['rounds']['bound']} standard errors:"
    for each in run.diagnosis.measurements:
        if each.name == "identity.score" and "environment" in each.where and each.where.get("weight") == "ship":
            low, high = each.interval or (0.0, 0.0)
            worse = f", with one picture worse {each.one_worse:.3f}" if each.one_worse is not None else ""
            yield f"  {each.where['environment']}: {each.value or 0:.3f} [{low:.3f}, {high:.3f}]{worse}"


def _listed(found: Sample, environment: str) -> str:
    """`upper_body 0.51, 0.77`: the units of an environment, by framing."""
    by_framing: dict[str, list[str]] = {}
    for (framing, _), value in found.units[environment].items():
        by_framing.setdefault(framing, []).append("-" if value is None else f"{value:.3f}")
    return "; ".join(f"{framing} {', '.join(values)}" for framing, values in by_framing.items())


def main() -> None:
    """Print the chain."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="the run folder of a finished check-up")
    parser.add_argument("--cell", default=None, help="a picture's key (default: an upper body in a new environment)")
    parser.add_argument("--strip", type=Path, default=None, help="write the scene at four weights to this file")
    asked = parser.parse_args()
    (run,) = read_runs([asked.run])
    print(*lines(run, asked.cell), sep="\n")
    if asked.strip is not None:
        strip(run, asked.cell).save(asked.strip, optimize=True)


if __name__ == "__main__":
    main()
