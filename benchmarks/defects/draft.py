"""A dataset in the making: pictures and captions of one character, to be spoiled in one way and written to a folder."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from fixtures.miniature.build.datasets import scenes
from fixtures.miniature.build.recipes import RECIPES
from fixtures.miniature.world.captions import BODY, caption_tokens
from fixtures.miniature.world.character import Character
from fixtures.miniature.world.drawing import draw_scene
from fixtures.miniature.world.scene import Scene

Severity = Literal["mild", "strong"]


@dataclass
class Picture:
    """One picture with its caption, as it will be written."""

    scene: Scene
    name: str
    """Below the dataset's folder, without an ending; may hold a sub-folder, for example `10_yuki/03`."""
    tokens: list[str] | None
    """The caption's tokens; None = no caption file."""
    image: Image.Image | None = None
    """None = drawn from `scene` when written."""
    ending: str = ".png"
    save: dict[str, Any] = field(default_factory=dict)
    """Options for Pillow's `save`, for example `exif`."""
    raw_caption: bytes | None = None
    """Written instead of `tokens`."""
    raw_picture: bytes | None = None
    """Written instead of the image."""

    def drawn(self) -> Image.Image:
        """The picture, 64 x 64 unless something changed it."""
        if self.image is None:
            self.image = draw_scene(self.scene).image
        return self.image


@dataclass
class Draft:
    """A healthy dataset, until a defect is planted in it."""

    character: Character
    trigger: str
    rng: random.Random
    pictures: list[Picture]
    files: dict[str, bytes] = field(default_factory=dict)
    """Other files to write, by name below the folder."""
    options: dict[str, Any] = field(default_factory=dict)
    """How the audit is asked, for example `resolution`."""

    def write(self, folder: Path) -> None:
        """Write everything into `folder`, which must not exist yet."""
        for picture in self.pictures:
            path = folder / f"{picture.name}{picture.ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if picture.raw_picture is not None:
                path.write_bytes(picture.raw_picture)
            else:
                picture.drawn().save(path, **picture.save)
            if picture.raw_caption is not None or picture.tokens is not None:
                text = (", ".join(picture.tokens or ()) + "\n").encode()
                path.with_suffix(".txt").write_bytes(text if picture.raw_caption is None else picture.raw_caption)
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def healthy(seed: int, draw: int = 0) -> Draft:
    """The article's dataset of the character `seed`: 42 pictures, a third of them close-ups; `draw`: another set."""
    character, rng = Character.from_seed(seed), random.Random(f"audit-{seed}-{draw}")
    trigger = f"c{seed}_nk"
    drawn = [
        Picture(scene=scene, name=f"{i:02d}", tokens=caption_tokens(scene, trigger=trigger, extra=BODY))
        for i, scene in enumerate(scenes(character, RECIPES["healthy"], rng))
    ]
    return Draft(character=character, trigger=trigger, rng=rng, pictures=drawn)


@dataclass(frozen=True)
class Defect:
    """One way to spoil a dataset, and the rule that must say so."""

    name: str
    rule: str
    plant: Callable[[Draft, Severity], None]
    about: Mapping[str, str] = field(default_factory=dict)
    """What the finding must be about, where the rule is judged for each of several things."""
    without: Callable[[Draft], None] | None = None
    """How the dataset without the defect differs from the healthy one, where it has to (larger pictures, say)."""
