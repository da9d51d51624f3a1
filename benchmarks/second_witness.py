"""How well pixels tell the colours of hair and eyes, and CLIP bodies, on characters nothing saw.

    python -m benchmarks.second_witness [--people 40]

Characters of the miniature's world are drawn, not rendered, so that the truth is known. Colours: the share whose colour
is nearest to the one they were painted with, by environment: as drawn, with the whole picture tinted, and the same once
the skin has told what the light is. Bodies: how often a picture of the same person is more like twelve references than
one of another person (area under the curve). Builds: the share that CLIP reads right, as drawn and as the base model's
encoder and decoder give the picture back, which is the most that a render could show.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import random
import statistics
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from fixtures.miniature.world import vocabulary as words
from fixtures.miniature.world.character import Character
from fixtures.miniature.world.drawing import Drawing, draw_scene
from fixtures.miniature.world.scene import random_scene
from lora_doctor.extractors import clip
from lora_doctor.extractors.body import embed_bodies
from lora_doctor.extractors.colours import CHEEKS, EYES, HAIR, PICTURE, read_colours
from lora_doctor.labels import load_labels
from lora_doctor.metrics.relighting import relit
from lora_doctor.plugins import data_folder
from lora_doctor.round_trip import round_trip
from lora_doctor.types import FaceReading

FIRST_SEED, SEEDS = 500_000, 400_000
"""Characters of these seeds were shown to nothing that was trained (`fixtures/miniature/build/bank.py`)."""
TINTS = {"as drawn": (1.0, 1.0, 1.0), "sunset": (1.0, 0.75, 0.5), "night": (0.45, 0.5, 0.8), "water": (0.5, 0.85, 0.95)}
PLACES = words.ENVIRONMENTS


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--people", type=int, default=40, help="per environment and framing; a third of it for bodies")
    people = parser.parse_args().people
    for key, framings in ((HAIR, words.FRAMINGS), (EYES, (words.CLOSE_UP,))):
        print(f"\n{key}, {' and '.join(framings)}: share read right, as seen -> relit")
        print(f"{'':14}" + "".join(f"{name:>18}" for name in TINTS))
        for environment in PLACES:
            cells = [colours(key, environment, framings, people, tint) for tint in TINTS.values()]
            print(f"{environment:14}" + "".join(f"{seen:>9.3f} -> {relit:.3f}" for seen, relit in cells))
    print("\nbodies, full body, in environments the references do not show: area under the curve, mean and least")
    for other in ("another person", "another figure in the same outfit", "the same figure in another outfit"):
        curves = [bodies(seed, other) for seed in range(max(2, people // 3))]
        print(f"{other:36}{statistics.fmean(curves):.3f}  {min(curves):.3f}")
    print("\nbuilds in full body: share read right by CLIP, as drawn -> through the base model's encoder and decoder")
    for build in words.BODIES:
        drawn, decoded = builds(build, 2 * people)
        print(f"{build:36}{drawn:.3f} -> {decoded:.3f}")


def colours(
    key: str, environment: str, framings: Sequence[str], people: int, tint: Sequence[float]
) -> tuple[float, float]:
    """Share read right over some framings of one environment: as seen, and as the skin says it is in white light."""
    rng = random.Random(f"{key}/{environment}")
    painted: Mapping[str, words.RGB] = words.HAIR_COLOURS if key == HAIR else words.EYE_COLOURS
    known = {name: _lab(rgb) for name, rgb in painted.items()}
    right = []
    for framing in [framing for framing in framings for _ in range(people)]:
        person = Character.from_seed(FIRST_SEED + rng.randrange(SEEDS))
        drawn = draw_scene(random_scene(rng, person, framing=framing, environment=environment))
        image = Image.fromarray((np.asarray(drawn.image) * np.array(tint)).astype(np.uint8))
        white, seen = (read_colours(one, _face(drawn)) for one in (drawn.image, image))
        if key not in seen:
            right.append((False, False))
            continue
        truth = person.hair_colour if key == HAIR else person.eye_colour
        ways = seen[key], relit(seen[key], seen[CHEEKS], white[CHEEKS])
        right.append(tuple(min(known, key=lambda name: math.dist(known[name], way)) == truth for way in ways))
    as_seen, after = zip(*right, strict=True)
    return statistics.fmean(as_seen), statistics.fmean(after)


def bodies(seed: int, other: str) -> float:
    """The area under the curve for one character: twelve references, twenty pictures of theirs, twenty of others."""
    rng, person = random.Random(f"body/{seed}"), Character.from_seed(FIRST_SEED + seed)
    references = _embedded([_drawn(rng, person, PLACES[:7]) for _ in range(12)])
    same = _embedded([_drawn(rng, person, PLACES[7:]) for _ in range(20)])
    strangers = [_drawn(rng, _other(rng, person, other), PLACES[7:]) for _ in range(20)]
    centre = references.mean(axis=0)
    return float(((same @ centre)[:, None] > (_embedded(strangers) @ centre)[None]).mean())


def builds(build: str, people: int) -> tuple[float, float]:
    """Share of so many people of one build that CLIP reads as it: as drawn, and after encoder and decoder."""
    rng, reader = random.Random(f"build/{build}"), _reader()
    labels = load_labels(data_folder("miniature") / "clip" / "labels.toml")["body"]
    pictures = []
    for _ in range(people):
        person = dataclasses.replace(Character.from_seed(FIRST_SEED + rng.randrange(SEEDS)), body=build)
        pictures.append(_drawn(rng, person, PLACES).image)
    side = pictures[0].width
    back = [round_trip(_vae(), one, area=side * side, multiple=side, device="cpu") for one in pictures]

    def share(shown: Sequence[Image.Image]) -> float:
        read = reader.read(shown, [FaceReading(faces=0)] * len(shown), {"body": labels})
        return statistics.fmean(labels.labels[int(row["body"].argmax())] == build for row, _ in read)

    return share(pictures), share(back)


@cache
def _vae() -> Any:
    import diffusers

    return diffusers.AutoencoderKL.from_pretrained(data_folder("miniature") / "base" / "vae").float()


def _other(rng: random.Random, person: Character, what: str) -> Character:
    stranger = Character.from_seed(FIRST_SEED + rng.randrange(SEEDS))
    if what == "another person":
        return stranger
    if what == "the same figure in another outfit":
        return dataclasses.replace(person, top=stranger.top, bottom=stranger.bottom)
    figure = rng.choice([name for name in words.BODIES if name != person.body])
    return dataclasses.replace(person, body=figure, height=rng.choice(list(words.HEIGHTS)))


def _drawn(rng: random.Random, person: Character, places: Sequence[str]) -> Drawing:
    place = rng.choice(places)
    clothes = {"top": person.top, "bottom": person.bottom}
    return draw_scene(random_scene(rng, person, framing=words.FULL_BODY, environment=place, **clothes))


def _embedded(drawn: Sequence[Drawing]) -> np.ndarray:  # type: ignore[type-arg]
    rows = embed_bodies(_reader(), [one.image for one in drawn], [_face(one) for one in drawn])
    return np.stack([row for row in rows if row is not None])


@cache
def _reader() -> clip.ClipReader:
    return clip.load(data_folder("miniature") / "clip")


def _face(drawn: Drawing) -> FaceReading:
    return FaceReading(faces=1, score=1.0, box=drawn.face_box, landmarks=drawn.landmarks)


def _lab(rgb: words.RGB) -> tuple[float, float, float]:
    return read_colours(Image.new("RGB", (4, 4), rgb), FaceReading(faces=0))[PICTURE]


if __name__ == "__main__":
    main()
