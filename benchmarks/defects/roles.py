"""Datasets whose split, size or faces are wrong: too many or too few close-ups, by files or repeats; few pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from benchmarks.defects.draft import Defect, Draft, Picture, Severity
from fixtures.miniature.build.datasets import scenes
from fixtures.miniature.build.recipes import RECIPES
from fixtures.miniature.world.captions import BODY, caption_tokens
from fixtures.miniature.world.drawing import draw_scene
from fixtures.miniature.world.scene import Scene
from lora_doctor.types import CLOSE_UP

PICTURES, RATIO = 42, 0.33


def _redraw(draft: Draft, *, pictures: int = PICTURES, ratio: float = RATIO) -> None:
    """Another set of the same character."""
    recipe = replace(RECIPES["healthy"], pictures=pictures, identity_ratio=ratio)
    drawn = scenes(draft.character, recipe, draft.rng)
    draft.pictures[:] = [_picture(scene, f"{i:02d}", draft.trigger) for i, scene in enumerate(drawn)]


def _picture(scene: Scene, name: str, trigger: str) -> Picture:
    return Picture(scene=scene, name=name, tokens=caption_tokens(scene, trigger=trigger, extra=BODY))


def _ratio(mild: float, strong: float) -> Callable[[Draft, Severity], None]:
    """Files in another ratio."""
    return lambda draft, severity: _redraw(draft, ratio=mild if severity == "mild" else strong)


def _size(mild: int, strong: int) -> Callable[[Draft, Severity], None]:
    """Another number of files in the article's ratio."""
    return lambda draft, severity: _redraw(draft, pictures=mild if severity == "mild" else strong)


def _repeated(close: bool) -> Callable[[Draft, Severity], None]:
    """Balanced files in two kohya folders, of which one is shown far more often."""

    def plant(draft: Draft, severity: Severity) -> None:
        repeats = 4 if severity == "mild" else 10
        for picture in draft.pictures:
            near = picture.scene.framing == CLOSE_UP
            folder = f"{repeats if near == close else 1}_{draft.trigger}{'_face' if near else ''}"
            picture.name = f"{folder}/{picture.name}"

    return plant


def _headless(draft: Draft, severity: Severity) -> None:
    """In-context pictures that end at the chin, for 40 or 65 % of the set."""
    wanted = round((0.40 if severity == "mild" else 0.65) * len(draft.pictures))
    wide = [picture for picture in draft.pictures if picture.scene.framing != CLOSE_UP]
    for picture in wide[:wanted]:
        drawing = draw_scene(picture.scene)
        assert drawing.face_box is not None
        chin, size = round(drawing.face_box[3]) + 1, drawing.image.width
        picture.image = drawing.image.crop((0, chin, size, size)).resize((size, size))


DEFECTS: tuple[Defect, ...] = (
    Defect(name="too many close-ups", rule="too-much-identity-emphasis", plant=_ratio(0.69, 0.95)),
    Defect(name="too few close-ups", rule="too-little-identity-emphasis", plant=_ratio(0.095, 0.0)),
    Defect(name="close-ups repeated", rule="too-much-identity-emphasis", plant=_repeated(close=True)),
    Defect(name="others repeated", rule="too-little-identity-emphasis", plant=_repeated(close=False)),
    Defect(name="under a dozen", rule="too-few-pictures", plant=_size(11, 5)),
    Defect(name="under thirty", rule="few-pictures", plant=_size(28, 14)),
    Defect(name="over sixty", rule="many-pictures", plant=_size(64, 120)),
    Defect(name="faces cut off", rule="faces-not-found", plant=_headless),
)
