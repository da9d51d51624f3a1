"""Which characters' builds does the base model draw when a prompt names them?

    python -m benchmarks.drawn_builds [--first 425] [--last 448] [--pictures 48]

A LoRA that has to teach the base model a build is not healthy however well it is trained: what the base draws is asked
here before any LoRA is trained. For each character: pictures of upper and full body in random places, poses and
clothes, from full captions, without a LoRA, and the share of them in which CLIP reads the build that was asked for.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from typing import Any

from benchmarks.detection import share
from benchmarks.miniature_quality import Judges
from fixtures.miniature.world import vocabulary as words
from fixtures.miniature.world.captions import caption
from fixtures.miniature.world.character import Character
from fixtures.miniature.world.scene import Scene, random_scene
from lora_doctor.base_models import load_pipeline
from lora_doctor.plugins import data_folder
from lora_doctor.render_defaults import render_defaults

BATCH = 24


def asked(character: Character, pictures: int) -> list[Scene]:
    """Scenes that show the build, half of them from head to feet; the same for the same character."""
    rng = random.Random(f"drawn-build-{character.seed}")
    framings = [words.FULL_BODY, words.UPPER_BODY]
    return [random_scene(rng, character, framing=framings[i % 2]) for i in range(pictures)]


def drawn(pipeline: Any, scenes: list[Scene]) -> Iterator[Any]:
    """Pictures by the base model alone, with the steps and the guidance of a check-up."""
    import torch

    as_checked = render_defaults("miniature")
    for start in range(0, len(scenes), BATCH):
        batch = scenes[start : start + BATCH]
        yield from pipeline(
            [caption(scene) for scene in batch],
            num_inference_steps=as_checked.steps,
            guidance_scale=as_checked.guidance,
            width=as_checked.width,
            height=as_checked.height,
            generator=[torch.Generator().manual_seed(start + i) for i in range(len(batch))],
        ).images


def main() -> None:
    """Print a row per character."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=425)
    parser.add_argument("--last", type=int, default=448)
    parser.add_argument("--pictures", type=int, default=48)
    given = parser.parse_args()
    judges, pipeline = Judges(), load_pipeline(data_folder("miniature") / "base", "cpu")
    print("| character | build | read as asked |\n|---|---|---|")
    for seed in range(given.first, given.last + 1):
        character = Character.from_seed(seed)
        _, named = judges.read(list(drawn(pipeline, asked(character, given.pictures))))
        right = sum(labels["body"] == character.body for labels in named)
        print(f"| {seed} | {character.body} | {share(right, len(named))} |", flush=True)


if __name__ == "__main__":
    main()
