"""Are roles right, probabilities calibrated, identity ratios near the truth and inside their intervals?

    python -m benchmarks.roles [--characters 20] [--first-seed 9000] [--pictures 60] [--datasets 200]

On the miniature: `--pictures` scenes of every character with random framings, and `--datasets` sets made of them with
ratios from 0.05 to 0.95, with CLIP and with all it reads kept from the classifier. On paper: `--datasets` of each kind
of character (`benchmarks/role_sets.py`), with and without CLIP. Characters from 9000 were never used while building.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.role_sets import LABELS, STYLES, PaperSet, draw_set
from fixtures.miniature.world.character import Character
from fixtures.miniature.world.drawing import draw_scene
from fixtures.miniature.world.scene import random_scene
from lora_doctor.audits.identity_ratio import audit
from lora_doctor.dataset_audit import AuditSettings, open_audit_instruments
from lora_doctor.instrument_choice import BUNDLED
from lora_doctor.roles import classify_roles
from lora_doctor.types import (
    CLOSE_UP,
    IDENTITY_EMPHASIS,
    IN_CONTEXT,
    Case,
    Dataset,
    DatasetImage,
    LabelSet,
    TrainingSettings,
)

BINS = 10
HEADER = (
    "| datasets | roles right | by shot, the worst | calibration error | ratio error, mean / 95 % | interval holds "
    "the truth | interval width |"
)


@dataclass(frozen=True)
class Judged:
    """One dataset, classified."""

    chances: tuple[float, ...]
    """Probability of identity-emphasis, of the pictures that have a role."""
    truths: tuple[bool, ...]
    shots: tuple[str, ...]
    without: int
    """Pictures that could not be given a role."""
    ratio: float
    true_ratio: float
    interval: tuple[float, float]


def judge(drawn: PaperSet, labels: Mapping[str, LabelSet]) -> Judged:
    """Classify and measure one dataset."""
    images = tuple(
        DatasetImage(path=Path(f"{i}.png"), sha256="", width=1, height=1, caption=None)
        for i in range(len(drawn.readings))
    )
    dataset = classify_roles(Dataset(path=Path(), images=images), drawn.readings, labels)
    case = Case(
        lora=None, dataset=dataset, references=drawn.readings, training=TrainingSettings(), trigger="",
        label_sets=labels, spec={},
    )  # fmt: skip
    ratio = next(m for m in audit(case) if m.name == "dataset.identity_ratio")
    assert ratio.value is not None and ratio.interval is not None
    told = [
        (image.emphasis, role == IDENTITY_EMPHASIS, shot)
        for image, role, shot in zip(dataset.images, drawn.roles, drawn.shots, strict=True)
        if image.emphasis is not None
    ]
    chances, truths, shots = zip(*told, strict=True)
    return Judged(
        chances=chances, truths=truths, shots=shots, without=len(images) - len(told), ratio=ratio.value,
        true_ratio=drawn.ratio, interval=ratio.interval,
    )  # fmt: skip


def calibration_error(chances: Sequence[float], truths: Sequence[bool]) -> float:
    """Expected calibration error over ten equal bins: mean gap between what was claimed and what came true."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for chance, truth in zip(chances, truths, strict=True):
        bins.setdefault(min(BINS - 1, int(chance * BINS)), []).append((chance, truth))
    gaps = (abs(sum(c for c, _ in one) - sum(t for _, t in one)) for one in bins.values())
    return sum(gaps) / len(chances)


def row(name: str, judged: Sequence[Judged]) -> str:
    """One line of the table."""
    chances = [c for one in judged for c in one.chances]
    truths = [t for one in judged for t in one.truths]
    shots = [s for one in judged for s in one.shots]
    right = [(c >= 0.5) == t for c, t in zip(chances, truths, strict=True)]
    by_shot = {shot: [r for r, s in zip(right, shots, strict=True) if s == shot] for shot in dict.fromkeys(shots)}
    worst = min(by_shot, key=lambda shot: sum(by_shot[shot]) / len(by_shot[shot]))
    errors = sorted(abs(one.ratio - one.true_ratio) for one in judged)
    held = sum(one.interval[0] - 1e-9 <= one.true_ratio <= one.interval[1] + 1e-9 for one in judged)
    width = sum(one.interval[1] - one.interval[0] for one in judged) / len(judged)
    unknown = sum(one.without for one in judged)
    left_out = f" ({unknown} pictures without a role)" if unknown else ""
    return (
        f"| {name} | {_share(right)} of {len(right)}{left_out} | {worst} {_share(by_shot[worst])} | "
        f"{calibration_error(chances, truths):.3f} | {sum(errors) / len(errors):.3f} / "
        f"{errors[int(0.95 * (len(errors) - 1))]:.3f} | {held / len(judged):.0%} of {len(judged)} | {width:.2f} |"
    )


def _share(held: Sequence[bool]) -> str:
    return f"{sum(held) / len(held):.1%}"


def miniature(seeds: Iterable[int], pictures: int) -> tuple[list[PaperSet], dict[str, LabelSet]]:
    """All pictures of every character, read by the miniature's instruments."""
    tools = open_audit_instruments(AuditSettings(dataset=Path(), out=Path(), instruments=BUNDLED))
    drawn = []
    for seed in seeds:
        rng, character = random.Random(f"roles-{seed}"), Character.from_seed(seed)
        scenes = [random_scene(rng, character) for _ in range(pictures)]
        readings = tools.read([draw_scene(scene).image for scene in scenes])
        roles = tuple(IDENTITY_EMPHASIS if scene.framing == CLOSE_UP else IN_CONTEXT for scene in scenes)
        drawn.append(PaperSet(tuple(readings), roles, tuple(scene.framing for scene in scenes)))
    return drawn, dict(tools.label_sets)


def mixed(drawn: PaperSet, rng: random.Random) -> PaperSet:
    """A set of 12 to 60 of the pictures, in a ratio from 0.05 to 0.95."""
    near = [i for i, role in enumerate(drawn.roles) if role == IDENTITY_EMPHASIS]
    rest = [i for i, role in enumerate(drawn.roles) if role == IN_CONTEXT]
    size = rng.randint(12, 60)
    close = round(size * rng.uniform(0.05, 0.95))
    chosen = rng.choices(near, k=close) + rng.choices(rest, k=size - close)
    return PaperSet(
        tuple(drawn.readings[i] for i in chosen), tuple(drawn.roles[i] for i in chosen),
        tuple(drawn.shots[i] for i in chosen),
    )  # fmt: skip


def without_clip(drawn: PaperSet) -> PaperSet:
    """Face boxes alone."""
    return replace(drawn, readings=tuple(replace(reading, probabilities={}) for reading in drawn.readings))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--characters", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=9000)
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--datasets", type=int, default=200)
    asked = parser.parse_args()
    seeds = range(asked.first_seed, asked.first_seed + asked.characters)
    people, labels = miniature(seeds, asked.pictures)
    rng = random.Random(asked.first_seed)
    sets = [mixed(people[i % len(people)], rng) for i in range(asked.datasets)]
    print(HEADER, "|---|---|---|---|---|---|---|", sep="\n")
    print(row("miniature, one set per character", [judge(one, labels) for one in people]))
    print(row("miniature, random ratios", [judge(one, labels) for one in sets]), flush=True)
    print(row("miniature, random ratios, without CLIP", [judge(without_clip(one), labels) for one in sets]), flush=True)
    for style in STYLES:
        for clip in (True, False):
            paper = [
                draw_set(rng, style, pictures=rng.randint(12, 80), ratio=rng.uniform(0.05, 0.95), clip=clip)
                for _ in range(asked.datasets)
            ]
            name = f"on paper: {style}{'' if clip else ', without CLIP'}"
            print(row(name, [judge(one, LABELS) for one in paper]), flush=True)


if __name__ == "__main__":
    main()
